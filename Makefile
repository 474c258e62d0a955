# Everything a developer types. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
COUNT ?= 200
SEED ?= 1
SURFACE ?= console
JOBS ?= 3
BIN := .venv/bin
# Tests start our programs hundreds of times; without their compiled modules each start costs a quarter of a second.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test browser check fmt bench faults lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.done ## everything the project needs, into .venv and, when it is missing, bubblewrap

.venv/.done: pyproject.toml uv.lock tools/setup.sh
	@bash tools/setup.sh
	@touch $@

demo: setup ## a chat with an agent, here and now
	@$(BIN)/threadwork chat

test: setup ## the whole suite (ARGS="tests/unit -k name" for a part)
	@$(BIN)/pytest -q -n $(JOBS) --dist loadfile --ignore tests/browser $(ARGS)

browser: setup ## the admin page in a real Chromium, which is brought when it is missing
	@bash tools/setup.sh browser
	@$(BIN)/pytest -q tests/browser $(ARGS)

check: setup ## format, lint, types, imports
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

fmt: setup ## format, and mend what can be mended
	@$(BIN)/ruff format -q . && $(BIN)/ruff check --fix -q .

bench: setup ## measure, and write bench/RESULTS.md
	@$(BIN)/python -m bench

faults: setup ## COUNT random fault schedules from SEED on, on SURFACE (SEED=n COUNT=8 replays a round)
	@$(BIN)/python -m tests.faults --surface $(SURFACE) --count $(COUNT) --seed $(SEED)

lock: setup ## resolve the dependencies anew
	@PATH="$$PWD/.uv/bin:$$PATH" uv lock --upgrade

clean: ## take away what was made
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
