# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The values of ROS messages, without ROS: their fields, their pixels, their definitions."""
