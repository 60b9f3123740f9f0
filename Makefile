# Everything a newcomer types. `make run` and `make test` install what they need into .venv from requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_DIR ?= runs/lift-cube
# On Linux the default torch wheel brings CUDA (5 GB). Where PyTorch's own index can be reached, the CPU wheel is enough:
#   make run TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
export MUJOCO_GL ?= egl
LOCK := $(if $(filter aarch64,$(shell uname -m)),requirements-aarch64.lock,requirements.lock)

# One file, one process, in the order of tests/conftest.py
BOTH_CORES := -n 2 --dist loadgroup --no-loadscope-reorder

# Tests that need no model, no simulator, no server and no other program that takes long to start.
FAST := tests/architecture tests/core tests/robots tests/hera_workflows tests/run/test_config.py \
  tests/run/test_pinned_identity.py tests/store/test_stores.py::TestFolder tests/media/test_encode_repeats.py \
  tests/formats/test_gr00t_cosmos.py tests/formats/test_leisaac.py tests/formats/test_leisaac_probe.py \
  tests/formats/test_lerobot.py tests/formats/test_lerobot_v30_check.py tests/local/test_expressions.py \
  tests/local/test_manifest_strictness.py tests/stages/test_plan.py tests/chart/test_jobs_image.py \
  tests/cli/test_errors.py tests/backends/test_example_backend.py

.PHONY: help run check test lint types test-cluster test-cluster-long test-lerobot soak fuzz render lock lock-arm lock-check docs \
  docs-check wheels release-dry-run clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/.done: $(LOCK) pyproject.toml
	@echo "installing into $(VENV) (a few minutes the first time)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	@if [ -n "$(TORCH_INDEX)" ]; then $(BIN)/python -m pip install -q torch --index-url $(TORCH_INDEX); \
	  grep -v -E '^(torch|triton|nvidia-|cuda-)' $(LOCK) > $(VENV)/requirements.txt; \
	  else cp $(LOCK) $(VENV)/requirements.txt; fi
	$(BIN)/python -m pip install -q -r $(VENV)/requirements.txt
	$(BIN)/python -m pip install -q --no-deps --ignore-requires-python isaaclab-so101==0.1.0
	@# setuptools warns of every editable installation
	PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install -q --no-deps -e .
	@$(BIN)/python -m leicos_jobs.cli.doctor
	@touch $@

run: $(VENV)/.done  ## record demonstrations and run the whole pipeline here, CPU only
	@mkdir -p $(RUN_DIR)
	@test -f $(RUN_DIR)/demos.hdf5 || $(BIN)/leicos record $(RUN_DIR)/demos.hdf5 --episodes 85 --seed 0
	@$(BIN)/leicos run examples/lift_cube.yaml --source $(RUN_DIR)/demos.hdf5 --out $(RUN_DIR)

check: lint types  ## lint, types and the fast tests: under a minute on two cores
	$(BIN)/python -m pytest $(FAST) $(BOTH_CORES)

lint: $(VENV)/.done  ## ruff, layers, what nothing uses, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/python -m hera_workflows.render --check
	$(BIN)/python helm/generate_readme.py --check
	$(BIN)/python docs/tools/generate.py --check

types: $(VENV)/.done  ## mypy strict
	$(BIN)/mypy

test: lint types docs  ## lint, types and all tests that need no cluster
	$(BIN)/python -m pytest tests $(BOTH_CORES) -m "not cluster and not soak"

test-cluster: $(VENV)/.done  ## a real Kubernetes with Argo: conformance, chart, pools, the whole pipeline
	$(BIN)/python -m tests.cluster.harness check
	$(BIN)/python -m pytest tests/cluster -m "cluster and not long"

test-cluster-long: $(VENV)/.done  ## the same cluster: three runs in a row; 200 samples with their ids in the pixels, lost pods
	$(BIN)/python -m tests.cluster.harness check
	$(BIN)/python -m pytest tests/cluster -m "cluster and long"

test-lerobot: $(VENV)/.done $(VENV)-lerobot-0.3.3/.done $(VENV)-lerobot-0.4.4/.done  ## open the results with the real lerobot
	LEICOS_LEROBOT_V21=$(VENV)-lerobot-0.3.3/bin/python LEICOS_LEROBOT_V30=$(VENV)-lerobot-0.4.4/bin/python \
	  $(BIN)/python -m pytest tests/formats/test_lerobot_loaders.py -rs

$(VENV)-lerobot-%/.done:
	$(PYTHON) -m venv $(VENV)-lerobot-$*
	$(VENV)-lerobot-$*/bin/python -m pip install -q lerobot==$* h5py
	@touch $@

soak: $(VENV)/.done  ## whole runs: killed, damaged, side by side, amended, over a bad network; the Cosmos worker killed
	$(BIN)/python -m pytest tests -m soak

fuzz: $(VENV)/.done  ## an hour of broken recordings and configurations: no traceback, nothing that looks finished
	PYTHONPATH=.:tests $(BIN)/python tests/formats/fuzz.py --minutes 60

render: $(VENV)/.done  ## write what is made from code: Argo's manifests, the chart's README, pages of docs/
	$(BIN)/python -m hera_workflows.render
	$(BIN)/python helm/generate_readme.py
	$(BIN)/python docs/tools/generate.py

docs: $(VENV)/.done  ## the documentation's site, in build/site; a dead link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build  # not --quiet: it would not count warnings
	@echo "build/site/index.html"

docs-check: docs  ## run every command block of the documentation that needs no cluster and no GPU (LONG=--long: all)
	$(BIN)/python docs/tools/blocks.py $(LONG)

wheels: $(VENV)/.done  ## build the wheel and install it with each extra into a fresh environment (needs an index)
	$(BIN)/python .ci/wheels.py

release-dry-run: $(VENV)/.done  ## everything of a release but the pushing: docs/releasing.md
	$(BIN)/python .ci/release.py

lock:  ## requirements.lock from the current environment of $(BIN): for Linux on x86-64
	echo "# For Linux on x86-64. Written by make lock, checked by make lock-check." > requirements.lock
	$(BIN)/python -m pip freeze --exclude-editable | grep -v -E '^(leicos|isaaclab)' >> requirements.lock

lock-arm: $(VENV)/.done  ## requirements-aarch64.lock, with the versions of requirements.lock (needs an index)
	$(BIN)/python -m pip install -q uv
	grep -v '^#' requirements.lock > $(VENV)/constraints.txt
	echo "# For Linux on aarch64: the extras local, workflows, cluster and docs. Written by make lock-arm." > requirements-aarch64.lock
	$(BIN)/uv pip compile pyproject.toml --extra local --extra workflows --extra cluster --extra docs --python-version 3.11 \
	  --python-platform aarch64-manylinux_2_28 -c $(VENV)/constraints.txt --no-header --no-annotate -q >> requirements-aarch64.lock

lock-check: $(VENV)/.done  ## the lock is complete and within pyproject's bounds; both still resolve (needs an index)
	$(BIN)/python -m pytest tests/architecture/test_lock.py
	$(BIN)/python -m pip install --dry-run --quiet --ignore-installed --use-feature=fast-deps --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install --dry-run --quiet --ignore-installed --use-feature=fast-deps -e '.[dev]'

clean:  ## remove the environment (runs/ stays)
	rm -rf $(VENV)
