# jostle: `make demo` shows the main job, `make test` runs every test this machine can run.
.DEFAULT_GOAL := help
.PHONY: help setup setup-runtime demo test lint bench load install test-systemd test-blame test-kernels test-attack test-fleet fuzz deb images test-packages test-runtimes test-containers test-containers-v2 lock sbom test-first-hour test-running clean

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
	@$(PYTHON) -m pytest -n 2 --dist loadfile -m "not kernel"
	@$(PYTHON) -m pytest -m kernel

lint: setup  ## ruff and mypy --strict
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

bench:  ## what watching costs, beside runqlat, bpftrace and perf sched (4 minutes, best on a quiet machine)
	@packaging/setup.sh bench
	@$(PYTHON) -m benchmarks.overhead $(BENCH)
	@$(PYTHON) -m benchmarks.device_cost

load: setup  ## the agent beside 6,000 cgroups, 20,000 tasks, a fork storm, 200 slow scrapers (5 minutes, all CPUs busy)
	@$(PYTHON) -m benchmarks.load

install: setup-runtime  ## install for the whole machine, or below DESTDIR (packaging/install.sh says where)
	@DESTDIR='$(DESTDIR)' packaging/install.sh

test-systemd: setup  ## the unit under a real systemd, in a container (2 minutes, 1 more the first time)
	@packaging/setup.sh vm
	@timeout --kill-after=10 900 $(PYTHON) -m pytest -q -m systemd tests/vm || \
		{ echo "test-systemd: failed; logs: $(CURDIR)/.cache/vm/runs/systemd" >&2; exit 1; }

test-blame: setup  ## who waited behind whom, against the scheduler's own events, on four mixes (1 minute, best on a quiet machine)
	@$(PYTHON) -m pytest -q -m slow tests/kernel/test_blame_oracle.py

test-kernels: setup  ## known answers on other kernels, emulated: all of tests/vm/kernels.py, or KERNELS="6.1 7.3"; ONLY=figures without the verdicts (6 or 4 minutes each)
	@packaging/setup.sh vm
	@$(PYTHON) -m tests.vm.run_kernels $(if $(ONLY),--$(ONLY)-only) $(KERNELS)
	@timeout --kill-after=10 900 $(PYTHON) -m pytest -q -m guest tests/vm || \
		{ echo "test-kernels: failed; logs: $(CURDIR)/.cache/vm/runs/bad-ends" >&2; exit 1; }

test-arm64: setup  ## the counters on an emulated arm64 that counts instructions exactly (3 minutes)
	@packaging/setup.sh vm
	@$(PYTHON) -m tests.vm.run_arm64

test-attack: setup  ## dying and hanging at 20 moments each, 200 kills, evasions 20 times each, every hang (90 minutes)
	@$(PYTHON) -m pytest -q -m slow tests/attack
	@$(PYTHON) -m tests.attack.deaths --moments 20 --kills 200
	@$(PYTHON) -m tests.attack.evasions

test-fleet: setup .cache/fleet  ## the fleet: three agents, S3 (moto), a Spark cluster, ClickHouse, 40 kills (7 minutes)
	@packaging/setup.sh fleet
	@timeout --kill-after=10 900 $(PYTHON) -m pytest -q -m slow tests/agent/fleet

fuzz: setup  ## mutate every file that strangers may give, 2,000 times or for SECONDS=3600; findings go to build/fuzz
	@nice $(PYTHON) -m tests.attack.fuzz $(or $(SECONDS),0) $(SEED)

deb: setup-runtime  ## a Debian package in build/deb, for this host's release or DIST=bookworm, trixie, noble
	@DIST='$(DIST)' packaging/deb.sh

images: setup-runtime  ## jostle:VERSION, of nodes, VERSION-full and VERSION-ship, by buildah; BASE=an image of Debian 12
	@$(MAKE) -s deb DIST=bookworm
	@BASE='$(BASE)' BUILDAH='$(BUILDAH)' packaging/images.sh

test-packages: setup  ## the Debian packages in clean roots of Debian 12 and 13: installed, upgraded, purged (10 minutes)
	@packaging/setup.sh packages
	@$(PYTHON) -m pytest -q -m slow tests/packaging

test-runtimes: setup  ## names with a real Docker and Podman (2 minutes)
	@packaging/setup.sh containers
	@$(PYTHON) -m pytest -q -m slow tests/containers/test_docker.py tests/containers/test_podman.py

test-containers-v2: setup  ## names with Docker, containerd and Podman on an emulated host with cgroup v2 alone (20 minutes)
	@packaging/setup.sh vm
	@$(PYTHON) -m tests.vm.run_containers

test-containers: test-runtimes  ## the same, every command's words about containers, and the images built (10 minutes)
	@$(PYTHON) -m pytest -q -m slow tests/cli/test_names_everywhere.py tests/containers/test_images.py

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

test-first-hour: setup  ## the five questions of docs/first-hour.md, asked and answered again (2 minutes)
	@$(PYTHON) -m pytest -q -m slow tests/cli/test_first_hour.py tests/cli/test_running.py

# Spark comes as source alone: it is built of files that are locked, by tools that are.
.cache/fleet: packaging/requirements-fleet-test.txt
	@rm -rf $@
	@/usr/bin/python3 -m venv $@
	@sed '/^pyspark==/,+1d' $< >$@/binary.txt
	@$@/bin/pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r $@/binary.txt
	@$@/bin/pip install -q --disable-pip-version-check --require-hashes --only-binary :all: --no-binary pyspark \
		--no-build-isolation -r $<

test-running: setup  ## experiments on what runs already: remedies, idle neighbours, deaths in the middle (4 minutes)
	@$(PYTHON) -m pytest -q -m slow tests/cli/test_running.py

clean:  ## remove what was built and installed in this checkout
	rm -rf .venv build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
