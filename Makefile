# The environment lives in .venv. A stamp in it, newer than pyproject.toml and constraints.txt, says that it is complete.

PYTHON ?= python3
GPU ?= check,bench,study
OUT ?= gpu-results
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
ALL := .[dev,faces]

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help study test slow gpu publish lint docs constraints clean

help:  ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r target text; do \
		printf '  make %-13s %s\n' "$$target" "$$text"; done

study: $(RUNTIME)  ## set up .venv if needed, then train and draw studies/quickstart.yaml
	$(BIN)/spikeslab run studies/quickstart.yaml

test: lint  ## lint, then every test but the slow ones
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

slow: $(DEV)  ## the slow tests: minutes of training, benchmarks
	$(BIN)/python -m pytest -m slow -s

gpu: $(DEV)  ## what takes a graphics card, at most 8 minutes: GPU=check,bench,study chooses, OUT=gpu-results takes the figures
	$(BIN)/python -m tests.gpu --parts '$(GPU)' --out '$(OUT)'

publish: $(DEV)  ## train what studies/published.yaml lacks, then write the page and README's numbers: ARGS=--plan says what is left
	$(BIN)/spikeslab publish $(ARGS)
	case '$(ARGS)' in *--plan*) ;; *) $(BIN)/spikeslab report --results studies/published && \
		$(BIN)/python -m docs.claims ;; esac

lint: $(DEV)  ## style, types and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DEV)  ## build the documentation into site/, offline, with every link checked
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo 'Open site/index.html in a browser.'

constraints: $(DEV)  ## write constraints.txt anew from what .venv holds
	{ sed -n '/^#/p' constraints.txt; \
	  $(BIN)/python -m pip freeze --exclude-editable | grep -viE '^(pip|setuptools|wheel|spikeslab)( @|==)'; \
	} > $(VENV)/constraints.new
	mv $(VENV)/constraints.new constraints.txt
	@touch $(RUNTIME) $(DEV)

clean:  ## remove .venv, results and caches
	rm -rf $(VENV) results site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find harness models analysis tests -type d -name __pycache__ -prune -exec rm -rf {} +

# Without its interpreter (a Python that was since removed) an environment is nothing, whatever its stamps say.
ifeq ($(realpath $(BIN)/python),)
.PHONY: $(RUNTIME) $(DEV)
endif

$(RUNTIME): pyproject.toml constraints.txt
	@$(call install,.,spikeslab and the packages it needs)
	@touch $(RUNTIME)

$(DEV): pyproject.toml constraints.txt
	@$(call install,$(ALL),spikeslab with the packages it needs and the tools for tests)
	@touch $(RUNTIME) $(DEV)

# bin/pip comes after pip itself: without it, the making of the environment was cut short.
WORKS := test -x $(BIN)/pip && $(BIN)/python -c '' 2>/dev/null
HINT := name a Python 3.11 or newer, as in `make study PYTHON=/path/to/python3.11`.
CHECK := import sys; v = sys.version_info; \
	sys.exit(v < (3, 11) and "spikeslab cannot run on $(PYTHON), which is Python %d.%d: $(HINT)" % v[:2])

# $(call install,WHAT,IN WORDS). An environment that works is kept; one that was left half-made is made again.
# Debian's Python can come without ensurepip: then its pip installs one into the environment.
# INSTALLER is among the last files that pip writes of a package: without it, pip would take half a package for a whole.
define install
rm -f $(RUNTIME) $(DEV)
$(WORKS) || command -v '$(PYTHON)' >/dev/null || { echo 'There is no $(PYTHON) here: $(HINT)' >&2; exit 1; }
$(WORKS) || $(PYTHON) -c '$(CHECK)'
$(WORKS) || { echo 'Making an environment in $(VENV).'; $(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1; } || { \
	$(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
for info in $(VENV)/lib/python3*/site-packages/*.dist-info; do test -f "$$info/INSTALLER" || rm -rf "$$info"; done
echo 'Installing $(2): about 3 minutes and 6 GB the first time, and not a word until it is done.'
start=$$(date +%s); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '$(1)' && \
	echo "Installed in $$(($$(date +%s) - start)) s."
endef
