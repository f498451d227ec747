"""Pages of results for the browser: the report of `clip360 score`, the comparison of `clip360 compare`, and a panorama viewer.

A page is one HTML file that works from disk: it opens no connection, and a Content-Security-Policy forbids it to.
"""
