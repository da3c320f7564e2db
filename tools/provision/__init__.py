# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The steps of the set-up: standard library only, as they run before anything is installed."""
