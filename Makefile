# `make test` and `make run` do all their own set-up, on a fresh Debian 12 with python3 and make.

BIN := .venv/bin
export PYTHONPATH := $(CURDIR)/src
export PYTHONUNBUFFERED := 1
MAKEFLAGS += --no-print-directory

.PHONY: test run tour agreement wheel docs clean

test: .venv/ready
	$(BIN)/ruff check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2

# Debian's kernel where its package can be had, else the guest that comes with tanken
run: .venv/ready
	@$(BIN)/python -m tanken.cli.debian $(OPTIONS)

tour: .venv/ready
	$(BIN)/python -m tanken tour

agreement: .venv/ready
	$(BIN)/python -m tests.oracle.agreement
	$(BIN)/python -m tests.oracle.millions
	$(BIN)/python -m tests.oracle.information --count 200000

wheel: .venv/ready
	$(BIN)/python -m hatchling build -t wheel

docs: .venv/ready
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	$(BIN)/python -m sphinx -q -W -b html docs docs/_build

clean:
	rm -rf .venv docs/_build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/ready: pyproject.toml .ci/setup
	@bash .ci/setup
