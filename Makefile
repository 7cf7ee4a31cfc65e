# Every command of this repository. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON3 ?= python3
BIN := .venv/bin
# More for pytest: make test PYTEST_ARGS="-k redirect"
PYTEST_ARGS ?=
# More for the demo: make demo DEMO_ARGS="--redirect ebpf"
DEMO_ARGS ?=
# More for the benchmarks: make bench BENCH_ARGS="--only endpoint-change --scale 0.1"
BENCH_ARGS ?=
# More for the mutation tests: make mutants MUTANTS_ARGS="nodegate.server.protocol.ledger.*"
MUTANTS_ARGS ?=
# The modules of which every surviving mutant has been judged (docs/mutants.md); test-full tries these.
JUDGED = agenda decode heartbeat ledger ordering planning postponement rejection response resumption shared sharing stream subscription type_state withdrawal
# More for pip-compile: make lock LOCK_ARGS="--upgrade-package aiohttp"
LOCK_ARGS ?=

# The tests run an Envoy of ours unless NODEGATE_ENVOY names another. Where it cannot be had, the tests that need it
# are skipped and say so (and fail where nothing may be skipped).
WITH_ENVOY = if envoy="$$($(BIN)/python -m nodegate.demo.envoy_binary)"; then export NODEGATE_ENVOY="$$envoy"; \
	else echo "no Envoy on this machine; going on without it" >&2; fi

# A real Kubernetes API for the tests: found, or built once, which takes its time. Without it they are skipped likewise.
WITH_KUBERNETES = $(BIN)/python -m tools.kubernetes > /dev/null || \
	echo "no Kubernetes API on this machine; going on without it" >&2

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: install
install: ## Make .venv what the lock file says (all others do this first)
	@$(PYTHON3) tools/install.py

.PHONY: demo
demo: install ## Run the BookInfo example through a real Envoy on this machine, without Kubernetes
	@case "$(DEMO_ARGS)" in *ebpf*) $(BIN)/python tools/bpf.py > /dev/null;; esac
	@$(BIN)/nodegate demo $(DEMO_ARGS)

.PHONY: test
test: install ## Run every test, those with a real Envoy and a real Kubernetes API included
	@$(WITH_KUBERNETES); $(WITH_ENVOY); $(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: test-full
test-full: install ## The same tests with larger counts; takes its time
	@$(WITH_KUBERNETES); $(WITH_ENVOY); $(BIN)/python -m pytest -m "" --hypothesis-profile=full $(PYTEST_ARGS)
	@$(MAKE) mutants MUTANTS_ARGS="$(JUDGED:%='nodegate.server.protocol.%.*')"

.PHONY: mutants
mutants: install ## Change the protocol's code in every small way and see that a test notices (part of test-full)
	@$(BIN)/python tools/mutants.py $(MUTANTS_ARGS)

.PHONY: check
check: install ## Style, types, import layers, documents and the fast tests, in under a minute
	@$(BIN)/python tools/check.py

.PHONY: fmt
fmt: install ## Format the code and fix what ruff can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: goldens
goldens: install ## Rewrite tests/golden/*/out.yaml from what translation makes now
	@$(BIN)/python -m pytest tests/golden --rewrite-goldens $(PYTEST_ARGS)

.PHONY: validate-static
validate-static: install ## Let Envoy check the static configuration made from examples/bookinfo
	@$(WITH_ENVOY); mkdir -p build; \
	$(BIN)/nodegate translate --static examples/bookinfo > build/bookinfo-static.yaml; \
	"$${NODEGATE_ENVOY:?is not set and could not be installed}" --mode validate -c build/bookinfo-static.yaml

.PHONY: bench
bench: install ## Measure nodegate beside its peers, and what objects cost, and print the tables
	@$(BIN)/python -m bench $(BENCH_ARGS)
	@$(BIN)/python -m bench.ingress

.PHONY: lock
lock: install ## Write requirements/*.txt anew from pyproject.toml
	@$(BIN)/python tools/lock.py $(LOCK_ARGS)

.PHONY: protos
protos: install ## Generate protos/nodegate_protos anew from protos/nodegate
	@$(BIN)/python tools/protos.py

.PHONY: kind
kind: ## Make a cluster of kind with nodegate on it; takes docker, kind and kubectl
	@kind/up.sh

.PHONY: bpf
bpf: install ## Compile the redirect's eBPF program into build/bpf
	@$(BIN)/python tools/bpf.py
