# Everything below sets itself up in .venv from constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: setup demo test slow lint types docs clean

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,serving]'
	touch $@

.venv/.demo: .venv/.installed examples/demo-packages.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r examples/demo-packages.txt
	touch $@

demo: .venv/.demo  ## the main job on the embedded default
	$(BIN)/python examples/demo.py --output out/demo

test: .venv/.demo  ## the fast tests, one process a core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

slow: .venv/.demo  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy src/optimum_ose src/optimum/commands/register/register_ose.py

docs: .venv/.docs  ## the site, in site/; every warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.venv/.docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

clean:
	rm -rf .venv out build dist site
