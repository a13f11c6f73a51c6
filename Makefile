# Every target sets up what it needs: a virtual environment, then the project and its tools.
PYTHON ?= python3
unexport PYTHONDONTWRITEBYTECODE # compiled once, since tests start many interpreters
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help cards serve test test-lowest pytest lint sbom bench shots clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -qq --disable-pip-version-check --editable '.[dev]'
	@touch $@

cards: $(READY) ## render all model pages, then build the site into site/
	$(BIN)/python tools/render_cards.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

serve: $(READY) ## browse the site at http://127.0.0.1:8000; pages are rendered before and after each edit
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

lint: $(READY) ## style, types, and what is risky in the source and the action
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive tools res2next 2>/dev/null # warnings on its own comments
	$(BIN)/zizmor --quiet --offline action.yml

test: $(READY) ## lint and types beside all tests, three at a time, since they often wait, then the site's own pages
	$(MAKE) --no-print-directory --jobs=2 lint pytest
	$(BIN)/python tools/render_cards.py --check --quiet

pytest: $(READY)
	$(BIN)/pytest -n 3 --dist worksteal --durations 20 --durations-min 5

test-lowest: $(READY) ## the main rooms with the lowest versions of dependencies that are allowed
	$(BIN)/python tools/lowest.py

sbom: $(READY) ## the wheel and its bill of materials (CycloneDX), into dist/
	$(BIN)/python tools/sbom.py

bench: $(READY) ## time builds, counting, snippets, inference and evaluation against peers in the same run
	$(BIN)/python tools/bench/all.py

shots: cards ## screenshots of the built site, to be looked at, into shots/ (needs Chromium)
	$(BIN)/python tools/shots.py

clean: ## remove what the targets made
	rm -rf $(VENV) $(VENV)-lowest dist site shots .pytest_cache .mypy_cache .ruff_cache
