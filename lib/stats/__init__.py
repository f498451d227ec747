"""Statistics of measurement tables: one test, one row, with its effect, its interval and the sample size that it requires.

This package knows tables (pandas) and arrays (numpy) only; it loads neither torch nor a model.
"""
