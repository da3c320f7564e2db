# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where frames come from: TUM directories, folders, videos, cameras; bags are in io/bags."""
