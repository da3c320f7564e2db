# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The paper, readable: layers, detector (DKD), descriptor (SDDH), model and weights; works with autograd."""
