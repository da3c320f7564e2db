# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Images in, features, matches and tracks out, whatever engine does the work."""
