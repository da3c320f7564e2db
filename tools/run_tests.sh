#!/usr/bin/env bash
# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
# Runs every test, two files at a time, and measures which lines ran, also in the processes that tests start (see
# [tool.coverage]). Many tests wait for processes; nodes of two files never meet, each run having a ROS domain of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python -m coverage erase
status=0
python -m coverage run -m pytest -n 2 --dist loadfile "$@" || status=$?
python -m coverage combine --quiet
python -m coverage report --fail-under=90 || status=$?
exit "$status"
