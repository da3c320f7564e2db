# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import aliked_ops
import pytest
import torch
from aliked_ops import reference
from ops_cases import (
    CHANNELS,
    DEVICES,
    DTYPES,
    HEIGHT,
    POINTS,
    WIDTH,
    busy_stream,
    map_gradient_by_definition,
    patches_by_definition,
    random_map,
    require_compiled,
    torch_threads,
)
from torch import Tensor


@pytest.fixture(params=DEVICES)
def compiled_device(request: pytest.FixtureRequest) -> torch.device:
    return require_compiled(request.param)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
def test_reference_is_the_definition(kernel_size: int) -> None:
    feature_map = random_map()
    patches = reference.get_patches(feature_map, POINTS, kernel_size)
    assert torch.equal(patches, patches_by_definition(feature_map, POINTS, kernel_size))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, 12])
def test_compiled_patches_equal_the_reference(
    compiled_device: torch.device, kernel_size: int, dtype: torch.dtype
) -> None:
    feature_map = random_map(dtype)
    patches = aliked_ops.get_patches(feature_map.to(compiled_device), POINTS.to(compiled_device), kernel_size)
    assert patches.dtype == dtype
    assert patches.is_contiguous()
    assert torch.equal(patches.cpu(), reference.get_patches(feature_map, POINTS, kernel_size))


def test_an_even_kernel_reaches_further_after_the_point() -> None:
    feature_map = torch.arange(25.0).reshape(1, 5, 5)
    patch = aliked_ops.get_patches(feature_map, torch.tensor([[2, 1]]), 2)
    assert patch.flatten().tolist() == [7, 8, 12, 13]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
def test_compiled_gradient_adds_up_where_patches_overlap(
    compiled_device: torch.device, kernel_size: int, dtype: torch.dtype
) -> None:
    feature_map = random_map(dtype).to(compiled_device).requires_grad_()
    patches = aliked_ops.get_patches(feature_map, POINTS.to(compiled_device), kernel_size)
    grad_patches = torch.randn(patches.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    patches.backward(grad_patches.to(compiled_device))
    assert feature_map.grad is not None
    expected = map_gradient_by_definition(grad_patches, POINTS, HEIGHT, WIDTH)
    # Half types are summed in float32 and rounded once, so that half a unit in the last place is lost.
    sum_eps = torch.finfo(torch.promote_types(dtype, torch.float32)).eps
    rtol = torch.finfo(dtype).eps / 2 + 4 * sum_eps
    torch.testing.assert_close(feature_map.grad.cpu().double(), expected, rtol=rtol, atol=20 * sum_eps)


def test_reference_gradient_adds_up_where_patches_overlap() -> None:
    feature_map = random_map(torch.float64).requires_grad_()
    patches = reference.get_patches(feature_map, POINTS, 3)
    grad_patches = torch.randn(patches.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (grad_map,) = torch.autograd.grad(patches, feature_map, grad_patches)
    torch.testing.assert_close(grad_map, map_gradient_by_definition(grad_patches, POINTS, HEIGHT, WIDTH))


def test_the_gradient_of_a_pixel_in_three_patches_is_three() -> None:
    feature_map = torch.zeros(1, 3, 3, requires_grad=True)
    aliked_ops.get_patches(feature_map, torch.tensor([[1, 1], [1, 1], [0, 0]]), 3).sum().backward()
    assert feature_map.grad is not None
    assert feature_map.grad[0].tolist() == [[3, 3, 2], [3, 3, 2], [2, 2, 2]]


def test_compiled_no_points(compiled_device: torch.device) -> None:
    feature_map = random_map().to(compiled_device).requires_grad_()
    patches = aliked_ops.get_patches(feature_map, torch.zeros((0, 2), dtype=torch.int64, device=compiled_device), 3)
    assert patches.shape == (0, CHANNELS, 3, 3)
    patches.sum().backward()
    assert feature_map.grad is not None
    assert not feature_map.grad.any()


def test_reference_no_points() -> None:
    assert reference.get_patches(random_map(), torch.zeros((0, 2), dtype=torch.int64), 5).shape == (0, CHANNELS, 5, 5)


@pytest.mark.parametrize("layout", ["channels_last", "sliced", "transposed", "one_channel_expanded"])
def test_compiled_takes_maps_and_points_of_any_strides(compiled_device: torch.device, layout: str) -> None:
    big = torch.randn((12, 20, 22), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    feature_map = {
        "channels_last": lambda: big[None].contiguous(memory_format=torch.channels_last)[0],
        "sliced": lambda: big[1:9:2, 3:15, 1::3],
        "transposed": lambda: big.transpose(1, 2),
        "one_channel_expanded": lambda: big[:1].expand(7, -1, -1),
    }[layout]()
    points = POINTS.repeat(1, 2)[:, 1:3]
    assert not points.is_contiguous()
    patches = aliked_ops.get_patches(feature_map.to(compiled_device), points.to(compiled_device), 3)
    assert torch.equal(patches.cpu(), patches_by_definition(feature_map, points, 3))


def test_compiled_gradcheck(compiled_device: torch.device) -> None:
    feature_map = random_map(torch.float64).to(compiled_device).requires_grad_()
    points = POINTS.to(compiled_device)
    for kernel_size in (2, 3):
        assert torch.autograd.gradcheck(lambda m, k=kernel_size: aliked_ops.get_patches(m, points, k), feature_map)
        assert torch.autograd.gradgradcheck(lambda m, k=kernel_size: aliked_ops.get_patches(m, points, k), feature_map)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_points", [0, len(POINTS)])
def test_compiled_operators_follow_torchs_rules(
    compiled_device: torch.device, num_points: int, dtype: torch.dtype
) -> None:
    feature_map = random_map(dtype).to(compiled_device).requires_grad_()
    points = POINTS[:num_points].to(compiled_device)
    torch.library.opcheck(torch.ops.aliked_ops.get_patches.default, (feature_map, points, 3))
    grad = torch.randn((num_points, CHANNELS, 4, 4), dtype=torch.float32).to(compiled_device, dtype).requires_grad_()
    torch.library.opcheck(torch.ops.aliked_ops.get_patches_backward.default, (grad, points, HEIGHT, WIDTH))


def test_compiled_is_traced_whole(compiled_device: torch.device) -> None:
    traced = torch.compile(lambda m, p: aliked_ops.get_patches(m * 2, p, 3), backend="aot_eager", fullgraph=True)
    feature_map, points = random_map().to(compiled_device), POINTS.to(compiled_device)
    assert torch.equal(traced(feature_map, points), aliked_ops.get_patches(feature_map * 2, points, 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_do_not_depend_on_the_number_of_threads(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    feature_map = torch.randn((32, 60, 70), generator=generator).to(dtype)
    points = torch.randint(-3, 75, (3000, 2), generator=generator)
    grad_patches = torch.randn((3000, 32, 3, 3), generator=generator).to(dtype)

    def run(threads: int) -> tuple[Tensor, Tensor]:
        with torch_threads(threads):
            leaf = feature_map.clone().requires_grad_()
            patches = aliked_ops.get_patches(leaf, points, 3)
            return patches.detach(), torch.autograd.grad(patches, leaf, grad_patches)[0]

    patches, grad_map = run(1)
    for threads in (2, 3, 7):
        other_patches, other_grad_map = run(threads)
        assert torch.equal(patches, other_patches)
        assert torch.equal(grad_map, other_grad_map)


@pytest.mark.parametrize("implementation", ["compiled", "reference"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(2, 3), POINTS, 3), r"feature_map must be \(C, H, W\).*got .*2, 3"),
        ((torch.zeros(2, 0, 3), POINTS, 3), r"feature_map must be .* not empty.*got .*2, 0, 3"),
        ((torch.zeros(2, 3, 3, dtype=torch.int32), POINTS, 3), r"feature_map must be float16.*got .*[Ii]nt"),
        ((torch.zeros(2, 3, 3), POINTS.int(), 3), r"points_xy must be .*, got .*[Ii]nt"),
        ((torch.zeros(2, 3, 3), POINTS[:, :1], 3), r"points_xy must be \(N, 2\), got .*24, 1"),
        ((torch.zeros(2, 3, 3), POINTS[0], 3), r"points_xy must be \(N, 2\), got .*2"),
        ((torch.zeros(2, 3, 3), POINTS.to("meta"), 3), r"points_xy must be on cpu, got .*meta"),
        ((torch.zeros(2, 3, 3), POINTS, 0), r"kernel_size must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(implementation: str, arguments: tuple[Tensor, Tensor, int], message: str) -> None:
    if implementation == "compiled":
        require_compiled("cpu")
    function = aliked_ops.get_patches if implementation == "compiled" else reference.get_patches
    with pytest.raises((RuntimeError, NotImplementedError), match=message):
        function(*arguments)


def test_compiled_backward_refuses_gradients_of_another_shape(compiled_device: torch.device) -> None:
    points = POINTS.to(compiled_device)
    backward = torch.ops.aliked_ops.get_patches_backward
    for shape in ((len(POINTS), 2, 3, 4), (len(POINTS) - 1, 2, 3, 3), (len(POINTS), 2, 3)):
        with pytest.raises(RuntimeError, match=r"grad_patches must be \(24, C, K, K\), got"):
            backward(torch.zeros(shape, device=compiled_device), points, 5, 5)
    grad = torch.zeros((len(POINTS), 2, 3, 3), device=compiled_device)
    with pytest.raises(RuntimeError, match="height and width must be positive, got 0 and 5"):
        backward(grad, points, 0, 5)


@pytest.mark.cuda
def test_cuda_uses_the_callers_stream_and_is_deterministic() -> None:
    require_compiled("cuda")
    generator = torch.Generator().manual_seed(4)
    feature_map = torch.randn((16, 50, 60), generator=generator)
    points = torch.randint(-3, 63, (4000, 2), generator=generator)
    grad_patches = torch.randn((4000, 16, 3, 3), generator=generator)
    results = []
    for _ in range(3):
        with busy_stream() as late_zero:
            leaf = (feature_map.cuda() + late_zero).requires_grad_()
            patches = aliked_ops.get_patches(leaf, points.cuda(), 3)
            results.append((patches.detach(), torch.autograd.grad(patches, leaf, grad_patches.cuda())[0]))
    assert torch.equal(results[0][0].cpu(), reference.get_patches(feature_map, points, 3))
    for patches, grad_map in results[1:]:
        assert torch.equal(patches, results[0][0])
        assert torch.equal(grad_map, results[0][1])
