# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Small rendered RGB-D sequences whose camera poses and depth are known exactly.

``simulation`` makes them, ``truth`` says where a pixel of one frame is in another, ``render`` and ``scene`` are for
new scenes.
"""
