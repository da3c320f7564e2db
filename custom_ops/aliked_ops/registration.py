# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What torch must know of the compiled operators besides their kernels: shapes without data, and gradients.

The functions have the arguments that torch gives them, used or not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aliked_ops import checks

Context = Any  # torch.autograd.function.FunctionCtx with the attributes that set_context() gave it
Pair = tuple[int, int]


def register() -> None:
    """Register fake kernels and autograd for the loaded operators; once per process."""
    for name, fake in (
        ("get_patches", _fake_get_patches),
        ("get_patches_backward", _fake_get_patches_backward),
        ("deform_conv2d", _fake_deform_conv2d),
        ("deform_conv2d_backward", _fake_deform_conv2d_backward),
    ):
        torch.library.register_fake(f"aliked_ops::{name}", fake)
    for name, backward, setup_context in (
        ("get_patches", _get_patches_vjp, _get_patches_context),
        ("get_patches_backward", _get_patches_backward_vjp, _get_patches_backward_context),
        ("deform_conv2d", _deform_conv2d_vjp, _deform_conv2d_context),
        ("deform_conv2d_backward", _deform_conv2d_backward_vjp, None),
    ):
        torch.library.register_autograd(f"aliked_ops::{name}", backward, setup_context=setup_context)


def _fake_get_patches(feature_map: Tensor, points_xy: Tensor, kernel_size: int) -> Tensor:
    checks.check_get_patches(feature_map, points_xy, kernel_size)
    return feature_map.new_empty((points_xy.shape[0], feature_map.shape[0], kernel_size, kernel_size))


def _fake_get_patches_backward(grad_patches: Tensor, points_xy: Tensor, height: int, width: int) -> Tensor:
    checks.check_get_patches_backward(grad_patches, points_xy, height, width)
    return grad_patches.new_empty((grad_patches.shape[1], height, width))


def _get_patches_context(ctx: Context, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:  # noqa: ARG001
    feature_map, points_xy, ctx.kernel_size = inputs
    ctx.save_for_backward(points_xy)
    ctx.height, ctx.width = feature_map.shape[1:]


def _get_patches_vjp(ctx: Context, grad_patches: Tensor) -> tuple[Tensor, None, None]:
    (points_xy,) = ctx.saved_tensors
    grad_map = torch.ops.aliked_ops.get_patches_backward(grad_patches, points_xy, ctx.height, ctx.width)
    return grad_map, None, None


def _get_patches_backward_context(ctx: Context, inputs: tuple[Tensor, Tensor, int, int], output: Tensor) -> None:  # noqa: ARG001
    grad_patches, points_xy = inputs[:2]
    ctx.save_for_backward(points_xy)
    ctx.kernel_size = grad_patches.shape[3]


def _get_patches_backward_vjp(ctx: Context, grad_map: Tensor) -> tuple[Tensor, None, None, None]:
    # get_patches is linear in the map, so its gradient's gradient is itself.
    (points_xy,) = ctx.saved_tensors
    return torch.ops.aliked_ops.get_patches(grad_map, points_xy, ctx.kernel_size), None, None, None


def _fake_deform_conv2d(
    feature_map: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Tensor:
    geometry = checks.check_deform_conv2d(feature_map, offset, weight, bias, stride, padding, dilation)
    return feature_map.new_empty((feature_map.shape[0], weight.shape[0], *geometry.output_size))


def _fake_deform_conv2d_backward(
    grad_output: Tensor,  # noqa: ARG001
    feature_map: Tensor,
    offset: Tensor,
    weight: Tensor,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> tuple[Tensor, Tensor, Tensor]:
    checks.check_deform_conv2d(feature_map, offset, weight, None, stride, padding, dilation)
    grads = [tensor.new_empty(tensor.shape) for tensor in (feature_map, offset, weight)]
    return grads[0], grads[1], grads[2]


def _deform_conv2d_context(ctx: Context, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    feature_map, offset, weight, _, *ctx.steps = inputs
    ctx.save_for_backward(feature_map, offset, weight)


def _deform_conv2d_vjp(ctx: Context, grad_output: Tensor) -> tuple[Tensor | None, ...]:
    grads: tuple[Tensor, Tensor, Tensor] = torch.ops.aliked_ops.deform_conv2d_backward(
        grad_output, *ctx.saved_tensors, *ctx.steps
    )
    grad_bias = grad_output.sum((0, 2, 3)) if ctx.needs_input_grad[3] else None
    return (*grads, grad_bias, None, None, None)


def _deform_conv2d_backward_vjp(ctx: Context, *grads: Tensor) -> tuple[None, ...]:
    raise NotImplementedError(
        "deform_conv2d has first derivatives only; aliked_ops.reference.deform_conv2d has every order"
    )
