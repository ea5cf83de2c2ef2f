# One target a habit. Each makes .venv when it is missing or older than what it was made from; nothing else need be prepared
# but python3, python3-venv and make.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
BIN := .venv/bin
STAMP := .venv/made
JOBS ?= 2
# A worker begins with half of the tests and takes from the other at the end, so that what a module shares is made once.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -rs

# Exact versions for what builds a wheel too: pip before 25.3 reads the first name there, later ones the second.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_ROOT_USER_ACTION := ignore
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start hundreds of processes, and rewrite their own assertions: without bytecode each does it all again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all lint chaos bench docs messages clean
.DEFAULT_GOAL := test

demo: $(STAMP)  ## the whole drive on the sandbox, in a scratch folder, and a report to look at
	$(BIN)/outreach demo

test: lint  ## what every change must pass, in about three minutes
	$(PYTEST) -m "not long"

test-all: $(STAMP)  ## the long stories too
	$(PYTEST)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

chaos: $(STAMP)  ## kill -9, faults and interleavings, told at length
	$(PYTEST) -m long tests/journeys tests/test_outbox_machine.py tests/test_outbox_machine_wechat.py

bench: $(STAMP)  ## what we claim about speed, each script beside its own baseline
	@set -e; for script in $(filter-out benchmarks/people.py benchmarks/wire.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script; done

docs: $(STAMP)  ## docs/commands.md, written from the commands themselves
	$(BIN)/python docs/commands.py

messages: $(STAMP)  ## bring outreach/locale up to the msgids in the source, and compile it
	$(BIN)/python tests/messages.py

clean:
	rm -rf .venv build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "outreach needs Python 3.11 or newer (Debian: apt install python3 python3-venv)" >&2; exit 1; }
	$(BIN)/python -c "" 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,aliyun]'
	touch $@
