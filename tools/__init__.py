# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What sets the project up and builds its parts; runs before anything is installed."""
