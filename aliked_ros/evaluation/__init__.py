# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Evaluation against ground truth: one module for each benchmark, pure functions of numbers in ``metrics``."""
