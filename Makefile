# Each target is one line over `uv run`. uv itself is fetched when this machine has none.

UV := $(shell command -v uv || echo .tools/bin/uv)
UV_VERSION := 0.13.9

.PHONY: help lab test test-all test-cluster outputs site lint format doctor clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

lab: $(UV)  ## open the tutorial in JupyterLab (ARGS=--no-browser prints its address)
	@$(UV) run workshop lab $(ARGS)

test: $(UV)  ## lint, units, every notebook, images, a browser (ARGS="notebooks/02*" for a part)
	@$(UV) run pytest $(ARGS)

test-all: $(UV)  ## that, and what is slow: benchmarks, uncached builds, other engines and stores
	@$(UV) run pytest -m "" $(ARGS)

test-cluster: $(UV)  ## chapter 21 and the site on a Kubernetes that is built from Debian's source
	@$(UV) run pytest --numprocesses=0 tests/cluster/on_kubernetes.py $(ARGS)

outputs: $(UV)  ## run all notebooks and store their outputs (ARGS=02 for one)
	@$(UV) run workshop run --in-place $(ARGS)

site: $(UV)  ## make the site from the stored outputs: _build/site/index.html
	@$(UV) run sphinx-build -q -W --keep-going -c docs -d _build/doctrees . _build/site && echo _build/site/index.html

lint: $(UV)  ## check style, types, imports between rooms, Dockerfiles, scripts, workflows
	@$(UV) run pytest --numprocesses=0 tests/unit/test_lint.py

format: $(UV)  ## format the code and mend what can be mended
	@$(UV) run ruff format && $(UV) run ruff check --fix

doctor: $(UV)  ## can this machine run the tutorial?
	@$(UV) run workshop doctor

clean: $(UV)  ## remove what the tutorial made (ARGS=--all: base images and its engine too)
	@$(UV) run workshop clean $(ARGS)

.tools/bin/uv:
	@echo "… Fetching uv $(UV_VERSION) into .tools/"
	@python3 -m venv .tools && .tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) \
		|| { rm -rf .tools; echo "✘ uv could not be fetched. → Install Python's venv module (Debian: apt-get install python3-venv) or uv itself, then try again." >&2; exit 1; }
