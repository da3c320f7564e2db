# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The two operators of ALIKED that torch lacks, compiled for CPU and CUDA, with pure-torch references.

| function | from | to |
|---|---|---|
| `get_patches` | map (C, H, W), points (N, 2) | patches (N, C, K, K) |
| `deform_conv2d` | map (B, C, H, W), offset (B, 2·Kh·Kw, Ho, Wo) | map (B, O, Ho, Wo) |

Both work with autograd, `torch.compile` and float16, bfloat16, float32 and float64. `backend()` tells which
implementation runs and, where that is the reference, why. The compiled operators are also reachable as
`torch.ops.aliked_ops.*`.
"""

from aliked_ops.backend import Backend, backend
from aliked_ops.ops import deform_conv2d, get_patches

__all__ = ["Backend", "backend", "deform_conv2d", "get_patches"]
