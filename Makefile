# jostle: `make demo` shows the main job, `make test` runs every test this machine can run.
.DEFAULT_GOAL := help
.PHONY: help setup setup-runtime demo test lint bench install test-systemd test-kernels test-arm64 fuzz lock sbom clean

PYTHON := .venv/bin/python

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup:  ## install what is missing: Debian packages and .venv
	@packaging/setup.sh test

setup-runtime:
	@packaging/setup.sh runtime

demo: setup-runtime  ## run the main job once with the built-in victim and neighbour
	@rm -rf build/demo
	@.venv/bin/jostle experiment --demo -o build/demo

test: setup lint  ## run the linters and every test that this machine can run
	@$(PYTHON) -m pytest

lint: setup  ## ruff and mypy --strict
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

bench:  ## what watching costs, beside runqlat, bpftrace and perf sched (10 minutes, best on a quiet machine)
	@packaging/setup.sh bench
	@$(PYTHON) -m benchmarks.overhead $(BENCH)

install: setup-runtime  ## install for the whole machine, or below DESTDIR (packaging/install.sh says where)
	@DESTDIR='$(DESTDIR)' packaging/install.sh

test-systemd: setup  ## the unit under a real systemd, in a container (2 minutes, 1 more the first time)
	@packaging/setup.sh vm
	@timeout --kill-after=10 900 $(PYTHON) -m pytest -q -m systemd tests/vm || \
		{ echo "test-systemd: failed; logs: $(CURDIR)/.cache/vm/runs/systemd" >&2; exit 1; }

test-kernels: setup  ## known answers on other kernels, emulated: all of tests/vm/kernels.py, or KERNELS="6.1 7.3" (5 minutes each)
	@packaging/setup.sh vm
	@$(PYTHON) -m tests.vm.run_kernels $(KERNELS)
	@timeout --kill-after=10 900 $(PYTHON) -m pytest -q -m guest tests/vm || \
		{ echo "test-kernels: failed; logs: $(CURDIR)/.cache/vm/runs/bad-ends" >&2; exit 1; }

test-arm64: setup  ## the counters on an emulated arm64 that counts instructions exactly (3 minutes)
	@packaging/setup.sh vm
	@$(PYTHON) -m tests.vm.run_arm64

fuzz: setup  ## mutate every file that strangers may give, for SECONDS=60; findings go to build/fuzz
	@nice $(PYTHON) -m tests.attack.fuzz $(or $(SECONDS),60) $(SEED)

lock: .cache/supply  ## lock the versions and hashes of all that pip installs (UPGRADE=1: the newest that are allowed)
	@packaging/lock.sh

sbom: .cache/supply  ## what an installed jostle is made of, as CycloneDX: build/sbom.json
	@mkdir -p build
	@PYTHONWARNINGS=ignore .cache/supply/bin/cyclonedx-py requirements --output-reproducible --pyproject pyproject.toml \
		-o build/sbom.json packaging/requirements-runtime.txt

.cache/supply: packaging/requirements-supply.txt
	@rm -rf $@
	@/usr/bin/python3 -m venv $@
	@$@/bin/pip install -q --disable-pip-version-check --require-hashes --only-binary :all: \
		-r packaging/requirements-runtime.txt -r $<

clean:  ## remove what was built and installed in this checkout
	rm -rf .venv build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
