# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""`make gpu-check`: everything that needs a GPU, in one command."""
