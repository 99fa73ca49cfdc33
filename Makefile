# From a fresh clone, with Python 3.11 and pip alone: `make demo`, `make test`.
# Everything is installed into .venv; no environment needs to be active.
# Paths are relative throughout, so that the project's own path may hold spaces.

SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO := build/demo
# A process a core; a module keeps to one, for its fixtures: tests/support/scheduling.py.
PYTEST := $(BIN)/python -m pytest -n logical
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help demo test test-quick soak install lint types format tables bench clean

help:
	@echo 'make demo    train on the embedded reviews, reload, predict (4 minutes)'
	@echo 'make test    lint, types and all tests, in a virtual environment'
	@echo 'make test-quick    one variant of each test, none that trains (3 minutes)'
	@echo 'make soak    CASES=1000 random layers and commands, 100 random kills (hours)'
	@echo 'make lint | types | format | tables | bench | clean'

# Trains into build/demo/saved_models: the committed models stay as they are.
demo: .venv/.recipes
	@mkdir -p $(DEMO)
	@echo '== 1. Train on reviews that the package generates; nothing is downloaded'
	cd $(DEMO) && ../../$(BIN)/attention-zoo train attention_lstm_reviews --force
	@echo '== 2. Reload in a fresh process with plain Keras'
	cd $(DEMO) && ../../$(BIN)/python -c "$$LOAD"
	@echo '== 3. Predict in another one, and show where the model looks'
	cd $(DEMO) && ../../$(BIN)/attention-zoo predict attention_lstm_reviews $(TEXTS)
	cd $(DEMO) && ../../$(BIN)/attention-zoo explain attention_lstm_reviews $(TEXTS)
	@echo '== The model, its card and its pictures: $(DEMO)/saved_models'

TEXTS := "all in all the film was not good, but the critics had told us it was great" \
  "my brother swore it was awful, yet if you ask me this movie felt anything but dull"

define LOAD
import attention_zoo, keras
model = keras.models.load_model("saved_models/attention_lstm_reviews/model.keras")
print(model(keras.ops.convert_to_tensor(["all in all the film was not good"])).numpy())
endef
export LOAD

test: lint types
	$(PYTEST)
	KERAS_BACKEND=jax $(PYTEST) tests/layers
	KERAS_BACKEND=torch $(PYTEST) tests/layers tests/zoo

# For the loop of work: no training, no other process, one variant of each test.
test-quick: .venv/.test
	$(PYTEST) --quick

# Random layers on all backends, random commands over random files, SIGKILLs over small
# trainings of all kinds, and what the tests measure on a sample, whole: hours, and no
# part of the tests. JAX compiles each case.
CASES ?= 1000
JAX_CASES ?= 100
soak: .venv/.test
	ATTENTION_ZOO_CASES=$(CASES) $(BIN)/python -m pytest -n 0 -s tests/layers/test_random.py
	KERAS_BACKEND=torch ATTENTION_ZOO_CASES=$(CASES) \
	  $(BIN)/python -m pytest -n 0 -s tests/layers/test_random.py
	KERAS_BACKEND=jax ATTENTION_ZOO_CASES=$(JAX_CASES) \
	  $(BIN)/python -m pytest -n 0 -s tests/layers/test_random.py
	ATTENTION_ZOO_CASES=$(CASES) \
	  $(BIN)/python -m pytest -n 0 -s tests/recipes/cli/test_random_commands.py
	$(BIN)/python tests/soak/kills.py 25
	ATTENTION_ZOO_WHOLE=1 $(BIN)/python -m pytest -n 0 tests/recipes/test_committed.py

install: .venv/.test

lint: .venv/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: .venv/.test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# A type checker does not follow the mapping of folders to packages in setup.cfg, so
# the packages are installed under their names first; messages name the real files.
types: .venv/.test
	@rm -rf build/types build/lib build/bdist.*
	$(PIP) install --quiet --no-deps --no-build-isolation --target build/types .
	@set -o pipefail; $(BIN)/mypy | sed -E \
	  -e 's#build/types/attention_zoo/(layers|recipes|saved_models)/#\1/#' \
	  -e 's#build/types/attention_zoo/#zoo/#'

# Writes the tables of results and of layers into README.md.
tables: .venv/.test
	$(BIN)/python -m benchmarks tables

# All races, one after the other, then their picture and tables; half an hour.
RACES := models serving inputs layers modules growth decoding vision memory imports
bench: .venv/.test
	@missed=0; for race in $(RACES) picture tables; do \
	  $(BIN)/python -m benchmarks $$race || missed=1; \
	done; exit $$missed

clean:
	rm -rf build dist *.egg-info .ruff_cache .hypothesis .venv/.recipes .venv/.test
	find layers zoo recipes saved_models tests benchmarks -name __pycache__ \
	  -type d -exec rm -rf {} +

.venv/pyvenv.cfg:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later, please: make PYTHON=..." \
	  if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/.recipes: .venv/pyvenv.cfg setup.cfg pyproject.toml
	$(PIP) install --quiet --editable '.[recipes]'
	@touch $@

.venv/.test: .venv/pyvenv.cfg setup.cfg pyproject.toml
	$(PIP) install --quiet --editable '.[recipes,tune,optuna,test,jax,torch]'
	@touch $@ .venv/.recipes
