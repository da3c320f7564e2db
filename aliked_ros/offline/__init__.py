# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Whole sequences, frame by frame and without dropping any: through the front-end and the backend into reports."""
