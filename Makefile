# make repro        run the pipeline (PROFILE=tiny switches the profile first)
# make seeds        run it again from two other seeds of the world, and compare the claims
# make machine      run it again with other roundings, as on another machine, and compare the claims
# make shares       run the study of views on models with other shares of panoramas, in three more worlds
# make roads        run every road to invariance in three more worlds
# make test         run the tests
# make bench        measure how fast it is (docs/performance.md), in about ten minutes
# make faults       kill the pipeline at random, fill its disk, and compare (docs/faults.md), in three quarters of an hour
# make world        render the embedded image sets anew
# make check-data   list what is wrong with an image set, and draw its contact sheet (SET=FOLDER; without, all of data/)
# make lint         check style
PYTHON := $(or $(shell command -v python3.11),python3)
# The stages of the pipeline call `python`.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Run another profile and keep its claims; and switch back to the default.
keep_claims = .venv/bin/python -m pipeline.profiles $(1) && .venv/bin/python -m pipeline.run_parallel claims && \
	cp results/$(1)/figures/tables/claims.csv figures/replicates/$(1).csv
back = .venv/bin/python -m pipeline.profiles world && .venv/bin/python -m pipeline.run_parallel

.PHONY: setup repro seeds machine shares roads test bench faults world check-data lint
repro: setup
	$(if $(PROFILE),.venv/bin/python -m pipeline.profiles $(PROFILE))
	.venv/bin/python -m pipeline.run_parallel

seeds: setup
	$(call keep_claims,seed1)
	$(call keep_claims,seed2)
	$(back)

machine: setup
	$(call keep_claims,threads2)
	$(back)

shares: setup
	for world in shares0 shares1 shares2; do \
		.venv/bin/python -m pipeline.profiles $$world && .venv/bin/python -m pipeline.run_parallel textual_probe crop_or_model && \
		mkdir -p figures/replicates/$$world && for table in textual_summary decomposition crop_or_model_claims; do \
		cp results/$$world/figures/tables/$$table.csv figures/replicates/$$world/ || exit 1; done || exit 1; \
	done
	$(back)

roads: setup
	for world in roads0 roads1 roads2; do \
		.venv/bin/python -m pipeline.profiles $$world && .venv/bin/python -m pipeline.run_parallel roads && \
		.venv/bin/python -m pipeline.keep_roads $$world || exit 1; \
	done
	$(back)

test: setup
	.venv/bin/python -m pytest --numprocesses auto --dist loadfile

bench: setup
	.venv/bin/python -m tools.benchmark

faults: setup
	.venv/bin/python -m tools.fault_injection

world: setup
	.venv/bin/python -m pipeline.render_embedded_data

check-data: setup
	.venv/bin/python -m pipeline.check_data $(or $(SET),data/*)

lint: setup
	.venv/bin/ruff check . && .venv/bin/ruff format --check .

setup: .venv/installed
	@test -d data || .venv/bin/dvc pull --quiet data

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit("Python 3.11 is needed: install it, or name it by make PYTHON=...")'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.txt
	# On all cores, which pip would not; templates among the files are no Python, and fail.
	.venv/bin/python -m compileall -q -j 0 .venv/lib > /dev/null || true
	touch $@
