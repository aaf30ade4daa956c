# Needs only python3 (3.11 or newer), make and a C++ compiler; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
SOURCES := pyproject.toml hatch_build.py $(wildcard pythran_kernels/*.py)

.PHONY: dashboards lab test tiny notebooks install kernels format clean

dashboards: install  ## serve every notebook as a dashboard
	$(BIN)/workbench dashboards --open

lab: install  ## open the notebooks in JupyterLab
	$(BIN)/workbench lab

test: install  ## every test: library, notebooks, dashboards in a browser
	$(BIN)/python -m pytest

tiny: install  ## the ten-second subset that the commit hook runs
	$(BIN)/python -m pytest tests/test_tiny.py

notebooks: install  ## run the notebooks and store the outputs that the tests compare with
	$(BIN)/python tests/refresh_notebooks.py

install: $(STAMP)

kernels: $(STAMP)  ## recompile what changed

$(STAMP): $(SOURCES)
	@test -x $(BIN)/uv || ($(PYTHON) -m venv .venv && $(BIN)/pip install --quiet uv)
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --compile-bytecode --reinstall-package ternary-workbench --group dev -e .
	@touch $@

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build runs
