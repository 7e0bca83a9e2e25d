# Everything runs from .venv, which is made from the lock files; nothing else on the machine is touched.
#   make demo [ARGS=--breach]   a whole rollout, from adoption to closed, on this machine; ARGS=--live in real time
#   make test                   what CI runs
#   make test-live              the part of it that needs Prometheus (apt-get install prometheus), which must be there
#   make test-clients           published clients in JavaScript, Python and curl on a running service (needs npm and chromium)
#   make test-long              the same with far more of it: sequences, kills, records
#   make bench                  measures the log; ARGS=--save keeps the table in docs/reference/benchmarks.md
#   make bench-signals          measures signals and verdicts; ARGS=--save keeps docs/reference/benchmarks-signals.md
#   make bench-past             measures questions about the past; ARGS=--save keeps docs/reference/benchmarks-past.md
#   make bench-in-process       measures evaluating in process; ARGS=--save keeps docs/reference/benchmarks-in-process.md
#   make bench-verify           measures the verifier on a million records; ARGS=--save keeps docs/reference/benchmarks-verify.md
#   make bench-audit            measures pages of the audit trail; ARGS=--save keeps docs/reference/benchmarks-audit.md
#   make bench-reads            measures flag reads, beside a bare server; ARGS=--save keeps docs/reference/benchmarks-reads.md
#   make bench-peers            the same with Unleash in the same run, which needs npm and PostgreSQL
#   make docs                   writes the generated parts of the README and docs/reference again
#   make lock                   resolves pyproject.toml anew into the lock files

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq --no-input
UV_VERSION := 0.13.9
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make lock"
WORKERS ?= 2

.PHONY: install demo test test-live clients test-clients test-long lint types bench-audit docs lock clean
.PHONY: bench bench-in-process bench-past bench-peers bench-reads bench-signals bench-verify
.DELETE_ON_ERROR:

install: .venv/.dev

.venv/.runtime: requirements.lock pyproject.toml
	@echo "Installing into .venv ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.runtime requirements-dev.lock clients/python/pyproject.toml
	@echo "Installing what the tests need into .venv ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable clients/python
	@touch $@

demo: .venv/.runtime
	@$(BIN)/cutover demo $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

# By scope, not by test: a module's connected fixtures start one server, and a group stays in one worker. In the
# order of the folders, so that what starts processes comes first and the many fast ones fill the end.
test: lint types
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS)

test-live: install
	@command -v prometheus >/dev/null || { echo "prometheus is not installed: apt-get install --no-install-recommends prometheus" >&2; exit 1; }
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder -m prometheus $(ARGS)

# esbuild puts the web SDK into one file for a page; see the scripts of package.json.
clients: tests/clients/node_modules/.bundle/web.js

tests/clients/node_modules/.bundle/web.js: tests/clients/package-lock.json tests/clients/web.mjs
	@command -v npm >/dev/null || { echo "npm is not installed: apt-get install --no-install-recommends npm" >&2; exit 1; }
	npm ci --prefix tests/clients --no-audit --no-fund --loglevel=error
	npm run --prefix tests/clients --silent bundle

test-clients: install clients
	$(BIN)/python -m pytest -v tests/clients tests/e2e/test_ofrep.py $(ARGS)

test-long: install
	CUTOVER_LONG=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder --timeout 3600 $(ARGS)

bench: install
	$(BIN)/python -m benchmarks.log $(ARGS)

bench-signals: install
	$(BIN)/python -m benchmarks.signals $(ARGS)

bench-past: install
	$(BIN)/python -m benchmarks.past $(ARGS)

bench-in-process: install
	$(BIN)/python -m benchmarks.in_process $(ARGS)

bench-verify: install
	$(BIN)/python -m benchmarks.verify $(ARGS)

bench-audit: install
	$(BIN)/python -m benchmarks.audit $(ARGS)

bench-reads: install
	$(BIN)/python -m benchmarks.reads $(ARGS)

bench-peers: install benchmarks/peers/node_modules
	$(BIN)/python -m benchmarks.reads --peers $(ARGS)

benchmarks/peers/node_modules: benchmarks/peers/package-lock.json
	npm ci --no-audit --no-fund --prefix benchmarks/peers
	@touch $@

docs: install
	$(BIN)/python -m services.cli.reference
	$(BIN)/python -m docs.generate

lock:
	test -x .venv-lock/bin/uv || ($(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv==$(UV_VERSION))
	.venv-lock/bin/uv pip compile pyproject.toml --group build $(LOCK) -o requirements.lock
	.venv-lock/bin/uv pip compile pyproject.toml --group build --group dev $(LOCK) -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf .venv .venv-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
