# make run    the main job of config/config.yaml, then its score table
# make study  the study of docs/mini.md: many hours
# make study-tables  the study's tables and figures, from the translations in resources/study: two minutes
# make report the report of what CONFIG has so far, after a run that failed
# make check-gpu  ten minutes that tell what a GPU can do, and what the run of CONFIG will take on it
# make test   lint, and all tests but the slow ones
# make test-all  the slow tests, which `make test` leaves out; SLOW names some of them
# make faults the tests of faults with thirty kills, and their table (docs/reliability.md)
# make docs   the documentation as a site, site/index.html
# make pictures  docs/rulegraph.svg anew, by Graphviz (apt-get install graphviz)
# All first make .venv from envs/venv.lock. Variables: PYTHON, PIP_FLAGS, CONFIG, CORES,
# and GPU_OPTIONS of check-gpu, such as "--quick --price 3".
# COMET has an environment of its own, .venv-comet, made by `make test-all` and by a run that asks for
# COMET; `make .venv-comet/installed` makes it before. vLLM has .venv-vllm, and llama.cpp .venv-gguf, in the
# same way.

PYTHON ?= python3
COMET_PYTHON ?= $(PYTHON)
PIP_FLAGS ?=
CONFIG ?= config/config.yaml
CORES ?= all
GPU_OPTIONS ?=
# Of `make test-all`. Tests of an environment that is not there are skipped.
ENVIRONMENTS ?= .venv-comet/installed .venv-vllm/installed
BIN := .venv/bin
# Files in the order of tests/conftest.py, each by one worker.
PYTEST = $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# One job at a time on each GPU; without a GPU nothing is limited by it.
LIMITS = $(if $(shell command -v nvidia-smi),--resources gpu=$(shell $(PYTHON) workflow/scripts/slimspeech/gpu.py))

.PHONY: run study study-tables report check-gpu test test-all lint unit docs faults pictures lock

run: .venv/installed
	@$(BIN)/python workflow/config_form.py $(CONFIG)
	$(BIN)/snakemake --cores $(CORES) $(LIMITS) --configfile $(CONFIG)
	@$(BIN)/python workflow/scripts/show_results.py $(CONFIG)

study: .venv/installed
	$(BIN)/snakemake --cores $(CORES) $(LIMITS) --configfile config/study.yaml
	@cat results/study/seeds.md

# In a folder of its own, so that no results of `make study` are overwritten. No other rules are allowed,
# because they would make again what led to the translations.
STORED = --configfile config/study.yaml --config experiment=stored-study
study-tables: .venv/installed
	mkdir -p results/stored-study
	for archive in resources/study/*.tar.xz; do \
	  tar -xJmf $$archive -C results/stored-study --strip-components 2 || exit; \
	done
	$(BIN)/snakemake --cores 1 $(STORED) --allowed-rules summarise_seeds -- results/stored-study/seeds.md
	$(BIN)/snakemake --cores 1 $(STORED) --allowed-rules report_so_far -- report_so_far
	@cat results/stored-study/seeds.md

report: .venv/installed
	@$(BIN)/python workflow/config_form.py $(CONFIG)
	$(BIN)/snakemake --cores 1 --configfile $(CONFIG) -- report_so_far

# The default config is of a model that needs no GPU.
check-gpu: CONFIG = config/iwslt2025.yaml
check-gpu: .venv/installed
	$(BIN)/python benchmarks/check_gpu.py $(CONFIG) $(GPU_OPTIONS)

test: lint unit

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint

unit: .venv/installed
	$(PYTEST)

test-all: .venv/installed $(ENVIRONMENTS)
	$(PYTEST) -m slow $(SLOW)

docs: .venv/installed
	$(BIN)/sphinx-build -q -W --keep-going -c docs -d .venv/doctrees . site

faults: export FAULTS_RECORD := $(CURDIR)/.venv/faults.jsonl
faults: export KILLS := 30
faults: .venv/installed
	@rm -f $(FAULTS_RECORD)
	$(BIN)/pytest -m "" tests/faults
	@$(BIN)/python tests/faults/fault_table.py $(FAULTS_RECORD)

# tred leaves out the arrows that follow from others.
pictures: .venv/installed
	$(BIN)/snakemake --forceall --rulegraph | tred | dot -Tsvg > docs/rulegraph.svg

.venv/installed: envs/venv.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --requirement envs/venv.lock
	install envs/slimspeech $(BIN)
	@touch $@

# Remade whole, so that nothing of an older lock stays in it.
.venv-comet/installed: envs/comet.lock
	@$(COMET_PYTHON) -c 'import sys; sys.exit("COMET needs Python 3.11 or 3.12 (its numpy has no other wheels): give one as COMET_PYTHON") if sys.version_info[:2] not in ((3, 11), (3, 12)) else None'
	$(COMET_PYTHON) -m venv --clear .venv-comet
	.venv-comet/bin/pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --requirement envs/comet.lock
	@touch $@

# vLLM for CPUs. Its lock leaves out what the engine does not use on a CPU, among it builds for CUDA,
# so pip takes the lock as it is.
.venv-vllm/installed: envs/vllm.lock
	$(PYTHON) -m venv --clear .venv-vllm
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --no-deps --requirement envs/vllm.lock
	@touch $@

# llama.cpp: its converter needs an older transformers.
.venv-gguf/installed: envs/gguf.lock
	$(PYTHON) -m venv --clear .venv-gguf
	.venv-gguf/bin/pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --requirement envs/gguf.lock
	@touch $@

# After a change of pins in envs/*.yaml. The second is of comet.yaml alone, with setuptools, which
# pip-compile leaves out unless told not to. The third and the fourth are of gguf.yaml and of vllm.yaml alone,
# the latter without the packages named.
lock: .venv/installed
	$(call resolve,venv)
	$(call resolve,comet,comet.yaml,--allow-unsafe)
	$(call resolve,gguf,gguf.yaml)
	$(call resolve,vllm,vllm.yaml,$(foreach name,torchaudio torchcodec torchvision triton,--unsafe-package $(name)))

define resolve
$(BIN)/python envs/list_pins.py $(2) > .venv/$(1).in
$(BIN)/pip-compile --quiet --strip-extras --no-annotate --no-header --no-emit-find-links \
  --no-emit-index-url --no-emit-trusted-host $(3) --output-file .venv/$(1).lock .venv/$(1).in
@echo '# Made by `make lock` from the pins in envs/*.yaml; do not edit.' > envs/$(1).lock
@sed '/^#/d; /^$$/d; s/+cpu$$//' .venv/$(1).lock >> envs/$(1).lock
endef
