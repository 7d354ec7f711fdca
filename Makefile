# Everything from a fresh clone: `make demo`, `make test`. Needs Python 3.11+, a C++ compiler and cmake.
SHELL := /bin/bash
# No -u: the setup.bash of ROS 2 reads variables that are not set.
.SHELLFLAGS := -e -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-others demo test test-all test-colcon test-long test-kilted test-extras test-web test-servers bench clean

PYTHON ?= python3
BAG ?=
ASK ?=
TOPIC ?=
MODEL ?= rooms
RATE ?= 1.0
EVERY ?=
WHEELS ?= jazzy
OUT ?= out/demo.png
# One more than two cores: the tests mostly wait.
WORKERS ?= 3

# A misspelt one would be ignored in silence.
VARIABLES := PYTHON BAG ASK TOPIC MODEL RATE EVERY WHEELS OUT WORKERS
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
UNKNOWN := $(filter-out $(VARIABLES),$(GIVEN))
$(if $(UNKNOWN),$(error there is no variable $(UNKNOWN): there are $(VARIABLES)))

LOAD := export LLAVA_OV_WHEELS="$(WHEELS)"; source tools/env.bash
# pytest's own limit cannot end a test that hangs in C; ABRT shows where every thread is (faulthandler).
PYTEST := timeout --foreground --signal=ABRT --kill-after=60 2400 pytest -q --timeout=300
# A module stays with one worker, so that its node is started once.
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Where the user has chosen no domain, tests keep to some of their own; what runs on the machine is not disturbed.
TEST_DOMAIN := export ROS_DOMAIN_ID=$${ROS_DOMAIN_ID:-$$((RANDOM % 80 + 10))}

help:
	@echo "make demo                     set up, then play the shipped recording to a real node and draw its answers"
	@echo "make demo BAG=my_bag ASK='..' the same with your recording (TOPIC=, EVERY=, MODEL=, RATE=, OUT=)"
	@echo "make test                     set up, check the code, run the tests (10 to 20 minutes on two cores; WORKERS=3)"
	@echo "make test-all                 also the six below (an hour)"
	@echo "make test-colcon              what \`colcon test\` runs in a workspace: the tests that take seconds"
	@echo "make test-long                the long tests"
	@echo "make test-kilted              what depends on ROS 2 or transformers, on Kilted with the oldest transformers"
	@echo "make test-extras              what needs Ray, lmms-eval, Java, Rerun or libraries that quantise, in an environment of its own"
	@echo "make test-web                 what drives a browser, about the page of a running node"
	@echo "make test-servers             what talks to a real vLLM on this CPU, in an environment of its own (10 minutes)"
	@echo "make bench                    measure: responses while the model generates; the engine against generate"
	@echo "make setup                    virtual environment, ROS 2, the built package"
	@echo "make setup-others             the environments of test-kilted, test-extras and test-servers"
	@echo "make clean                    remove all that was made here"
	@echo
	@echo "PYTHON=python3.12 chooses the interpreter, WHEELS=kilted the ROS 2 (where none is sourced)."

setup:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 or newer, or name yours with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) tools/set_up.py --wheels $(WHEELS)

setup-others:
	@$(MAKE) --no-print-directory setup WHEELS=kilted
	@$(PYTHON) tools/set_up.py --overlays
	@$(PYTHON) tools/set_up.py --extras
	@$(PYTHON) tools/set_up.py --servers

demo: setup
	@$(LOAD); llava-ov demo --model "$(MODEL)" --rate $(RATE) --out "$(OUT)" \
	  $(if $(BAG),--bag "$(BAG)") $(if $(TOPIC),--topic "$(TOPIC)") $(if $(ASK),--ask "$(ASK)") $(if $(EVERY),--every $(EVERY))

test: setup
	@$(LOAD); $(TEST_DOMAIN); \
	echo "[test 1/6] ruff check"; ruff check . ; \
	echo "[test 2/6] ruff format"; ruff format --check . ; \
	echo "[test 3/6] mypy"; mypy ; \
	echo "[test 4/6] import contracts"; lint-imports --no-cache ; \
	echo "[test 5/6] pytest, $(WORKERS) at a time, all but long tests, on $$ROS_DISTRO"; \
	$(PYTEST) $(PARALLEL) -m "not long and not extras and not servers and not web and not alone" ; \
	echo "[test 6/6] pytest, one at a time, what measures times or memory"; \
	$(PYTEST) -m "alone and not long and not extras and not servers and not web"

test-all: test test-colcon test-long test-kilted test-extras test-web test-servers

test-colcon:
	@$(MAKE) --no-print-directory setup WHEELS=jazzy
	@export LLAVA_OV_WHEELS=jazzy; source tools/env.bash; $(TEST_DOMAIN); \
	echo "[test-colcon] colcon test, on $$ROS_DISTRO"; \
	colcon test --packages-select llava_ov_ros ; \
	colcon test-result --test-result-base build/llava_ov_ros/test_results --all --verbose

test-long: setup
	@$(PYTHON) tools/set_up.py --overlays
	@$(LOAD); $(TEST_DOMAIN); \
	echo "[test-long 1/2] pytest, two at a time, the long tests, on $$ROS_DISTRO"; \
	$(PYTEST) --timeout=1200 -n 2 --dist loadfile --no-loadscope-reorder -m "long and not alone and not servers" ; \
	echo "[test-long 2/2] pytest, one at a time, the long tests with deadlines"; $(PYTEST) --timeout=1200 -m "long and alone and not servers"

test-kilted:
	@$(MAKE) --no-print-directory setup WHEELS=kilted
	@export LLAVA_OV_WHEELS=kilted; source tools/env.bash; $(TEST_DOMAIN); \
	echo "[test-kilted 1/2] pytest, $(WORKERS) at a time, what depends on ROS 2 or transformers, on $$ROS_DISTRO"; \
	$(PYTEST) $(PARALLEL) -m "(ros or transformers) and not long and not extras and not servers and not alone" ; \
	echo "[test-kilted 2/2] pytest, one at a time, what measures times or memory"; \
	$(PYTEST) -m "(ros or transformers) and alone and not long and not extras and not servers"

test-extras:
	@$(PYTHON) tools/set_up.py --extras
	@echo "[test-extras] pytest, what needs Ray, lmms-eval, Java, Rerun or libraries that quantise"
	@unset PYTHONPATH; PATH="$(CURDIR)/.venv-extras/bin:$$PATH"; \
	$(PYTEST) --timeout=1200 --no-skips -m extras test/evaluation test/cli/test_eval.py test/cli/test_replay_rrd.py \
	  test/onevision/test_quantise.py test/onevision/test_quantised_by_libraries.py

# One at a time: browser, node and page share the cores already.
test-web: setup
	@$(LOAD); $(TEST_DOMAIN); echo "[test-web] pytest, what drives a browser, on $$ROS_DISTRO"; $(PYTEST) -m web test/web

# One at a time: server and tests share the cores already.
test-servers: setup
	@$(PYTHON) tools/set_up.py --servers
	@$(LOAD); $(TEST_DOMAIN); echo "[test-servers] pytest, what talks to a real server of models, on $$ROS_DISTRO"; \
	$(PYTEST) --no-skips -m servers || { \
	  echo "[test-servers] what failed once more: servers share the cores with the tests, and stand still for seconds"; \
	  $(PYTEST) --no-skips -m servers --last-failed; }

bench: setup
	@$(LOAD); llava-ov bench callbacks; llava-ov bench engine

clean:
	rm -rf .venv .venv-kilted .venv-extras .venv-vllm build build-kilted install install-kilted log log-kilted out
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find llava_ov_ros test tools launch -name __pycache__ -type d -prune -exec rm -rf {} +
