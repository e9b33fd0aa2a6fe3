# make run    the main job of config/config.yaml, then its score table
# make report the report of what CONFIG has so far, after a run that failed
# make test   lint and all tests
# All first make .venv from envs/venv.lock. Variables: PYTHON, PIP_FLAGS, CONFIG, CORES.

PYTHON ?= python3
PIP_FLAGS ?=
CONFIG ?= config/config.yaml
CORES ?= all
BIN := .venv/bin
# One job a GPU; without a GPU nothing is limited by it.
GPUS := $(shell nvidia-smi -L 2>/dev/null | grep -c '^GPU')
LIMITS := $(if $(filter-out 0,$(GPUS)),--resources gpu=$(GPUS))

.PHONY: run report test lint unit lock

run: .venv/installed
	$(BIN)/snakemake --cores $(CORES) $(LIMITS) --configfile $(CONFIG)
	@$(BIN)/python workflow/scripts/show_results.py $(CONFIG)

report: .venv/installed
	$(BIN)/snakemake --cores 1 --configfile $(CONFIG) -- report_so_far

test: lint unit

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint

unit: .venv/installed
	$(BIN)/pytest

.venv/installed: envs/venv.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --requirement envs/venv.lock
	@touch $@

# After a change of pins in envs/*.yaml.
lock: .venv/installed
	$(BIN)/python envs/list_pins.py > .venv/pins.in
	$(BIN)/pip-compile --quiet --strip-extras --no-annotate --no-header --no-emit-find-links \
	  --no-emit-index-url --no-emit-trusted-host --output-file .venv/venv.lock .venv/pins.in
	@echo '# Made by `make lock` from the pins in envs/*.yaml; do not edit.' > envs/venv.lock
	@sed 's/+cpu$$//' .venv/venv.lock >> envs/venv.lock
