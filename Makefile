# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
# Every target does the set-up first; it takes minutes once and seconds after that.

PYTHON ?= python3
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo slam bench latency fuzz soak gpu-check test lint format clean

help: ## print what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## environment, ROS 2, torch, compiled ops, messages, weights; makes .venv and env.sh
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON) (apt install python3 python3-venv python3-dev)"; exit 1; }
	@$(PYTHON) -m tools.setup_env

demo: setup ## replay a sequence through the tracker over DDS into out/; SEQUENCE=DIR takes yours, else a simulated one
	@. ./env.sh && python -m aliked_ros.ros.start demo $(if $(SEQUENCE),"$(SEQUENCE)")

slam: setup ## the reference SLAM backend on a sequence, into out/; SEQUENCE=DIR takes yours, SLAM="--features orb" passes options
	@. ./env.sh && python -m aliked_ros.cli.main slam $(if $(SEQUENCE),"$(SEQUENCE)") $(SLAM)

bench: setup ## time this project beside its peers into out/bench.json and out/bench.png; BENCH="--rounds 5" passes options
	@. ./env.sh && pip="python -m pip install --quiet --no-input --disable-pip-version-check" && \
	{ $$pip -c .venv/.setup/constraints.txt -r requirements/bench.txt && \
	  $$pip --no-deps -r requirements/bench_no_deps.txt || \
	  echo "not every peer could be installed; the table names those that are absent"; } && \
	python -m aliked_ros.cli.main bench --json out/bench.json --plot out/bench.png $(BENCH)

latency: setup ## what the node adds to its network, beside a bare relay, into out/latency.json; LATENCY="--rounds 500" passes options
	@. ./env.sh && python -m aliked_ros.ros.latency $(LATENCY)

fuzz: setup ## 400,000 generated messages and 2,000 broken files through the node and the readers; FUZZ="--seconds 600 --seed 7"
	@. ./env.sh && python -m tools.fuzz $(FUZZ)

soak: setup ## the tracker at full load for SECONDS=3600; memory, latency, ids and counters; SOAK="--model aliked-t16 --cameras 2"
	@. ./env.sh && { python -c "import matplotlib" 2>/dev/null || python -m pip install --quiet --no-input \
	  --disable-pip-version-check -c .venv/.setup/constraints.txt -r requirements/bench.txt; } && \
	python -m aliked_ros.ros.soak --seconds $(or $(SECONDS),3600) $(SOAK)

gpu-check: ## tests, gates, memcheck and benchmark on a CUDA machine, into out/gpu.json; needs torch and nvcc, no ROS; GPU="--quick"
	@$(PYTHON) -m tools.gpu_check $(GPU)

test: lint ## lint, types and every test, with the coverage of the nodes' processes
	@. ./env.sh && tools/run_tests.sh

lint: setup ## formatting, lint and types
	@. ./env.sh && python -m ruff format --check . && python -m ruff check . && python -m mypy

format: setup ## rewrite the sources in the project's format
	@. ./env.sh && python -m ruff format . && python -m ruff check --fix .

clean: ## remove everything that was made except .venv
	rm -rf build install log out env.sh .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache aliked_ros.egg-info
	find custom_ops -name '*.so' -delete
	rm -f .venv/.setup/install_package # so that the next set-up compiles the ops again
