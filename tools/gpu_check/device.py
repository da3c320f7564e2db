# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the device of the check can do."""

from __future__ import annotations

import torch


def precisions() -> tuple[str, ...]:
    """Those that the CUDA engine has there: before compute capability 8.0 tensor cores multiply float16 only."""
    return ("fp32", "fp16", "bf16") if torch.cuda.get_device_capability()[0] >= 8 else ("fp16",)
