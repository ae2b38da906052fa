.PHONY: demo test browser lint bench bench-http bench-prefect clean lock sbom

PYTHON ?= python3
BIN := .venv/bin
# Bytecode is kept: what is called here starts many programs.
unexport PYTHONDONTWRITEBYTECODE

demo: .venv/ready
	$(BIN)/crmhouse demo

# For two cores: one more than that, since tests also wait for what they have started.
test: .venv/ready browser
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -n 3 --dist loadgroup

# Pages are tested in a real browser, Debian's. Without the right to install it, those tests are skipped.
browser:
	@command -v chromium > /dev/null || { \
		echo "installing chromium for the tests of pages"; \
		asroot=; test "$$(id -u)" = 0 || asroot="sudo -n"; \
		{ $$asroot apt-get update -qq && $$asroot apt-get install -y -qq chromium; } > /dev/null 2>&1; \
	} || echo "chromium could not be installed: the tests of pages are skipped"

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd dbt && ../$(BIN)/sqlfluff lint models macros tests

bench: .venv/ready
	$(BIN)/python benchmarks/landing.py $(BENCH)

bench-http: .venv/ready
	$(BIN)/python benchmarks/connectors.py $(or $(BENCH),--requests --rows 1000000)

bench-prefect: .venv/ready
	$(BIN)/python benchmarks/orchestration.py $(BENCH)

# The lock files carry hashes and no index address, so they install from any index.
# They are complete, so they are installed without resolving again (--no-deps). What is shipped is
# what is tested: the versions are those of the development's lock.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group dev pyproject.toml -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --constraints requirements-dev.lock pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group build --constraints requirements-dev.lock -o requirements-build.lock

# Python compiles what it imports, once; most of what is installed it never does.
.venv/ready: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes --no-deps -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# What the environment is made of: a CycloneDX document, and the licences.
sbom: .venv/ready
	$(BIN)/python deployments/image/parts.py requirements.lock build/parts --only-locked

clean:
	rm -rf .venv .crmhouse demo dbt/target dbt/logs benchmarks/.venv-peers benchmarks/results
