# Every recipe works from a fresh clone with Python 3.11+, pip and make; the environment is made once, in .venv.
PYTHON ?= python3
PEERS ?= .peers
AUDIT ?= .audit
PROCESSES ?= 2
MLFLOW ?= .mlflow
VENV := .venv
BIN := $(VENV)/bin
# A file's tests stay in one process: they share what is slow to make.
PYTEST := $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test engines fast coverage check docs notebooks bench peers audit fuzz mutants trackers clean

demo: $(VENV)/.installed            ## set up, then train, test and report on a built-in sample dataset
	$(BIN)/keensight demo

test: $(VENV)/.dev                  ## set up with the development tools, then run every test
	$(PYTEST) -o tmp_path_retention_policy=failed  # what passing tests leave comes to five gigabytes

engines: $(VENV)/.dev               ## the tests of frozen networks once more, on OpenVINO, installed separately
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(VENV)/openvino openvino
	PYTHONPATH=$(VENV)/openvino $(BIN)/python -m pytest tests/unit/nets/test_litert.py tests/unit/nets/test_transfer.py

trackers: $(VENV)/.dev              ## the test of MLflow against a real server, which is installed separately
	$(PYTHON) -m venv --without-pip $(MLFLOW)
	$(PYTHON) -m pip --python $(MLFLOW)/bin/python install --quiet --upgrade mlflow
	KEENSIGHT_MLFLOW=$(CURDIR)/$(MLFLOW)/bin/mlflow $(BIN)/python -m pytest tests/e2e/test_mlflow_server.py

fast: $(VENV)/.dev                  ## the tests that train nothing
	$(PYTEST) -m "not slow"

coverage: $(VENV)/.dev              ## the same, and how much of the package they run
	$(BIN)/python -m pytest -m "not slow" --cov --cov-report=term

check: $(VENV)/.dev                 ## lint, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs                 ## write the generated pages, then build the site into site/
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict

notebooks: $(VENV)/.dev             ## run the tour and the recipes, and write them with their outputs
	$(BIN)/python notebooks/build.py

bench: $(VENV)/.installed           ## time the start of the command line
	$(BIN)/python benchmarks/startup.py

audit: $(VENV)/.installed           ## look for known vulnerabilities in what is installed; needs a network
	$(PYTHON) -m venv --without-pip $(AUDIT)
	$(PYTHON) -m pip --python $(AUDIT)/bin/python install --quiet --upgrade pip-audit
	$(AUDIT)/bin/pip-audit --strict --skip-editable --path $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

fuzz: $(VENV)/.dev                  ## two minutes of damaged files for each reader, about 50 minutes
	$(BIN)/python benchmarks/fuzz.py --minutes 2

mutants: $(VENV)/.dev               ## whether the tests notice a random sample of small changes, about half an hour
	$(BIN)/python benchmarks/mutants.py --sample 200

peers: $(PEERS)/.installed          ## set up the tools that Keensight is compared with, several GB

clean:                              ## remove the environment and the caches of the tools
	rm -rf $(VENV) .peers .audit .mlflow site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# --without-pip, then pip from outside: works where ensurepip is missing (Debian), and brings a pip that knows --group.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Keensight needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "Setting up $(VENV), once. TensorFlow is large: this takes some minutes."
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --upgrade pip

$(VENV)/.installed: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $(VENV)/.installed $@

$(VENV)/.docs: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $(VENV)/.installed $@

$(PEERS)/.installed: pyproject.toml benchmarks/peers/requirements.txt
	$(PYTHON) -m venv --without-pip $(PEERS)
	$(PYTHON) -m pip --python $(PEERS)/bin/python install --quiet --requirement benchmarks/peers/requirements.txt
	$(PYTHON) -m pip --python $(PEERS)/bin/python install --quiet --editable .
	@touch $@
