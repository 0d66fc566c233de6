# The commands of this repository. Each sets up what it needs; the second time that takes no time.

SHELL := bash
.DEFAULT_GOAL := help
BIN := .venv/bin
BOARDS := $(notdir $(patsubst %/,%,$(wildcard firmware/boards/*/)))
ARGS ?=

NEWLIB = /usr/include/newlib
C_SOURCES = $(shell git ls-files --cached --others --exclude-standard 'firmware/*.[ch]' 'protocol/c/*.[ch]' 'tests/*.[ch]')

export PYTHONPATH := tools

help: ## show this list
	@echo "usage: make COMMAND"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## set up everything: Python environment, page, compiler, emulators, browser
	@tools/setup.sh test

demo: ## run the real firmware on the virtual board, bridge it, serve the page (ARGS="--duration 10" ends by itself)
	@tools/setup.sh demo
	@$(BIN)/python tools/demo.py $(ARGS)

test: setup ## lint, build the firmware for every board, check sizes, generated files and coverage, run every test
	@$(MAKE) --no-print-directory lint firmware
	@$(BIN)/python bridge/hatch_build.py npm test
	@$(BIN)/python tools/check_coverage.py --reset
	@$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 2 $(ARGS)
	@[ -n "$(ARGS)" ] || $(BIN)/python tools/check_coverage.py

lint: setup ## every static check: ruff, mypy, clang-format, cppcheck, layers, generated files, tsc
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy bridge protocol tools tests
	$(BIN)/lint-imports
	$(BIN)/python tools/check_layers.py
	$(BIN)/python tools/generate_protocol.py --check
	$(BIN)/python tools/bench/report.py --check
	$(BIN)/clang-format --dry-run --Werror $(C_SOURCES)
	cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
	    --suppress=missingIncludeSystem -Ifirmware -Iprotocol/c/include -Ifirmware/port/stm32f4 \
	    -Ifirmware/boards/nucleo_f411re firmware/app firmware/drivers firmware/lib firmware/port protocol/c
	$(BIN)/clang-tidy --quiet $(filter-out tests/%.c,$(filter %.c,$(C_SOURCES))) -- --target=arm-none-eabi -mcpu=cortex-m4 -mthumb \
	    -mfloat-abi=soft -std=c11 -isystem $(NEWLIB) -Ifirmware -Iprotocol/c/include -Iprotocol/c -Ifirmware/port/stm32f4 \
	    -Ifirmware/boards/nucleo_f411re 2>build/clang-tidy.log || { cat build/clang-tidy.log; exit 1; }
	$(BIN)/python bridge/hatch_build.py npm run check

firmware: ## build the firmware for every board, hold its size and its worst-case stack against the budgets
	@tools/setup.sh demo
	@PATH="$(abspath $(BIN)):$$PATH"; cd firmware && for board in $(BOARDS); do \
	    cmake --preset $$board --log-level=WARNING >/dev/null && cmake --build --preset $$board || exit 1; done
	@$(BIN)/python tools/check_size.py
	@$(BIN)/python tools/check_stack.py

flash: ## put the firmware on a board through its ST-LINK (BOARD=nucleo_f411re)
	@tools/setup.sh demo
	@PATH="$(abspath $(BIN)):$$PATH"; $(if $(filter $(BOARD),$(BOARDS)),cd firmware && cmake --preset $(BOARD) --log-level=WARNING >/dev/null && cmake --build --preset $(BOARD))
	@$(BIN)/python tools/flash.py $(BOARD) $(ARGS)

bench: setup ## measure everything, write docs/benchmarks.json and docs/benchmarks.md (ARGS="wire decode" for some)
	@$(BIN)/python -m pip install --disable-pip-version-check -q -e '.[bench]'
	@$(BIN)/python -m bench $(ARGS)

fuzz: ## fuzz the board's decoder and command handler for a minute (ARGS="--seconds 600 commands" for longer)
	@tools/setup.sh fuzz
	@$(BIN)/python tools/fuzz.py $(ARGS)

clean: ## remove everything that was built; the Python environment too
	rm -rf .venv build artifacts firmware/build bridge/dashboard/node_modules bridge/dashboard/build-tests bridge/telemetry_bridge/server/static
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup demo test lint firmware flash bench fuzz clean
