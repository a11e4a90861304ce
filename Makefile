# Every habit of the project; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RECORD ?= data/mitdb208/208

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-lowest attack lock reproduce lint format docs clean
# The versions that CI runs, with their hashes: make LOCKED=1 ...
LOCKED ?=
LOCK := requirements/ci.txt
LOWEST := .venv-lowest
# 0 builds the documentation without running its examples: make EXAMPLES=0 docs
EXAMPLES ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/made: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is older than Python 3.11; name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
ifeq ($(LOCKED),)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
else
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endif
	@touch $@

demo: $(VENV)/made ## fit the record that ships with the project; results in out/208
	$(BIN)/ecgcvx fit $(RECORD)

test: $(VENV)/made ## run the tests on all cores, but for the slow ones
	@$(BIN)/ecgcvx warm # once, before every worker does it
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not slow"

test-slow: $(VENV)/made ## run the slow tests
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m slow

test-lowest: ## run the fast tests with the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements/lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n auto -m "not slow"

lock: ## resolve requirements/ci.txt (newest versions, hashes) and requirements/lowest.txt anew
	$(PYTHON) scripts/lock.py

attack: $(VENV)/made ## fuzz what is read for a minute, kill and interrupt commands for a minute each
	cd scripts && OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(CURDIR)/$(BIN)/python -m attack --seconds 60
	cd scripts && OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(CURDIR)/$(BIN)/python -m attack.kills --seconds 60
	cd scripts && OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(CURDIR)/$(BIN)/python -m attack.interrupts --seconds 60

reproduce: $(VENV)/made ## every slide of the lecture as figure and checked claim; page in out/lecture
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python scripts/reproduce/all.py $(if $(MITDB),--mitdb $(MITDB)) \
		$(if $(CIFAR),--cifar $(CIFAR))

lint: $(VENV)/made ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/made ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/made ## the documentation as a site in out/docs, warnings as errors
ifeq ($(LOCKED),)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
endif
	$(BIN)/python -m sphinx -W --keep-going -b html $(if $(EXAMPLES),-D plot_gallery=$(EXAMPLES)) -d out/doctrees docs out/docs

clean: ## remove the environment and everything made
	rm -rf $(VENV) $(LOWEST) out build docs/gallery *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
