"""The book: a static site from the rendered notebooks, the docs and the docstrings (`make book`).

build.py       stages the sources in results/book/source and runs Sphinx on them
conf.py        the configuration of Sphinx
pages/         the pages written for the book, as templates that the results fill
paper_map.csv  which claims answer which statement of the paper
collect/       reads notebooks, tables and docs, and traces each claim to the line that computes its number
extensions/    what Sphinx lacks: pages of source lines, MathML, this project's form of docstrings
static/        style and script
"""
