# Every target does the set-up that it needs. Stamp files inside the environments make the second run cost nothing.
#   PYTHON=python3.12 make demo    another Python (3.11 to 3.13)
#   make test ARGS="-k pseudonym"  more arguments for the command behind a target

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=

VENV := .venv
TRITON := .venv-triton
TRAINING := .venv-training

BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --require-hashes
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE)
PREPARE := sh deploy/local/prepare.sh

# Where this is set, every process compiles all that it imports anew, which takes longer than most of what it then does.
unexport PYTHONDONTWRITEBYTECODE
# ONNX Runtime's own builds report models and machines to their maker, unless this says no before they are loaded.
export ORT_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo up down test check bench fuzz test-training test-containers lock clean browser tools
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 22

setup: $(VENV)/.product $(TRITON)/.ready ## the product's environment and the Triton server's, nothing started

demo: setup ## studies from files to a worklist in the browser; stays up until `make down`
	$(BIN)/radstream demo $(ARGS)

up: setup tools ## Kafka, registry, Cassandra, S3 and Triton on this machine, and Radstream on them; stays up until `make down`
	$(BIN)/python -m deploy.local resolve
	$(BIN)/radstream up --profile cluster $(ARGS)

down: ## stop everything that this checkout started
	@if [ -x $(BIN)/radstream ]; then $(BIN)/radstream down $(ARGS) && $(BIN)/python -m deploy.local down; else echo "Nothing was started from here."; fi

test: $(VENV)/.tests $(TRITON)/.ready browser tools ## every test
	RADSTREAM_TEST_SERVERS=$${RADSTREAM_TEST_SERVERS-local} $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup $(ARGS)

check: $(VENV)/.tests ## ruff, mypy and the import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench $(TRITON)/.ready ## the product against its peers and limits, in one run
	$(BIN)/python -m benchmarks $(ARGS)

fuzz: $(VENV)/.tests ## damaged files against de-identification, guided by coverage; ARGS="--seconds 3600"
	$(INSTALL) --python $(BIN)/python --requirement requirements/fuzz.txt
	$(BIN)/python -m tests.fuzz.deidentification $(ARGS)

test-training: $(TRAINING)/.ready ## the tests that need torch (3 GB), in an environment of their own
	$(TRAINING)/bin/python -m pytest tests/training --confcutdir=tests/training $(ARGS)

test-containers: $(VENV)/.tests $(TRITON)/.ready tools ## the composition and the engines' tests on containers; starts a Docker engine where none is (Debian, root)
	@PYTHON=$(BIN)/python tests/containers/run.sh .radstream-engine $(ARGS)

lock: $(VENV)/.installer ## compile requirements/*.txt again; UPGRADE=--upgrade takes newer versions
	$(COMPILE) requirements/bootstrap.in --output-file requirements/bootstrap.txt
	$(COMPILE) pyproject.toml --output-file requirements/product.txt
	$(COMPILE) pyproject.toml requirements/tests.in --constraint requirements/product.txt --output-file requirements/tests.txt
	$(COMPILE) pyproject.toml requirements/tests.in requirements/bench.in --constraint requirements/tests.txt --output-file requirements/bench.txt
	$(COMPILE) pyproject.toml requirements/tests.in requirements/fuzz.in --constraint requirements/tests.txt --output-file requirements/fuzz.txt
	$(COMPILE) --no-deps requirements/triton.in --output-file requirements/triton.txt
	$(COMPILE) requirements/training.in --output-file requirements/training.txt

clean: down ## stop, then remove environments, data and caches
	rm -rf $(VENV) $(TRITON) $(TRAINING) .radstream .radstream-servers .radstream-engine build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# --- environments -------------------------------------------------------------------------------------------------

$(VENV)/.installer: requirements/bootstrap.txt
	@python=$$($(PREPARE) python "$(PYTHON)") && "$$python" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

# The editable install lists the root packages: a new one is a new list.
$(VENV)/.product: $(VENV)/.installer requirements/product.txt pyproject.toml $(wildcard */__init__.py)
	@$(INSTALL) --python $(BIN)/python --requirement requirements/product.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.tests: $(VENV)/.product requirements/tests.txt
	@$(INSTALL) --python $(BIN)/python --requirement requirements/tests.txt
	@touch $@

$(VENV)/.bench: $(VENV)/.tests requirements/bench.txt
	@$(INSTALL) --python $(BIN)/python --requirement requirements/bench.txt
	@touch $@

# Without a Python that Triton's stub can embed there is no stamp: the reason is said again each time, and inference runs in-process.
$(TRITON)/.ready: requirements/triton.txt | $(VENV)/.installer
	@python=$$($(PREPARE) triton "$(PYTHON)") && [ -n "$$python" ] || exit 0; \
	$(UV) venv --quiet --clear --python "$$python" $(TRITON) && \
	$(INSTALL) --python $(TRITON)/bin/python --no-deps --requirement $< && touch $@

$(TRAINING)/.ready: requirements/training.txt | $(VENV)/.installer
	@$(UV) venv --quiet --clear --python $(BIN)/python $(TRAINING)
	@$(INSTALL) --python $(TRAINING)/bin/python --requirement $<
	@touch $@

browser: $(VENV)/.tests
	@$(PREPARE) browser $(BIN)/python
	@$(PREPARE) curl
	@$(PREPARE) dicom

tools:
	@$(PREPARE) servers
