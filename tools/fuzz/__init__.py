# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Generated messages and files, valid and broken, through everything of this project that reads them."""
