# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""ROS 2: parameters, message conversions, and the nodes tracker and player."""
