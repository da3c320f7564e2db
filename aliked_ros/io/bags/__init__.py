# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""ROS bags: read whole or cut off, written, and features recorded to mcap."""
