# make demo          compile ResNet-18 for Eyeriss, run it on the simulated machine, verify it, print the report
# make test          the quick tests
# make validate      the quick tests and the long checks
# make conformance   ONNX's own tests, with effc as the backend, on two targets
# make lint          ruff and mypy
# make clean         remove the environment and everything that was built
#
# Needs Python 3.11 or newer; `make PYTHON=python3.12 demo` takes another one than python3.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
MODELS := build/models

.PHONY: demo test validate conformance lint clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed $(MODELS)/resnet18.onnx
	$(BIN)/effc compile $(MODELS)/resnet18.onnx --target eyeriss.hw --jobs $(JOBS) --verify -o build/resnet18.effx

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m "not validate" -n $(JOBS)

validate: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n $(JOBS)

conformance: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/validation/test_conformance.py -n $(JOBS)

validation: $(VENV)/installed
	$(BIN)/python benchmarks/published.py

# Only some versions of ruff format Markdown.
lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet --exclude '*.md'
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache effc.egg-info
	rm -f compiler/search/_kernel.*.so

$(MODELS)/%.onnx: $(VENV)/installed models/*.py models/*.npz
	$(BIN)/python models/build.py $* -o $(MODELS)

$(VENV)/installed: $(VENV)/created pyproject.toml
	$(PIP) install -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/created pyproject.toml
	$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/installed

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'effc needs Python 3.11 or newer: give one, as in `make PYTHON=python3.12 $(MAKECMDGOALS)`' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@
