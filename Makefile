# A thin door: sets up the environment and calls Snakemake, which users then call themselves.

PYTHON ?= python3
CORES ?= all
SEEDS ?= 1:100
STATE := .snakeval
BOOTSTRAP := $(STATE)/bootstrap
UV := $(BOOTSTRAP)/bin/uv
# The command `snakeval` and the plugins of Snakemake, as links to this checkout; what builds them is in the locks.
INSTALL_CHECKOUT := $(UV) pip install --quiet --no-deps --no-build-isolation --python .venv/bin/python --editable .

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-lepton python-on-volume run test test-unit coverage test-long long-chaos long-soak long-loaded long- lint install-profiles lock docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.snakeval-ready ## Make .venv, the environment that runs Snakemake

setup-dev: .venv/.snakeval-dev ## The same with what tests and checks need

setup-lepton: .venv/.snakeval-lepton ## The same with the SDK of DGX Cloud Lepton

python-on-volume: $(STATE)/python/bin/python3 ## A Python that needs nothing of an image, for checkouts on a volume

run: setup ## Deploy the embedded model on this machine, evaluate it, write the summary
	.venv/bin/snakemake --profile profiles/local --cores $(CORES)

test: setup-dev ## Run the tests (builds the environments that they need); says what it left out
	.venv/bin/python -m pytest -n 2 --dist load

test-unit: setup-dev ## Run the tests of functions alone, in about two minutes
	.venv/bin/python -m pytest -n 2 tests/unit

coverage: setup-dev ## The same, and show how much of the package they run, module by module
	.venv/bin/python -m pytest -n 2 --cov --cov-report=term:skip-covered tests/unit

test-long: setup-dev long-$(PART) ## Run a long part of the tests: PART=chaos SEEDS=1:100, soak or loaded

long-chaos:
	PYTHONPATH=scripts:tests:tests/support .venv/bin/python -m chaos --seeds $(SEEDS) \
	  $(if $(FAULTS),--faults $(FAULTS)) $(if $(KINDS),--kinds $(KINDS))

long-soak:
	PYTHONPATH=scripts:tests:tests/support .venv/bin/python -m chaos.soak

# The tests of whole processes again and again on a machine that is busy with other things.
long-loaded:
	scripts/dev/beside_load.sh .venv/bin/python -m pytest -n 2 --dist load tests/rules tests/e2e

long-:
	@echo "PART is missing: make test-long PART=chaos, soak or loaded" >&2; exit 2

lint: setup-dev ## Run the checks: ruff, mypy, deptry, snakefmt, snakemake --lint, what was added is complete
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy
	.venv/bin/deptry scripts
	.venv/bin/snakefmt --check Snakefile rules && .venv/bin/python scripts/dev/lint_workflow.py
	.venv/bin/python scripts/dev/check_extensions.py

install-profiles: ## Make `snakemake --profile slurm` work by name, from any folder
	$(PYTHON) scripts/dev/install_profiles.py

lock: $(UV) ## Resolve envs/*.in to hash-pinned envs/*.lock
	scripts/dev/lock.sh $(UV)

docs: setup-dev ## Write the generated parts of config/README.md
	.venv/bin/python scripts/dev/generate_config_reference.py

clean: ## Remove environments and Snakemake's state; results stay
	rm -rf .venv $(STATE) .snakemake

$(UV): envs/bootstrap.lock
	$(PYTHON) scripts/dev/bootstrap.py $(BOOTSTRAP) envs/bootstrap.lock
	@touch $@

.venv/.snakeval-ready: envs/snakeval.lock $(UV)
	$(UV) venv --quiet --clear --no-project --python $(PYTHON) .venv
	$(UV) pip sync --quiet --compile-bytecode --require-hashes --python .venv/bin/python envs/snakeval.lock
	$(INSTALL_CHECKOUT)
	@touch $@

.venv/.snakeval-lepton: envs/lepton.lock .venv/.snakeval-ready
	$(UV) pip install --quiet --no-deps --compile-bytecode --require-hashes --python .venv/bin/python -r envs/lepton.lock
	@touch $@

$(STATE)/python/bin/python3: $(UV)
	scripts/dev/standalone_python.sh $(UV) $(STATE)/python

.venv/.snakeval-dev: envs/dev.lock .venv/.snakeval-ready
	$(UV) pip sync --quiet --compile-bytecode --require-hashes --python .venv/bin/python envs/dev.lock
	$(INSTALL_CHECKOUT)
	@touch $@
