# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Features and matches in the files of other systems: COLMAP's database, hloc's HDF5."""
