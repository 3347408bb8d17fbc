# One entry point for people and for CI. Needs Python 3.11 or newer and make, nothing else.
#
# Everything is installed into $(VENV) from requirements/*.txt, which pin every
# package by version and hash; a stamp makes the second run quick.

VENV    ?= .venv
WORKERS ?= 2
BIN     := $(VENV)/bin
CODE    := src tests benchmarks docs vendoring hatch_build.py
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The first interpreter that is new enough; PYTHON=… chooses another.
PYTHON  ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

# Tests talk to real programs, on a machine that may be busy: what fails is tried once more, by itself, and that is seen.
TESTS = $(BIN)/pytest -n $(WORKERS) --dist worksteal || { test $$? -eq 1 \
	&& echo "What failed is tried once more, by itself. What fails twice has failed." \
	&& $(BIN)/pytest --last-failed --last-failed-no-failures none --maxfail 10; }

.DEFAULT_GOAL := help
.PHONY: help demo test torture check format bench docs lock clean

help: ## Say what can be made
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## Bring up a throw-away archive with sample studies
	@$(BIN)/leadglass demo

test: $(VENV)/.dev ## Run the tests
	@$(TESTS)

torture: $(VENV)/.dev ## Kill an archive under load 200 times (a quarter of an hour)
	@$(BIN)/python -m tests.hostile.torture --kills 200

check: $(VENV)/.dev ## Run everything that CI runs: format, lint, types, layering, tests
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	@$(TESTS)

format: $(VENV)/.dev ## Format and mend what can be mended by a tool
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: $(VENV)/.dev ## Measure against named peers and the disk's own limit
	$(BIN)/python -m benchmarks.dimse

docs: $(VENV)/.dev ## Write the generated pages of docs/ anew
	$(BIN)/python docs/generate.py

lock: $(VENV)/.dev ## Resolve requirements/*.txt anew from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
		pyproject.toml requirements/build.in -o requirements/runtime.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
		-c requirements/runtime.txt --group dev pyproject.toml requirements/build.in -o requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
		requirements/npm.in -o requirements/npm.txt

clean: ## Remove what was made
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf src/leadglass/doors/pages/vendor src/leadglass/doors/pages/viewer/site
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Leadglass needs Python 3.11 or newer; none was found. Install it, or say PYTHON=/path/to/python." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python could not make a virtual environment. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

# The viewer is fetched by npm while Leadglass is built: the machine's, else the one that a pinned wheel brings.
$(VENV)/.runtime: requirements/runtime.txt pyproject.toml hatch_build.py $(wildcard vendoring/*) | $(VENV)/.made
	@echo "Installing Leadglass into $(VENV) …" >&2
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/runtime.txt
	@command -v npm >/dev/null || $(BIN)/python -m pip install --quiet --require-hashes -r requirements/npm.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	@echo "Installing the tools for tests into $(VENV) …" >&2
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@
