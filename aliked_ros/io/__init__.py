# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sequences in and pictures out: TUM directories, folders, videos, bags, cameras; drawing and video files."""
