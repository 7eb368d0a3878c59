# All set-up is done here: an environment of its own in .venv, with the versions that were tested.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# some machines set it; then each of hundreds of processes would compile all that it imports
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types compiled faults fuzz uncertainty docs clean

demo: $(VENV)/.ready $(VENV)/.kernels  ## from a simulated movie to a queried lineage
	rm -rf demo
	$(BIN)/trackdb demo demo

# what takes one core each goes side by side; the tests, which take all of them, begin when all of it is well
# a file stays on one worker, where its kernels and fixtures are made once
test: $(VENV)/.ready $(VENV)/.kernels  ## style, types, all tests
	$(MAKE) --no-print-directory -j3 lint types compiled
	$(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# mypy wants the package's folder to be a Python name; the link gives it one, whatever the clone is called
types: $(VENV)/.ready
	mkdir -p .types && ln -sfn .. .types/trackdb
	cd .types && ../$(BIN)/mypy --config-file ../pyproject.toml \
		-m trackdb -m trackdb.errors -p trackdb.engine -p trackdb.server -p trackdb.storage -p trackdb.solvers -p trackdb.cli -p trackdb.testing

# so that no two workers compile the same
compiled: $(VENV)/.ready $(VENV)/.kernels
	$(BIN)/python -m tests.kernels

faults: $(VENV)/.ready $(VENV)/.kernels  ## writing commands killed, refused and cut off from power at 2,000 moments, of which `make test` has some 40
	rm -f .faults
	TRACKDB_FAULTS=8 TRACKDB_KILLS=40 TRACKDB_REVIEW_KILLS=50 TRACKDB_FAULTS_TABLE=$(CURDIR)/.faults $(BIN)/python -m pytest -q -n auto \
		tests/test_faults.py tests/test_power.py tests/test_kills.py tests/test_kills_of_scoring.py tests/test_decisions.py tests/test_review_kills.py
	$(BIN)/python -m tests.fault_table .faults

fuzz: $(VENV)/.ready $(VENV)/.kernels  ## importers under 12,000 harmed files, of which `make test` takes every fifth
	TRACKDB_FUZZ_EVERY=1 $(BIN)/python -m pytest -q -n auto tests/test_fuzz_formats.py

uncertainty: $(VENV)/.ready $(VENV)/.kernels  ## docs/uncertainty: how far probabilities of links can be trusted; MODEL=FOLDER takes a transformer too
	$(BIN)/python benchmarks/uncertainty $(if $(MODEL),--model $(MODEL))

docs: $(VENV)/.docs $(VENV)/.kernels  ## the documentation as a site in build/site; a warning or a broken link is an error
	$(BIN)/python docs/reference/generate.py
	$(BIN)/python docs/pictures.py
	$(BIN)/python -m sphinx -q -W --keep-going -E -j auto -b html docs build/site
	$(BIN)/python docs/own_site.py build/site

$(VENV)/.docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

# of what is installed a tenth is ever imported: Python compiles that when it meets it
$(VENV)/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e ".[dev,evaluate,geff,models,plot,review]"
	touch $@

# numba keeps a compiled kernel as long as its own file stays the same, also where one that it calls has changed
$(VENV)/.kernels: $(VENV)/.ready $(shell grep -rlE 'njit|inner' --include=*.py engine solvers storage)
	find engine solvers storage -name '*.nb[ic]' -delete
	touch $@

clean:
	rm -rf $(VENV) .types .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info demo .faults
