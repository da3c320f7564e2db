# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Measurements of the whole package: time beside its peers, memory, complexity, relative poses."""
