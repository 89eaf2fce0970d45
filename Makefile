# Everything a checkout needs: Python >= 3.11 and make. All that is installed goes into .venv; pip takes its settings from
# the environment. The second call of a target is quick: the files .venv*/.installed-* say what is there already.

PYTHON ?= python3
JOBS ?= 2
CORE_PYTHONS = 3.11 3.12 3.13

BIN = .venv/bin
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check -c constraints.txt
INPUTS = pyproject.toml constraints.txt

.PHONY: help
help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/.installed-core  ## Install snnport into .venv

.PHONY: demo
demo: setup  ## Port the network that ships with snnport to three chips, report in demo-report/
	$(BIN)/snnport demo

.PHONY: test
test: lint types lava xylo .venv-sanafe/.installed  ## Run lint, types and every test
	$(BIN)/python -m pytest -n $(JOBS)

.PHONY: test-core
test-core: $(CORE_PYTHONS:%=test-core-%)  ## Run the tests that need no optional package, on Python 3.11, 3.12 and 3.13

.PHONY: $(CORE_PYTHONS:%=test-core-%)
$(CORE_PYTHONS:%=test-core-%): test-core-%: .venv-core-%/.installed-core
	SNNPORT_CORE=1 .venv-core-$*/bin/python -m pytest -n $(JOBS)

.PHONY: lint
lint: .venv/.installed-dev  ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: .venv/.installed-dev  ## Check types, with mypy (strict) and pyright
	$(BIN)/mypy
	$(BIN)/pyright

.PHONY: docs
docs: setup  ## Write the generated pages of docs/ anew
	$(BIN)/python docs/generate.py

.PHONY: lava
lava: .venv-lava/.installed  ## Install Lava and lava-dl into .venv-lava, for --engine vendor on Loihi

.PHONY: xylo
xylo: .venv-xylo/.installed  ## Install xylosim into .venv-xylo, for --engine vendor on Xylo

.PHONY: sanafe
sanafe: .venv/.installed-dev .venv-sanafe/.installed  ## Install SANA-FE beside snnport and compare energies with it, live
	$(BIN)/python benchmarks/sanafe_parity.py

.PHONY: bench
bench: .venv/.installed-dev .venv-sanafe/.installed  ## Run every benchmark, each against its peers
	set -e; for name in engine scaling tinyodin sanafe_parity speed training sweep; do $(BIN)/python benchmarks/$$name.py; done

.PHONY: study
study: .venv/.installed-dev  ## Run every test with many more random examples, and measure accuracy on MNIST (long)
	$(BIN)/python -m pytest -n $(JOBS) --hypothesis-profile=study
	$(BIN)/python tests/golden/interop/written/study.py check  # round trips through the frameworks, by uv
	@test -d "$$SNNPORT_DATA" || { echo >&2 "SNNPORT_DATA names no folder: accuracy on MNIST was not measured"; exit 1; }
	$(BIN)/python benchmarks/accuracy.py "$$SNNPORT_DATA"
	for recipe in nef-memory nef-addition nef-square nef-product leaky-mlp braille diehl-cook lsnn lsnn-eprop conv-lif conv-lif-inverted \
	    conv-lif-binary conv-lif-gray; do \
	  $(BIN)/python benchmarks/recipes.py $$recipe --data "$$SNNPORT_DATA" || exit 1; \
	done
	$(BIN)/python benchmarks/conv_table.py "$$SNNPORT_DATA"

.PHONY: clean
clean:  ## Remove everything that make has made
	rm -rf .venv .venv-core-* .venv-lava .venv-xylo .venv-sanafe build dist demo-report *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------------------------------------------- environments

.venv/.installed-core: $(INPUTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo >&2 \
	  "snnport needs Python 3.11 or newer, and $(PYTHON) is not that. Type: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12"; \
	  exit 1; }
	$(PYTHON) -m venv .venv
	@echo "Installing into .venv (a minute or two the first time)"
	$(BIN)/python $(PIP_INSTALL) setuptools
	$(BIN)/python $(PIP_INSTALL) --no-build-isolation -e .
	@touch $@

.venv/.installed-dev: .venv/.installed-core
	$(BIN)/python $(PIP_INSTALL) --no-build-isolation -e '.[dev]'
	@touch $@

# An interpreter is looked for on the PATH, among pyenv's versions and among uv's.
.venv-core-%/.installed-core: $(INPUTS)
	@for python in "$$(command -v python$*)" "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$*.*/bin/python "$$(uv python find $* 2>/dev/null)"; do \
	  if "$$python" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$*")' 2>/dev/null; then \
	    echo "$$python -m venv .venv-core-$*"; exec "$$python" -m venv .venv-core-$*; \
	  fi; \
	done; \
	echo >&2 "Python $* is missing. Type: uv python install $*   (or: pyenv install $*)"; exit 1
	.venv-core-$*/bin/python $(PIP_INSTALL) setuptools
	.venv-core-$*/bin/python $(PIP_INSTALL) --no-build-isolation pytest pytest-xdist hypothesis -e .
	@touch $@

# Lava needs Python 3.10 and numpy < 2. lava-dl goes in without what it asks for: its netx needs h5py alone
# (snnport/workers/slayer_stub.py stands in for torch).
.venv-lava/.installed: constraints-lava.txt
	@find_python() { \
	  for python in "$$SNNPORT_LAVA_PYTHON" "$$(command -v python3.10)" "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.10.*/bin/python \
	      "$$(uv python find 3.10 2>/dev/null)"; do \
	    if "$$python" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; then echo "$$python"; return; fi; \
	  done; false; \
	}; \
	python="$$(find_python)" || { command -v uv >/dev/null && uv python install --quiet 3.10 && python="$$(find_python)"; } || { echo >&2 \
	  "Lava needs Python 3.10, and none was found. Type: uv python install 3.10   (or: pyenv install 3.10, or: make lava SNNPORT_LAVA_PYTHON=python3.10)"; \
	  exit 1; }; \
	echo "$$python -m venv .venv-lava (its packages take a minute the first time)"; "$$python" -m venv .venv-lava
	.venv-lava/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lava.txt lava-nc h5py
	.venv-lava/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lava.txt --no-deps lava-dl
	@touch $@

# xylosim gets an environment of its own, as every vendor's package does.
.venv-xylo/.installed: Makefile
	$(PYTHON) -m venv .venv-xylo
	.venv-xylo/bin/python -m pip install --quiet --disable-pip-version-check xylosim==0.1.3 numpy==2.4.6
	@touch $@

# SANA-FE is under the GPL: it gets an environment of its own, and snnport speaks to it through files.
.venv-sanafe/.installed: constraints.txt
	$(PYTHON) -m venv .venv-sanafe
	.venv-sanafe/bin/python $(PIP_INSTALL) sanafe==2.2.9 numpy
	@touch $@
