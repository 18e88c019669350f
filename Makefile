# Two commands for a newcomer: `make demo` and `make test`. Each installs what it needs (setup.sh says what), once.

PYTHON := .venv/bin/python
READY := .venv/.ready
# tests at a time, and what else pytest shall be told: make test ARGS="-k wire"
JOBS ?= 2
ARGS ?=

.PHONY: help setup demo test test-all mutants doctor docs headers wheel clean distclean

help:
	@echo 'make demo       build the bundled digits model for Cortex-M7, boot it in the emulator, check 50 images over the serial line'
	@echo 'make test       the tests, with ruff, mypy and import-linter among them; JOBS=$(JOBS), ARGS="-k word"'
	@echo 'make test-all   the slow sweeps as well'
	@echo 'make mutants    small faults in the code, one at a time: does each room find its own? ARGS="planner wire" for some files'
	@echo 'make setup      only install what the others need: system packages (apt-get) and Python packages (.venv)'
	@echo 'make doctor     which tools are there, and what installs the missing ones'
	@echo 'make docs       the documentation as a site, into build/site'
	@echo 'make headers    the headers that a build generates, into build/include: what clangd wants beside templates/'
	@echo 'make wheel      dist/mbn2c-*.whl'
	@echo 'make clean      remove what was built; make distclean: .venv too'

demo: $(READY)
	$(PYTHON) -m mbn2c demo

# In small shares: of its own accord xdist gives each worker an eighth of all tests at once, one of them the long ones.
PYTEST = $(PYTHON) -m pytest -q -n $(JOBS) --maxschedchunk 50

test: $(READY)
	$(PYTEST) -m 'not slow' $(ARGS)

test-all: $(READY)
	$(PYTEST) $(ARGS)

mutants: .venv/.mutants
	$(PYTHON) tests/support/mutation.py --jobs $(JOBS) $(ARGS)

doctor: $(READY)
	$(PYTHON) -m mbn2c doctor

docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

headers: $(READY)
	$(PYTHON) tests/support/generated_headers.py build/include

wheel: $(READY)
	$(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir dist .

setup:
	./setup.sh

# setup.sh touches the stamp itself, and only if nothing is missing.
$(READY): pyproject.toml setup.sh mbn2c/commands/doctor.py tests/support/rp2040js/package-lock.json
	./setup.sh

# What `setup.sh EXTRA` installs: mutants, docs.
.venv/.%: $(READY)
	./setup.sh $*
	touch $@

clean:
	rm -rf build dist out mbn2c.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find mbn2c tests -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv
