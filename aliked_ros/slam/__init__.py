# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A reference SLAM backend: features, matches, tracks, depth and a calibration in; a trajectory and a map out.

``backend`` is where to start reading: it is the steps, each of which is a module. Needs neither torch nor ROS.
"""
