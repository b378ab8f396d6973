# Two commands set up a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo-output

.PHONY: help install demo test lint docs perf wheel clean

help:
	@echo "make demo   install into $(VENV), render a dataset, convert, verify, train, evaluate"
	@echo "make test   run all tests"
	@echo "make lint   format, lint, type and import checks"
	@echo "make docs   build the documentation into docs/_build/html"
	@echo "make perf   print the performance measurements"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all,dev,docs]"
	# Apart from the rest: torchmetrics imports torchvision wherever it finds it, and beside a
	# CPU-only torch that fails (see tests/torchvision_stub.py).
	$(BIN)/python -m pip install --quiet --no-deps --target $(VENV)/tv -c constraints.txt torchvision
	touch $@

demo: install
	$(BIN)/posepile demo --out $(OUT)

test: install
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: install
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

perf: install
	$(BIN)/python perf/index_scale.py
	$(BIN)/python perf/transforms.py
	$(BIN)/python perf/metrics.py
	$(BIN)/python perf/coco_ap.py

wheel: install
	$(BIN)/python -m build --wheel --outdir dist

clean:
	rm -rf $(VENV) build dist docs/_build *.egg-info $(OUT)
