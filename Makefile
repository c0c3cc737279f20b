# The two commands of the README are `make run` and `make test`; both install what they need first.
PYTHON ?= python3
VENV ?= .venv
# Torch comes first: a plain requirement resolved later takes the registry's CUDA build, several GB.
TORCH ?= torch==2.13.0
TORCH_OPTIONS ?=
PRESET ?= small
WORK ?= work/run
# PubMed XML files; without any, ../shared/pubmed if it is there, else one file from NLM.
PUBMED ?= $(wildcard ../shared/pubmed/*.xml.gz)
EVAL ?= $(wildcard ../shared/eval)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test test-all check fix bench compat audit dist docs docs-site clean

run: $(VENV)/.installed
	$(BIN)/pubvec models --fetch minilm --fetch mpnet
	$(BIN)/pubvec run $(PUBMED) -o $(WORK) --preset $(PRESET) $(if $(EVAL),--data $(EVAL))

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

# The tests that kill processes, start clusters or repeat whole jobs too. CI runs these.
test-all: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check src tests benchmarks recipes examples docs setup.py
	$(BIN)/ruff check src tests benchmarks recipes examples docs setup.py
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

fix: $(VENV)/.installed-dev
	$(BIN)/ruff format src tests benchmarks recipes examples docs setup.py
	$(BIN)/ruff check --fix src tests benchmarks recipes examples docs setup.py

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/generate.py

# The documentation site in site/; a broken link or an unknown name fails. The variable silences an advertisement.
docs-site: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/.installed-dev $(VENV)-bench/.installed
	$(BIN)/python -m benchmarks.commands parse $(firstword $(PUBMED)) -o results/bench-parse.json
	$(BIN)/python -m benchmarks.commands pairs $(WORK)/articles $(EVAL) -n 3 -o results/bench-pairs.json
	$(BIN)/python -m benchmarks.commands import -o results/bench-import.json
	$(BIN)/python -m benchmarks.encoder $(WORK)/small $(WORK)/articles --python $(VENV)-bench/bin/python
	$(BIN)/python -m benchmarks.encoder $(WORK)/small $(WORK)/articles -o results/bench-encoder-few.json \
		--contender "pubvec int8" --contender "pubvec fp32" --contender sentence-transformers
	$(BIN)/python -m benchmarks.growth $(WORK)/small $(WORK)/articles

# Other libraries open the released folder, each in an environment of its own: some gigabytes, the first time.
compat: $(VENV)/.installed-dev
	$(BIN)/python tests/compat/run.py

# Known weaknesses of everything installed; asks a service on the internet.
audit: $(VENV)/.installed-dev
	$(PIP) pip-audit
	$(BIN)/pip-audit --local --skip-editable

# Others' encoders, which want older versions of libraries that ours shares with them.
$(VENV)-bench/.installed:
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet $(TORCH_OPTIONS) "$(TORCH)"
	$(VENV)-bench/bin/python -m pip install --quiet "sentence-transformers[onnx,openvino]" fastembed "model2vec[distill]"
	touch $@

# The wheel and the source archive, checked as an index of packages checks them.
dist: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

clean:
	rm -rf $(VENV) $(VENV)-bench build dist work site .cache

$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) $(TORCH_OPTIONS) "$(TORCH)"
	touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	$(PIP) -e ".[train,search]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e ".[train,search,serve,txtai,scale]" --group dev --group site --group bench
	touch $@
