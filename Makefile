# Sluice. `make help` lists the targets; CONTRIBUTING.md says more.
# Everything happens in .venv, which `tools/install` makes from the locks in requirements/.

.DEFAULT_GOAL := help
.PHONY: help install install-test install-dev install-browser run demo demo-mta reset-password test live e2e shots docs-images check bench lab mta haraka faults soak fuzz properties mutants docs wheel image compose cluster deploy-check lock
PYTHON_OF_VENV := .venv/bin/python
# Modules are compiled once, whatever the shell says: the tests start hundreds of processes, each of which would compile all again.
unexport PYTHONDONTWRITEBYTECODE
# Handed on to what a target runs: make test ARGS="tests/config -k race"
ARGS ?=
# Tests that are attacks as a whole: look-ups in the addresses of lists, rights, lock-outs, forwarding headers, slow clients,
# single sign-on.
ATTACKED := tests/panel/test_look_ups.py tests/panel/test_permissions.py tests/panel/test_bulk.py tests/core/test_lockout.py \
	tests/config/test_forwarding.py tests/config/test_web_worker.py tests/panel/test_single_sign_on_attacks.py
# Where Haraka is installed for the tests.
SLUICE_HARAKA ?= $(HOME)/.cache/sluice/haraka

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## make .venv with what Sluice runs on
	@tools/install base

install-test:
	@tools/install test

install-dev:
	@tools/install dev

install-browser:
	@tools/install browser

run: install ## start web, worker and beat on http://localhost:8000 (PORT=… for another); Ctrl-C ends all
	@$(PYTHON_OF_VENV) manage.py up

demo: install ## load demo data (again: adds what came since)
	@$(PYTHON_OF_VENV) manage.py load_demo
	@SLUICE_WEBHOOK_NETWORKS=127.0.0.1/32 $(PYTHON_OF_VENV) manage.py demo_receiver

demo-mta: install-test ## let a private Postfix send invented mail by the running panel's policy (root; ARGS="--messages 300")
	@$(PYTHON_OF_VENV) -m tests.mta.demo --url "http://localhost:$(or $(PORT),8000)" $(ARGS)

reset-password: install ## give the operator (or WHO=name) a new password and print it
	@$(PYTHON_OF_VENV) manage.py reset_password $(WHO)

test: install-test ## run the tests on a PostgreSQL and Valkey of their own, then the storage tests on SQLite
	@$(PYTHON_OF_VENV) -m tools.run_tests $(ARGS)

live: install-test ## run the tests that start Sluice, its servers and MTAs, and break them: on PostgreSQL and Valkey, then on SQLite
	@SLUICE_HARAKA="$(SLUICE_HARAKA)" $(PYTHON_OF_VENV) -m tools.run_tests --live $(ARGS)

e2e: install-browser ## drive a real browser through a running Sluice (needs Chromium)
	@$(PYTHON_OF_VENV) -m pytest -p no:playwright -p no:schemathesis -p no:base_url tests/e2e $(ARGS)

shots: install-browser ## take pictures of every page, wide and on a phone, light and dark, into shots/
	@$(PYTHON_OF_VENV) -m tests.e2e.shots

docs-images: install-browser ## take the pictures of the README anew, into docs/images/
	@$(PYTHON_OF_VENV) -m tests.e2e.docs_images

check: install-dev ## lint, types, import contracts, missing migrations, OpenAPI, settings, locks, dead code: all of them, whatever fails
	@tools/check

bench: install-test ## measure against the physical limit, on a PostgreSQL and Valkey of its own (ARGS=postal: one of them)
	@$(PYTHON_OF_VENV) -m tools.servers --durable $(PYTHON_OF_VENV) -m tests.benchmarks $(ARGS)

lab: install-test ## run the closed loop in virtual time against receivers that are models (ARGS="overload --seed 2"; ARGS="--real haraka": in real time)
	@$(PYTHON_OF_VENV) -m tests.lab $(ARGS)

haraka: ## install Haraka by npm into SLUICE_HARAKA (~/.cache/sluice/haraka), for the tests on real MTAs
	@test -d "$(SLUICE_HARAKA)/node_modules/Haraka" || { mkdir -p "$(SLUICE_HARAKA)" && cd "$(SLUICE_HARAKA)" \
		&& npm install --no-fund --no-audit --ignore-scripts Haraka@3.3.4; }

mta: install-test ## drive Postfix and Haraka by policies in a network namespace, with a sink that measures (root; about an hour where other programs run, too)
	@SLUICE_HARAKA="$(SLUICE_HARAKA)" $(PYTHON_OF_VENV) -m pytest -p no:playwright -p no:schemathesis -p no:base_url --long tests/mta $(ARGS)

faults: install-test ## break database, broker, disk and processes under a running Sluice, then kill 100 ingesters and folders; recount
	@$(PYTHON_OF_VENV) -m pytest -p no:playwright -p no:schemathesis -p no:base_url --long tests/faults
	@$(PYTHON_OF_VENV) -m tests.stats.faults $(ARGS)

soak: install-test ## load Sluice to saturation on the loopback for three minutes (ARGS="--seconds 600 --callers 16")
	@$(PYTHON_OF_VENV) -m tests.soak $(ARGS)

fuzz: install-test ## requests that no client would send, schemathesis, attacks on work, locks and rights (ARGS="--seed 1"); some 8 minutes
	@$(PYTHON_OF_VENV) -m tests.fuzz $(ARGS)
	@$(PYTHON_OF_VENV) -m tests.fuzz --production $(ARGS)
	@$(PYTHON_OF_VENV) -m tests.fuzz.schemas $(ARGS)
	@$(PYTHON_OF_VENV) -m tests.fuzz.attacks $(ARGS)
	@$(PYTHON_OF_VENV) -m tests.fuzz.attacks --production $(ARGS)
	@$(PYTHON_OF_VENV) -m pytest -p no:playwright -p no:schemathesis -p no:base_url $(ATTACKED)

properties: install-test ## run the tests that make their own examples with thirty times as many, on SQLite; some 15 minutes
	@SLUICE_EXAMPLES=30 $(PYTHON_OF_VENV) -m pytest -p no:playwright -p no:schemathesis -p no:base_url -m hypothesis -n 2 tests $(ARGS)

mutants: install-test ## change three modules in every small way and see whether a test notices (at most 15 minutes)
	@$(PYTHON_OF_VENV) -m tools.mutants $(ARGS)

docs: install-dev ## build the documentation as a site, into site/
	@tools/build_docs "$(CURDIR)/site"

wheel: install-test ## build the wheel, install it into a fresh environment and use it there, outside this folder; some 2 minutes
	@$(PYTHON_OF_VENV) -m tools.check_wheel

image: install-test ## build the image by buildah and use it as compose.yaml does, without a container engine (root; ARGS="--extras otlp oidc s3")
	@$(PYTHON_OF_VENV) -m tools.check_image $(ARGS)

compose: install-test ## follow the README's Docker Compose in an engine of its own that reaches nobody, then upgrade, break and restore it (root)
	@$(PYTHON_OF_VENV) -m tools.check_compose

cluster: install-test ## follow the README's Kubernetes in a cluster of two nodes that reaches nobody, then upgrade and break it (root; ARGS=FOLDER of tools/build_kubernetes)
	@$(PYTHON_OF_VENV) -m tools.check_cluster $(ARGS)

deploy-check: install-test ## validate Dockerfile, compose.yaml, CI and deploy/ by the tools of each (fetches them into a temporary folder)
	@$(PYTHON_OF_VENV) -m tools.check_deployment

lock: install-browser ## resolve pyproject.toml into requirements/ (ARGS=--upgrade: to the newest)
	@tools/lock $(ARGS)
