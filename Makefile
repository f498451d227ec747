# make repro          run the pipeline, as `dvc repro` does, with independent stages in parallel (PROFILE=tiny switches the profile first)
# make paper          run the paper's own experiments and their claims only: a first look
# make tiny           run everything at the smallest size: a smoke test of less than a minute
# make verify         compare a run with the committed results: the same bytes, or what differs, and by how much
# make replicates     run all replicates in copies of the repository, keep their tables, and judge the claims over them (NAME=... runs one)
# make test           run the tests
# make book           build the book: results/book/html/index.html
# make release        write an archive of the tracked files with its checksums to results/release
# make bench          measure the speed (docs/performance.md), in about ten minutes
# make bits           compare the bytes of this processor with those of another, which qemu emulates (docs/same_bytes.md), in a quarter of an hour
# make faults         kill the pipeline at random, fill its disk, and compare the results (docs/faults.md), in three quarters of an hour
# make world          render the embedded image sets again
# make check-data     list every problem of an image set, and draw its contact sheet (SET=FOLDER; without it, all of data/)
# make lint           check the style
PYTHON := $(or $(shell command -v python3.11),python3)
# The stages of the pipeline call `python`, and the scripts call `dvc`.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: setup repro paper tiny verify replicates test book release bench bits faults world check-data lint
repro: setup
	$(if $(PROFILE),.venv/bin/python -m pipeline.profiles $(PROFILE))
	.venv/bin/python -m pipeline.run_parallel

paper: setup
	.venv/bin/python -m pipeline.run_in_workers statistics claims

tiny: setup
	.venv/bin/python -m pipeline.profiles tiny
	.venv/bin/python -m pipeline.run_in_workers

verify: setup
	.venv/bin/python -m tools.verify

replicates: setup
	.venv/bin/python -m pipeline.run_replicate $(NAME)
	.venv/bin/python -m pipeline.run_parallel

test: setup .venv/book
	.venv/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

book: setup .venv/book
	.venv/bin/python -m book.build

release: setup
	.venv/bin/python -m tools.release

bench: setup
	.venv/bin/python -m tools.benchmark

bits: setup
	.venv/bin/python -m tools.same_bytes

faults: setup
	.venv/bin/python -m tools.fault_injection

world: setup
	.venv/bin/python -m pipeline.render_embedded_data

check-data: setup
	.venv/bin/clip360 check --sheet results/checks $(or $(SET),data/*)

lint: setup
	.venv/bin/ruff check . && .venv/bin/ruff format --check .

setup: .venv/installed
	@test -d data || .venv/bin/dvc pull --quiet data

.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit("Python 3.11 is needed: install it, or name it by make PYTHON=...")'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.txt
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	# On all cores, which pip would not do, and without what no stage imports; templates among the files are not Python, and fail.
	.venv/bin/python -m compileall -q -j 0 -x '/tests?/|/transformers/models/' .venv/lib > /dev/null || true
	touch $@

.venv/book: requirements-book.txt .venv/installed
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements-book.txt
	touch $@
