# `make demo` and `make test` do all the set-up on a fresh clone; they need Python 3.11 and make.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo test lint notebooks setup clean

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/nas-search --budget 300M-flops

notebooks: setup
	$(BIN)/python tests/test_notebooks.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup

clean:
	rm -rf .venv
