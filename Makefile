# make demo: see it work.  make test: check everything.  Needs Python 3.11 and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
KERNELS := $(wildcard daemon/livestrain_core/*.py) daemon/livestrain_daemon/worker/warm.py daemon/livestrain_daemon/scan/deriving.py
COMPILE := @$(BIN)/python -c "import sys; from livestrain_daemon.doctor import compile_kernels; compile_kernels(tuple(sys.argv[1:]))"

# the tests start processes by the hundred; without bytecode each would compile every source again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types imports tests install clean

demo: $(VENV)/.demo
	$(BIN)/livestrain demo

# kernels that are not in the cache yet are compiled beside the checks of the source; one processor each
test: $(VENV)/.dev
	@$(MAKE) --no-print-directory --jobs 2 $(VENV)/.kernels types lint imports
	@$(MAKE) --no-print-directory tests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

# three processes on two processors: many a test waits, for a clock or for a process that starts;
# the threads of a linear algebra library would only wait for the other processes';
# where a process of the tests dies, pytest-xdist would wait for ever for the one that replaces it
tests: export OPENBLAS_NUM_THREADS := 1
tests: $(VENV)/.kernels
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder --max-worker-restart 0

install: $(VENV)/.kernels

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing ..."
	$(PIP) -e '.[demo]'
	@echo "compiling the kernels ..."
	$(COMPILE) uint16
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing ..."
	$(PIP) --no-compile -e '.[dev]'
	@touch $@

# one that has changed would otherwise be compiled in each of the processes that test it
$(VENV)/.kernels: $(VENV)/.dev $(KERNELS)
	@echo "compiling the kernels ..."
	$(COMPILE) uint8 uint16 float32
	@touch $@

clean:
	rm -rf $(VENV) demo-output build dist
	find . -name __pycache__ -prune -exec rm -rf {} +
