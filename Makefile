# `make run` does the main job on real data, `make test` runs every test on every backend; both
# set up what they need first.

PYTHON ?= python3
WORKERS ?= 2
BACKENDS := tensorflow jax torch
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt
PACKAGING := pyproject.toml requirements/constraints.txt requirements/test.txt requirements/test-hub.txt \
	requirements/docs.txt

.PHONY: run test lint docs docs-test data clean

run: .venv/run data
	KERAS_BACKEND=jax $(BIN)/keras-actfn compare --model lenet5 --data auto \
		--activations relu "aff(identity,relu,tanh)" pwl crrelu \
		--epochs 1 --subset 40000 --seeds 3 --output runs/lenet5

# The linters run on one core, beside the first tests.
test: .venv/test build/wheel
	@$(MAKE) --no-print-directory lint >build/lint.log 2>&1 & lint=$$!; failed=""; \
	for backend in $(BACKENDS); do \
		scripts/test.sh $$backend $(WORKERS) || failed="$$failed $$backend"; \
	done; \
	wait $$lint || failed="$$failed lint"; \
	echo "== lint"; cat build/lint.log; \
	if [ -n "$$failed" ]; then echo "Failed:$$failed" >&2; exit 1; fi

lint: .venv/test build/wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in build/site. Its pages are written from docs/, the docstrings and the tutorials, which run.
docs: .venv/docs
	KERAS_BACKEND=torch OMP_NUM_THREADS=2 \
		$(BIN)/sphinx-build -W --keep-going --quiet -d build/doctrees docs build/site

# Opens the built site in a browser: Debian's chromium, or one that `playwright install` fetched.
docs-test: docs
	SITE=build/site $(BIN)/pytest tests/site

data:
	@scripts/fashion_mnist.sh

.venv/pip: $(PACKAGING)
	$(PYTHON) -m venv .venv
	touch $@

.venv/run: .venv/pip
	$(INSTALL) -e ".[jax,cli,plot]"
	touch $@

# Most of the installed files are never imported: what is, is compiled to bytecode then.
.venv/test: .venv/pip
	$(INSTALL) --no-compile -e ".[jax,kfac,expressions,theory,search,plot,cli,tables,dev]" -r requirements/test.txt
	$(INSTALL) --no-compile --no-deps -r requirements/test-hub.txt
	touch $@

.venv/docs: .venv/pip
	$(INSTALL) -e ".[torch,expressions,theory,search,plot,cli,docs]" -r requirements/docs.txt
	touch $@

# The tests import the built wheel, not the checkout, so that a file missing from the package
# fails them.
build/wheel: .venv/test $(shell git ls-files keras_actfn applications) README.md
	rm -rf build/wheel build/lib dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . > build.log 2>&1 || (cat build.log; exit 1)
	rm -f build.log
	$(BIN)/python -m zipfile -e dist/*.whl build/wheel
	$(BIN)/python -m compileall -q build/wheel

clean:
	rm -rf .venv build dist runs docs/functions docs/reference docs/tutorials *.egg-info
