# Everything runs in .venv; `make setup` is a no-op while the requirements have not changed.
PYTHON ?= python3
# The local version keeps pip from taking a CUDA build.
TORCH ?= 2.13.0+cpu
BIN := .venv/bin
STAMP := .venv/.stamp
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test lint format docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet 'torch==$(TORCH)' || { \
	  echo "No CPU build of torch is in reach: name PyTorch's CPU index in PIP_EXTRA_INDEX_URL," \
	       "or take the default build, gigabytes of CUDA included, with TORCH=2.13.0."; exit 1; }
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@# The same OpenCV built without windows: it needs no libGL of the system.
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall opencv-python-headless
	@# For one comparison of the tests. Outside the path: beside a CPU build of torch it breaks imports.
	@$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .venv/torchvision \
	  torchvision==0.28.0 num2words==0.5.14 2>/dev/null || \
	  echo "torchvision is not in reach: the comparison with the official processors is skipped."
	touch $@

demo: setup
	$(BIN)/videopipe demo

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup
	$(BIN)/python pipelines/make_docs.py

clean:
	rm -rf .venv demo build *.egg-info
