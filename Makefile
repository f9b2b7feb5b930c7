# make bench   measure on whatever device there is, and write the report
# make test    install what the tests need, and run them; of large products of cases, a sample
# make test-all     the same with every case
# make endurance    kill runs for 60 rounds, four at once on one database; a quarter of an hour
PYTHON ?= python3
GRID ?= quick
VENV ?= .venv
BIN := $(VENV)/bin
# Modules are compiled when they are first imported, which most of torch's never are; an environment that forbids to
# keep them would have every process compile torch anew.
unexport PYTHONDONTWRITEBYTECODE
INSTALL = $(BIN)/python -m pip install --quiet --no-compile -c $(CONSTRAINTS)
# Three for two processors: many tests wait for a process that they started.
JOBS ?= $(shell expr $$(nproc) \* 3 / 2)
PYTEST := $(BIN)/python -m pytest
# In the order of their folders: the files that take longest have few tests, and would come last.
SIDE_BY_SIDE := $(PYTEST) -n $(JOBS) --maxprocesses 8 --no-loadscope-reorder

# An interpreter that has torch already (a GPU image) keeps it: the environment sees its packages.
HAS_TORCH := $(shell $(PYTHON) -c 'import importlib.util as u; print(u.find_spec("torch") is not None)' 2>/dev/null)
HAS_GPU := $(shell command -v nvidia-smi >/dev/null 2>&1 && echo yes)
VENV_FLAGS := $(if $(filter True,$(HAS_TORCH)),--system-site-packages)
CONSTRAINTS := $(if $(filter True,$(HAS_TORCH)),$(VENV)/constraints.txt,constraints.txt)
CUDA := $(if $(HAS_GPU),cuda)
comma := ,

.PHONY: bench test test-all test-gpu endurance check clean

bench: $(VENV)/installed-bench
	$(BIN)/linbench run --grid $(GRID)

test: SAMPLE := and not whole
test test-all: $(VENV)/installed-test
	$(SIDE_BY_SIDE) -m "not serial and not gpu $(SAMPLE)"
	TRITON_INTERPRET=1 $(SIDE_BY_SIDE) -o python_files='interpreted_*.py'
	$(PYTEST) -m "(serial or gpu) $(SAMPLE)"

test-gpu: $(VENV)/installed-test
	$(PYTEST) -m gpu

endurance: $(VENV)/installed-test
	ENDURANCE_ROUNDS=60 $(PYTEST) -s tests/endurance

check: $(VENV)/installed-test node_modules/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	npm run --silent lint
	! LC_ALL=C.UTF-8 grep -nE '.{111,}' linbench/report/templates/*  # lines within 110 columns

clean:
	rm -rf $(VENV) node_modules build *.egg-info

node_modules/installed: package.json
	npm install --no-package-lock --no-audit --no-fund --silent
	touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV_FLAGS) $(VENV)

$(VENV)/constraints.txt: constraints.txt | $(VENV)/bin/python
	grep -v '^torch' constraints.txt > $@
	$(BIN)/python -c 'from importlib.metadata import distributions as d; print(*{f"{x.name}=={x.version}" for x in d() if x.name in ("torch", "triton")}, sep="\n")' >> $@

$(VENV)/installed-bench: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(INSTALL) -e '.$(if $(CUDA),[$(CUDA)])'
	touch $@

$(VENV)/installed-test: pyproject.toml $(CONSTRAINTS) $(shell find tests/third_party -name '*.py') | $(VENV)/bin/python
	$(INSTALL) -e '.[test$(comma)check$(if $(CUDA),$(comma)$(CUDA))]' ./tests/third_party
	touch $@
