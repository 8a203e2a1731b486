# Everything from a fresh checkout: `make serve` to try the gateway, `make test` to check it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
GATEWAY := $(BIN)/freezer-gateway
# More arguments for pytest: make test ARGS='-k paging -x'
ARGS ?=
# How often `make test-crash` kills: make test-crash KILLS=100
KILLS ?= 10
# Arguments for the benchmark: make bench BENCH_ARGS=--quick
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: $(VENV)/.installed ## Install freezer-gateway into .venv

.PHONY: serve
serve: install playground-if-possible ## Load the sample data, and serve it
	$(GATEWAY) demo
	@echo "To see it at work, in another terminal: $(GATEWAY) demo --alive"
	$(GATEWAY) serve

.PHONY: test
test: $(VENV)/.installed-dev ## Run the tests on SQLite and on a temporary PostgreSQL
	$(BIN)/pytest --numprocesses=auto $(ARGS)

.PHONY: test-clients
test-clients: $(VENV)/.installed-dev ## Test with Relay, Apollo, urql, graphql-codegen, gql, ariadne-codegen, graphql-http
	$(BIN)/pytest tests/clients $(ARGS)

.PHONY: test-install
test-install: $(VENV)/.installed-dev ## Test the wheel in an empty environment
	$(BIN)/pytest tests/install $(ARGS)

.PHONY: test-compat
test-compat: $(VENV)/.installed-dev playground chromium host-tools haproxy ## Test with Keystone, Freezer's programs and Horizon, cached in .cache/compat
	$(BIN)/python -m tests.compat $(ARGS)

.PHONY: compatibility
compatibility: $(VENV)/.installed-dev playground chromium host-tools haproxy ## Run test-compat, and write the costs to docs/compatibility.md
	$(BIN)/python -m tests.compat --write

.PHONY: freezer-api-costs
freezer-api-costs: $(VENV)/.installed-dev ## Measure the same operations' costs with freezer-api
	$(BIN)/python -m tests.compat --freezer-api

.PHONY: test-pgbouncer
test-pgbouncer: $(VENV)/.installed-dev pgbouncer ## Test through PgBouncer in transaction mode
	$(BIN)/pytest tests/pgbouncer $(ARGS)

.PHONY: test-crash
test-crash: $(VENV)/.installed-dev ## Kill the gateway and PostgreSQL under writers KILLS times, and compare
	GATEWAY_TEST_KILLS=$(KILLS) $(BIN)/pytest -s tests/restarts/test_crash.py $(ARGS)

.PHONY: test-restart
test-restart: $(VENV)/.installed-dev haproxy ## Test rolling restarts behind HAProxy, and upgrades, under load
	$(BIN)/pytest -s tests/restarts --ignore tests/restarts/test_crash.py $(ARGS)

.PHONY: haproxy
haproxy: ## Install HAProxy for its tests, if missing
	@PATH="$$PATH:/usr/sbin"; command -v haproxy >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update --quiet \
	      && apt-get install --quiet --yes --no-install-recommends haproxy; \
	  else \
	    echo "HAProxy is missing: install it (Debian: apt-get install haproxy)"; exit 1; \
	  fi; }

.PHONY: pgbouncer
pgbouncer: ## Install PgBouncer for its tests, if missing
	@PATH="$$PATH:/usr/sbin"; command -v pgbouncer >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update --quiet \
	      && apt-get install --quiet --yes --no-install-recommends pgbouncer; \
	  else \
	    echo "PgBouncer is missing: install it (Debian: apt-get install pgbouncer)"; exit 1; \
	  fi; }

.PHONY: host-tools
host-tools: ## Install libfaketime, memcached, OpenSSH's server and MariaDB for test-compat, if missing
	@PATH="$$PATH:/usr/sbin"; { command -v sshd && command -v ssh-keygen && command -v mariadbd \
	  && command -v memcached && command -v my_print_defaults \
	  && ls /usr/lib/*/faketime/libfaketimeMT.so.1; } >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends \
	      libfaketime memcached openssh-client openssh-server mariadb-server-core mariadb-client-core; \
	  else \
	    echo "libfaketime, memcached, sshd or MariaDB is missing: apt-get install libfaketime memcached openssh-server mariadb-server-core mariadb-client-core"; exit 1; \
	  fi; }

.PHONY: chromium
chromium: ## Install Chromium for the browser tests, if missing
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends chromium; \
	  else \
	    echo "Chromium is missing: install it (Debian: apt-get install chromium)"; exit 1; \
	  fi; }

.PHONY: bench
bench: $(VENV)/.installed-bench bench-tools ## Benchmark against PostGraphile and freezer-api
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

.PHONY: bench-tools
bench-tools: ## Install wrk, h2load and MariaDB for the benchmark, if missing
	@{ command -v wrk && command -v h2load && command -v mariadbd \
	  && command -v my_print_defaults; } >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends \
	      wrk nghttp2-client mariadb-server-core mariadb-client-core; \
	  else \
	    echo "wrk, h2load or MariaDB is missing: apt-get install wrk nghttp2-client mariadb-server-core mariadb-client-core"; exit 1; \
	  fi; }

.PHONY: lint
lint: $(VENV)/.installed-dev ## Check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/.installed-dev ## Format the code, and apply ruff's fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: schema
schema: install ## Generate schema.graphql from the code
	$(GATEWAY) schema print --output schema.graphql

.PHONY: schema-check
schema-check: install ## Fail if schema.graphql is out of date
	@$(GATEWAY) schema print --output $(VENV)/schema.graphql
	@diff -u schema.graphql $(VENV)/schema.graphql \
	  || { echo "schema.graphql is out of date: run 'make schema'"; exit 1; }

.PHONY: readme
readme: install ## Generate the README's table of settings
	@{ sed '/<!-- settings -->/q' README.md; $(GATEWAY) settings --markdown; \
	  sed -n '/<!-- end of settings -->/,$$p' README.md; } > README.md.new
	@mv README.md.new README.md

.PHONY: docs
docs: $(VENV)/.installed-dev ## Generate the responses in the documentation from the sample data
	$(BIN)/python -m tests.support.examples

.PHONY: wheel
wheel: install ## Build the wheel, including GraphiQL, into dist/
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

.PHONY: playground
playground: install ## Build GraphiQL, if its sources changed
	$(BIN)/python -m gateway.playground.build

.PHONY: playground-if-possible
playground-if-possible: install
	@$(BIN)/python -m gateway.playground.build \
	  || echo "GraphiQL is not built; everything else works without it"

.PHONY: clean
clean: ## Remove the environment, caches and builds, but no data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --group dev
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet --group bench
	@touch $@

# Debian packages ensurepip separately.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "the gateway needs Python 3.11 or newer: make PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update --quiet && apt-get install --quiet --yes python3-venv; \
	  else \
	    echo "Python's venv is missing: install it (Debian: apt-get install python3-venv)"; exit 1; \
	  fi; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
