# Two commands for a user: `make demo` and `make test`. Both need only Python >= 3.11 and make.
PYTHON ?= python3
PIP := .venv/bin/python -m pip

.PHONY: help demo test docs clean

help:
	@echo "make demo   the whole pipeline, small: record, learn, label, filter, train an agent, let it play; writes demo/"
	@echo "make test   lint, types and tests"
	@echo "make docs   write docs/commands.md and docs/api.md again"
	@echo "make clean  remove .venv, caches and demo/"

demo: .venv/.ready
	.venv/bin/ghostpad demo --out demo

test: .venv/.ready-for-tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/pytest -n 2 --dist loadfile

docs: .venv/.ready-for-tests
	.venv/bin/python -m ghostpad.lab.docs docs/commands.md
	.venv/bin/python -m ghostpad.lab.api_docs docs/api.md

clean:
	rm -rf .venv demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is older than pyproject.toml or constraints.txt when the environment is out of date.
.venv/.ready: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) install -c constraints.txt -e ".[games]"
	@touch $@

.venv/.ready-for-tests: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) install -c constraints.txt -e ".[games,siglip,fetch,s3,ray,dev]"
	@touch $@ .venv/.ready

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ghostpad needs Python >= 3.11: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv .venv
