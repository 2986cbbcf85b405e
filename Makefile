# Each target does all the set-up that it needs on a fresh machine.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
HOST_PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
# Without compiled files, which some machines forbid, each process of the tests takes ten seconds more to read them.
unexport PYTHONDONTWRITEBYTECODE
TIMES ?= 20
FAULT_TESTS := $(addprefix tests/,job/test_faulty_engine.py job/test_killed_jobs.py job/test_outside_faults.py job/test_hung_engine.py job/test_signals.py job/test_main_thread.py \
	job/test_resume.py sandbox/test_killed.py sandbox/test_leftovers.py sandbox/test_cut_stream.py sandbox/test_slot_lost.py \
	store/test_journal.py store/test_folder_lock.py cli/test_surroundings.py cli/test_hostile_output.py)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

.PHONY: help setup setup-dev engine images run run-fake test test-fast test-pythons test-peers test-report browser redteam faults fuzz lint audit bench docs docs-console example screenshots lock clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

$(VENV)/made:
	@test -n "$(HOST_PYTHON)" || { echo "error: Python 3.11 to 3.13 is needed (Debian: apt-get install python3 python3-venv)"; exit 3; }
	@$(HOST_PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && echo "installing python3-venv" && apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; } \
	  || { echo "error: Python's venv is missing (Debian: sudo apt-get install python3-venv)"; exit 3; }
	$(HOST_PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/runtime: $(VENV)/made requirements.lock
	$(PIP) -r requirements.lock
	@touch $@

$(VENV)/dev: $(VENV)/runtime requirements-dev.lock
	$(PIP) -r requirements-dev.lock
	@touch $@

setup: $(VENV)/runtime ## Virtual environment and pinned dependencies
setup-dev: $(VENV)/dev

engine: setup ## A Docker engine: found, or installed and started (Debian, root)
	@$(BIN)/python -m runner doctor --install-engine --quiet >/dev/null

images: engine ## Build the sandbox images
	@$(BIN)/python -m runner doctor --build base --build ml --build parse --build c

run: engine ## The main job: ten episodes, each graded
	$(BIN)/python -m runner --runs 10

run-fake: setup-dev images ## The main job with the real SDK against a double of the model's API on this machine
	$(BIN)/python -m tests.fakes.played_episodes --runs 10 --concurrency 4

test: setup-dev images browser ## All tests, on the real engine
	$(BIN)/python -m tests.suite

test-fast: setup-dev ## The tests that need no engine and no seconds of their own (half a minute)
	$(BIN)/python -m pytest -n auto --dist worksteal --hypothesis-profile fast -m "not engine and not slow"

test-pythons: setup-dev images ## The fast tests and one real job with each Python that is supported, where it is on this machine
	$(BIN)/python -m tests.pythons

test-peers: setup-dev images ## Trainers' and other programs' own packages against ours, each in an environment of its own
	$(BIN)/python -m tests.peers

# 110 MB and ten seconds on a fast line. Where it cannot be installed, the tests that need it say so.
browser: setup-dev $(VENV)/axe ## Chromium (installed on Debian as root) and axe-core, for the tests of a job's page
	@command -v chromium chromium-browser google-chrome >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && echo "installing chromium" && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } \
	  || echo "no Chromium (Debian: sudo apt-get install chromium): the tests of report.html in a browser will fail"

$(VENV)/axe: $(VENV)/made requirements-browser.lock
	@rm -rf $@
	$(PIP) --no-deps --target $@ -r requirements-browser.lock
	@touch $@

test-report: browser ## The tests of a job's page, in Chromium with axe-core, too
	$(BIN)/python -m pytest tests/report/html tests/cli/test_report.py

redteam: setup images ## Hostile cases against this host's sandbox, all cheats and honest optimisations against its grading
	$(BIN)/python -m runner selftest --sandbox
	$(BIN)/python -m runner selftest

# What measures and the rest run at once; the rest stands back where both want a CPU.
faults: setup-dev images ## Faults from outside, TIMES times in a row (20): kills, signals, disks, an engine that fails
	@for time in $$(seq $(TIMES)); do echo "== $$time of $(TIMES)"; \
	  nice -n 10 $(BIN)/python -m pytest -q -x -n 8 --dist worksteal -m "not measures" $(FAULT_TESTS) & others=$$!; \
	  $(BIN)/python -m pytest -q -x -m measures $(FAULT_TESTS) || { kill $$others; wait $$others; exit 1; }; \
	  wait $$others || exit 1; done

fuzz: setup-dev ## The readers of what comes out of a sandbox, and its file tools: 10000 cases each
	$(BIN)/python -m pytest --hypothesis-profile fuzz tests/sandbox/test_wire.py tests/sandbox/test_file_tools.py tests/agents/test_tool_results.py tests/episode/test_tool_calls.py tests/grading/test_answers.py tests/grading/test_checks.py

lint: setup-dev ## ruff, mypy --strict, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup images ## Print the measurements that the documents quote
	@for script in $(filter-out bench/project_path.py,$(wildcard bench/*.py)); do \
	  echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: setup-dev ## Write docs/reference and the copy of --help again from the code
	$(BIN)/python -m tests.project.reference_pages

docs-console: setup-dev images ## Run ten scripted episodes and keep their console in docs/console
	$(BIN)/python -m tests.project.reference_pages --console

example: setup-dev images ## Play ten scripted episodes and keep them, with report and analysis, in docs/examples
	$(BIN)/python -m tests.project.example

CHROMIUM = $(shell command -v chromium chromium-browser google-chrome | head -1)
SCREENSHOT = $(CHROMIUM) --headless=new --no-sandbox --hide-scrollbars --window-size=1200,900
PAGE = file://$(CURDIR)/docs/examples/ten-runs/report.html

screenshots: browser ## Take the README's pictures of the example's page again
	$(SCREENSHOT) --screenshot=$(CURDIR)/docs/images/report-light.png $(PAGE)
	$(SCREENSHOT) --force-dark-mode --blink-settings=preferredColorScheme=0 --screenshot=$(CURDIR)/docs/images/report-dark.png $(PAGE)

audit: setup-dev ## Known holes in what the lock files pin; fails where they could not all be asked about
	@$(BIN)/python -m tests.project.audit

lock: setup-dev ## Write the lock files again
	$(BIN)/python -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  pyproject.toml -o requirements.lock
	$(BIN)/python -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  pyproject.toml --group dev -o requirements-dev.lock

clean: ## Remove the virtual environment and caches; output/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
