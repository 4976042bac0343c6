# make build: environment, install, then the whole line on the generated sample, ending with a submission.
# make test:  environment, install, lint, types, tests.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
JOBS ?= 2
CHAOS ?= data/chaos
# One thread a test process: two processes on two cores, and bit-equal results whatever the machine.
TEST_ENV := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: help build test chaos production lint types tests dev clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

build: $(INSTALLED) ## install, then the submission and a leaderboard, on the sample
	$(BIN)/recpipe build

test: lint types tests ## install, then lint, types and tests

chaos: $(INSTALLED) ## a hundred kills on the sample, and as root a full disk: docs/chaos.md
	$(BIN)/python benchmarks/chaos.py --work $(CHAOS) --out docs/chaos.md $(if $(filter 0,$(shell id -u)),--full-disk)

lint: $(INSTALLED) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED) ## mypy
	$(BIN)/mypy

tests: $(INSTALLED) ## pytest on two processes
	$(TEST_ENV) $(BIN)/pytest -n $(JOBS) --dist worksteal

dev: $(INSTALLED) ## Dagster's UI on http://localhost:3000
	. $(BIN)/activate && dagster dev

production: $(INSTALLED) ## the line on a PostgreSQL and an S3 server of this machine, both killed in the middle
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,postgres,s3,rehearsal]'
	$(BIN)/python tools/production/rehearsal.py

$(INSTALLED): pyproject.toml constraints.txt tools/activate.sh
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	sed -i.before '/recpipe-environment/,$$d' $(BIN)/activate
	cat tools/activate.sh >> $(BIN)/activate
	touch $@

clean: ## remove the environment and caches; data/ stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache build *.egg-info
