# Everything from a fresh clone: `make demo`, `make test`. Needs Python 3.11+, a C++ compiler and cmake.
SHELL := /bin/bash
# No -u: the setup.bash of ROS 2 reads variables that are not set.
.SHELLFLAGS := -e -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-rest bench clean

PYTHON ?= python3
BAG ?=
ASK ?=
TOPIC ?=
MODEL ?= rooms
RATE ?= 1.0
EVERY ?=
WHEELS ?= jazzy
OUT ?= out/demo.png

LOAD := source tools/env.bash $(WHEELS)
# pytest's own limit cannot end a test that hangs in C; ABRT shows where every thread is (faulthandler).
PYTEST := timeout --foreground --signal=ABRT --kill-after=60 1800 pytest -q --timeout=300

# Where the user has chosen no domain, tests keep to one of their own; what runs on the machine is not disturbed.
TEST_DOMAIN := export ROS_DOMAIN_ID=$${ROS_DOMAIN_ID:-$$((RANDOM % 90 + 10))}

help:
	@echo "make demo                     set up, then play the shipped recording to a real node and draw its answers"
	@echo "make demo BAG=my_bag ASK='..' the same with your recording (TOPIC=, EVERY=, MODEL=, RATE=, OUT=)"
	@echo "make test                     set up, check the code, run the tests (under 10 minutes)"
	@echo "make test-all                 also the long tests, and a build and the tests on Kilted (under 60 minutes)"
	@echo "make bench                    measure: responses while the model generates; the engine against generate"
	@echo "make setup                    virtual environment, ROS 2, the built package"
	@echo "make clean                    remove all that was made here"
	@echo
	@echo "PYTHON=python3.12 chooses the interpreter, WHEELS=kilted the ROS 2 (where none is sourced)."

setup:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 or newer, or name yours with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) tools/set_up.py --wheels $(WHEELS)

demo: setup
	@$(LOAD); llava-ov demo --model "$(MODEL)" --rate $(RATE) --out "$(OUT)" \
	  $(if $(BAG),--bag "$(BAG)") $(if $(TOPIC),--topic "$(TOPIC)") $(if $(ASK),--ask "$(ASK)") $(if $(EVERY),--every $(EVERY))

test: setup
	@$(LOAD); $(TEST_DOMAIN); \
	echo "[test 1/5] ruff check"; ruff check . ; \
	echo "[test 2/5] ruff format"; ruff format --check . ; \
	echo "[test 3/5] mypy"; mypy ; \
	echo "[test 4/5] import contracts"; lint-imports --no-cache ; \
	echo "[test 5/5] pytest, all but the long tests, on $$ROS_DISTRO"; $(PYTEST) -m "not long"

test-all: test test-rest

# What test-all has beyond test.
test-rest: setup
	@$(LOAD); $(TEST_DOMAIN); \
	echo "[test-all 1/2] pytest, the long tests, on $$ROS_DISTRO"; \
	code=0; $(PYTEST) --timeout=1200 -m long || code=$$?; \
	if [ $$code -eq 5 ]; then echo "there are no long tests"; elif [ $$code -ne 0 ]; then exit $$code; fi
	@echo "[test-all 2/2] build and tests on Kilted, with the oldest transformers"
	@$(MAKE) --no-print-directory setup WHEELS=kilted
	@source tools/env.bash kilted; $(TEST_DOMAIN); $(PYTEST) -m "not long"

bench: setup
	@$(LOAD); llava-ov bench callbacks; llava-ov bench engine

clean:
	rm -rf .venv .venv-kilted build build-kilted install install-kilted log log-kilted out
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find llava_ov_ros test tools launch -name __pycache__ -type d -prune -exec rm -rf {} +
