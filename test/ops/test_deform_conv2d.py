# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import math
from typing import Any

import aliked_ops
import pytest
import torch
from aliked_ops import reference
from ops_cases import CONVOLUTIONS, DEVICES, DTYPES, Convolution, busy_stream, require_compiled, torch_threads
from torch import Tensor

# Largest difference to the reference in float64, relative to the largest value there. On CUDA half types are rounded
# once more, between sampling and summing.
CPU_TOLERANCES = {torch.float16: 6e-4, torch.bfloat16: 5e-3, torch.float32: 3e-6, torch.float64: 1e-14}
CUDA_TOLERANCES = {torch.float16: 3e-3, torch.bfloat16: 2e-2, torch.float32: 1e-5, torch.float64: 1e-14}


@pytest.fixture(params=DEVICES)
def compiled_device(request: pytest.FixtureRequest) -> torch.device:
    return require_compiled(request.param)


def output_by_definition(
    case: Convolution, feature_map: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """One sample at a time, in Python's numbers."""
    height, width = case.size
    rows, columns = case.output_size
    output = torch.zeros((case.batch, case.outputs, rows, columns), dtype=torch.float64)
    if bias is not None:
        output += bias.double()[:, None, None]

    def pixel(b: int, y: int, x: int) -> Tensor:
        inside = 0 <= y < height and 0 <= x < width
        return feature_map[b, :, y, x].double() if inside else torch.zeros(case.channels, dtype=torch.float64)

    for b in range(case.batch):
        for row in range(rows):
            for column in range(columns):
                for tap in range(case.taps):
                    i, j = divmod(tap, case.kernel_size[1])
                    y = row * case.stride[0] - case.padding[0] + i * case.dilation[0]
                    x = column * case.stride[1] - case.padding[1] + j * case.dilation[1]
                    y += float(offset[b, 2 * tap, row, column])
                    x += float(offset[b, 2 * tap + 1, row, column])
                    top, left = math.floor(y), math.floor(x)
                    sample = sum(
                        (1 - abs(y - r)) * (1 - abs(x - c)) * pixel(b, r, c)
                        for r in (top, top + 1)
                        for c in (left, left + 1)
                    )
                    output[b, :, row, column] += weight[:, :, i, j].double() @ sample
    return output


def gradients(
    function: Any, case: Convolution, tensors: tuple[Tensor | None, ...], grad_output: Tensor
) -> list[Tensor]:
    """The output and the gradients of all tensors that there are."""
    leaves = [None if tensor is None else tensor.detach().clone().requires_grad_() for tensor in tensors]
    output = function(*leaves, *case.steps)
    present = [leaf for leaf in leaves if leaf is not None]
    return [output.detach(), *torch.autograd.grad(output, present, grad_output)]


def relative_difference(actual: Tensor, expected: Tensor) -> float:
    return float((actual.cpu().double() - expected).abs().max() / expected.abs().max().clamp(min=1))


@pytest.mark.parametrize("name", ["3x3", "2x2", "4x1_tall", "5x5_dilated", "strided_unevenly", "one_pixel_map"])
def test_reference_is_the_definition(name: str) -> None:
    case = CONVOLUTIONS[name]
    tensors = case.tensors(torch.float64)
    expected = output_by_definition(case, *tensors)
    torch.testing.assert_close(reference.deform_conv2d(*tensors, *case.steps), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_compiled_output_and_gradients_equal_the_reference(
    compiled_device: torch.device, name: str, dtype: torch.dtype
) -> None:
    case = CONVOLUTIONS[name]
    tensors = case.tensors(dtype)
    shape = case.output_shape
    grad_output = torch.randint(-24, 25, shape, generator=torch.Generator().manual_seed(9)).to(dtype) / 8
    exact = [None if tensor is None else tensor.double() for tensor in tensors]
    expected = gradients(reference.deform_conv2d, case, tuple(exact), grad_output.double())
    there = [None if tensor is None else tensor.to(compiled_device) for tensor in tensors]
    actual = gradients(aliked_ops.deform_conv2d, case, tuple(there), grad_output.to(compiled_device))
    tolerance = (CPU_TOLERANCES if compiled_device.type == "cpu" else CUDA_TOLERANCES)[dtype]
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.dtype == dtype
        assert ours.shape == theirs.shape
        assert relative_difference(ours, theirs) <= tolerance


@pytest.mark.parametrize("dtype", DTYPES)
def test_reference_of_every_type_equals_that_of_float64(dtype: torch.dtype) -> None:
    case = CONVOLUTIONS["3x3"]
    tensors = case.tensors(dtype)
    output = reference.deform_conv2d(*tensors, *case.steps)
    assert output.dtype == dtype
    expected = reference.deform_conv2d(*(None if t is None else t.double() for t in tensors), *case.steps)
    assert relative_difference(output, expected) <= CPU_TOLERANCES[dtype]


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("implementation", ["face", "reference"])
def test_without_offsets_it_is_a_convolution(implementation: str, name: str) -> None:
    case = CONVOLUTIONS[name]
    feature_map, offset, weight, bias = case.tensors(torch.float64)
    function = aliked_ops.deform_conv2d if implementation == "face" else reference.deform_conv2d
    output = function(feature_map, torch.zeros_like(offset), weight, bias, *case.steps)
    expected = torch.nn.functional.conv2d(feature_map, weight, bias, *case.steps)
    torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("implementation", ["face", "reference"])
def test_whole_pixel_offsets_shift_the_map(implementation: str) -> None:
    """Channel 2t shifts tap t vertically, 2t + 1 horizontally."""
    feature_map = torch.arange(30.0).reshape(1, 1, 5, 6)
    offset = torch.zeros((1, 4, 5, 5))
    offset[:, 0], offset[:, 3] = 2, -1  # left tap two rows down, right tap one column back
    weight = torch.tensor([[[[1.0, 100.0]]]])
    function = aliked_ops.deform_conv2d if implementation == "face" else reference.deform_conv2d
    output = function(feature_map, offset, weight, None, (1, 1), (0, 0), (1, 1))
    down = torch.nn.functional.pad(feature_map, (0, 0, 0, 2))[:, :, 2:, :5]
    assert torch.equal(output, down + 100 * feature_map[:, :, :, :5])


@pytest.mark.parametrize("implementation", ["face", "reference"])
def test_samples_fade_to_zero_at_the_border_and_vanish_beyond(implementation: str) -> None:
    """Value and gradient by the sampling position, along a map of three ones."""
    positions = torch.tensor([-2.0, -1.0, -0.75, 0.25, 1.5, 2.25, 2.999, 3.0, 3.5, math.inf, -math.inf, math.nan, 1e30])
    feature_map = torch.ones((1, 1, 1, 3))
    offset = torch.zeros((1, 2, 1, 3))
    function = aliked_ops.deform_conv2d if implementation == "face" else reference.deform_conv2d
    values, slopes = [], []
    for position in positions:
        shifted = offset.clone()
        shifted[0, 1, 0, 0] = position
        shifted.requires_grad_()
        value = function(feature_map, shifted, torch.ones((1, 1, 1, 1)), None, (1, 1), (0, 0), (1, 1))[0, 0, 0, 0]
        (slope,) = torch.autograd.grad(value, shifted)
        values.append(value.item())
        slopes.append(float(slope[0, 1, 0, 0]))
    assert values == pytest.approx([0, 0, 0.25, 1, 1, 0.75, 0.001, 0, 0, 0, 0, 0, 0], abs=1e-6)
    assert slopes == [0, 0, 1, 0, 0, -1, -1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("implementation", ["face", "reference"])
def test_an_infinite_pixel_stays_where_it_is(implementation: str) -> None:
    feature_map = torch.ones((1, 1, 4, 4))
    feature_map[0, 0, 0, 0] = math.inf
    offset = torch.full((1, 2, 4, 4), 0.5)
    function = aliked_ops.deform_conv2d if implementation == "face" else reference.deform_conv2d
    output = function(feature_map, offset, torch.ones((1, 1, 1, 1)), None, (1, 1), (0, 0), (1, 1))
    assert output[0, 0, 0, 0] == math.inf
    assert torch.isfinite(output.flatten()[1:]).all()


@pytest.mark.parametrize(
    "case",
    [
        Convolution(batch=2, channels=2, outputs=2, size=(3, 4)),
        Convolution(batch=1, channels=2, outputs=2, size=(5, 6), stride=(2, 3), padding=(0, 2), dilation=(1, 2)),
    ],
)
def test_compiled_gradcheck(compiled_device: torch.device, case: Convolution) -> None:
    leaves = [t.to(compiled_device).requires_grad_() for t in case.tensors(torch.float64) if t is not None]
    assert torch.autograd.gradcheck(lambda *t: aliked_ops.deform_conv2d(*t, *case.steps), leaves)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["3x3", "no_bias", "strided_unevenly"])
def test_compiled_operators_follow_torchs_rules(compiled_device: torch.device, name: str, dtype: torch.dtype) -> None:
    case = CONVOLUTIONS[name]
    leaves = [None if t is None else t.to(compiled_device).requires_grad_() for t in case.tensors(dtype)]
    steps = [list(pair) for pair in case.steps]
    torch.library.opcheck(torch.ops.aliked_ops.deform_conv2d.default, (*leaves, *steps))
    plain = [t.detach() for t in leaves[:3] if t is not None]
    grad_output = torch.ones(case.output_shape, dtype=dtype, device=compiled_device)
    torch.library.opcheck(torch.ops.aliked_ops.deform_conv2d_backward.default, (grad_output, *plain, *steps))


def test_compiled_is_traced_whole(compiled_device: torch.device) -> None:
    case = CONVOLUTIONS["3x3"]
    tensors = [t.to(compiled_device) for t in case.tensors() if t is not None]
    traced = torch.compile(
        lambda *t: aliked_ops.deform_conv2d(*t, *case.steps) * 2, backend="aot_eager", fullgraph=True
    )
    assert torch.equal(traced(*tensors), aliked_ops.deform_conv2d(*tensors, *case.steps) * 2)


def test_compiled_second_derivative_is_refused(compiled_device: torch.device) -> None:
    case = CONVOLUTIONS["3x3"]
    leaves = [t.to(compiled_device).requires_grad_() for t in case.tensors() if t is not None]
    output = aliked_ops.deform_conv2d(*leaves, *case.steps)
    (grad,) = torch.autograd.grad((output**2).sum(), leaves[0], create_graph=True)
    with pytest.raises(NotImplementedError, match=r"reference\.deform_conv2d has every order"):
        grad.sum().backward()


def test_an_empty_batch_gives_an_empty_output(compiled_device: torch.device) -> None:
    case = Convolution(batch=0)
    leaves = [t.to(compiled_device).requires_grad_() for t in case.tensors() if t is not None]
    output = aliked_ops.deform_conv2d(*leaves, *case.steps)
    assert output.shape == reference.deform_conv2d(*case.tensors(), *case.steps).shape == (0, 4, 9, 12)
    output.sum().backward()
    grads = [leaf.grad for leaf in leaves]
    assert [grad.shape for grad in grads] == [leaf.shape for leaf in leaves]
    assert not any(grad.any() for grad in grads)


def test_numbers_stand_for_pairs() -> None:
    feature_map, _, weight, bias = Convolution().tensors()
    offset = torch.full((2, 18, 5, 6), 0.25)
    output = aliked_ops.deform_conv2d(feature_map, offset, weight, bias, stride=2, padding=2, dilation=2)
    assert torch.equal(output, aliked_ops.deform_conv2d(feature_map, offset, weight, bias, (2, 2), (2, 2), (2, 2)))


@pytest.mark.parametrize("name", ["3x3", "1x1"])
def test_compiled_takes_tensors_of_any_strides(compiled_device: torch.device, name: str) -> None:
    case = CONVOLUTIONS[name]
    feature_map, offset, weight, bias = (t.to(compiled_device) for t in case.tensors() if t is not None)
    shape = case.output_shape
    grad_output = torch.ones(shape, device=compiled_device)
    expected = gradients(aliked_ops.deform_conv2d, case, (feature_map, offset, weight, bias), grad_output)

    def strided(*tensors: Tensor) -> Tensor:
        feature_map, offset, weight, bias = tensors
        return aliked_ops.deform_conv2d(
            feature_map.contiguous(memory_format=torch.channels_last),
            offset.transpose(2, 3).contiguous().transpose(2, 3),
            weight.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
            bias.repeat_interleave(2)[::2],
            *case.steps,
        )

    expanded = torch.ones((), device=compiled_device).expand(shape)
    actual = gradients(lambda *t: strided(*t[:4]), case, (feature_map, offset, weight, bias), expanded)
    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


@pytest.mark.parametrize("dtype", DTYPES[:3])
@pytest.mark.parametrize("name", ["many_channels", "several_tiles", "3x3"])
def test_results_do_not_depend_on_the_number_of_threads(name: str, dtype: torch.dtype) -> None:
    require_compiled("cpu")
    if not torch.backends.mkldnn.is_available():
        pytest.skip("without oneDNN the sums are a matrix product of torch's, which promises less")
    case = CONVOLUTIONS[name]
    tensors = case.tensors(dtype)
    grad_output = torch.randn(case.output_shape).to(dtype)

    def run(threads: int) -> list[Tensor]:
        with torch_threads(threads):
            return gradients(aliked_ops.deform_conv2d, case, tensors, grad_output)[:4]

    one = run(1)
    for threads in (2, 3, 7):
        assert all(torch.equal(a, b) for a, b in zip(one, run(threads), strict=True)), threads


def _changed(**changes: Any) -> tuple[Any, ...]:
    feature_map, offset, weight, bias = Convolution().tensors()
    arguments = {"feature_map": feature_map, "offset": offset, "weight": weight, "bias": bias}
    arguments |= {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)}
    return tuple((arguments | changes).values())


@pytest.mark.parametrize("implementation", ["compiled", "reference"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (_changed(feature_map=torch.zeros(5, 9, 12)), r"feature_map must be \(B, C, H, W\).*got .*5, 9, 12"),
        (_changed(feature_map=torch.zeros(2, 5, 0, 12)), r"feature_map must be .* positive, got .*2, 5, 0, 12"),
        (_changed(feature_map=torch.zeros((2, 5, 9, 12), dtype=torch.int64)), r"feature_map must be float16.*got "),
        (_changed(offset=torch.zeros(2, 18, 9, 11)), r"offset must be .2, 18, 9, 12.*got .*2, 18, 9, 11"),
        (_changed(offset=torch.zeros(2, 9, 9, 12)), r"offset must be .2, 18, 9, 12.*got .*2, 9, 9, 12"),
        (_changed(offset=torch.zeros(2, 18, 108)), r"offset must be .2, 18, 9, 12.*got .*2, 18, 108"),
        (
            _changed(offset=torch.zeros((2, 18, 9, 12), dtype=torch.float64)),
            r"offset must be .*loat.*, got .*[Dd]ouble|64",
        ),
        (_changed(weight=torch.zeros(4, 6, 3, 3)), r"weight must be \(O, 5, Kh, Kw\).*got .*4, 6, 3, 3"),
        (_changed(weight=torch.zeros(0, 5, 3, 3)), r"weight must be .* not empty, got .*0, 5, 3, 3"),
        (_changed(bias=torch.zeros(3)), r"bias must be \(4,\), got .*3"),
        (_changed(stride=(0, 1)), r"stride must be two numbers of at least 1, got .*0, 1"),
        (_changed(padding=(1, -1)), r"padding must be two numbers of at least 0, got .*1, -1"),
        (_changed(dilation=(1, 0)), r"dilation must be two numbers of at least 1, got .*1, 0"),
        (_changed(dilation=(9, 9)), r"kernel .*3, 3.* dilated by .*9, 9.* is larger than the padded map .*9, 12"),
    ],
)
def test_wrong_arguments_are_named(implementation: str, arguments: tuple[Any, ...], message: str) -> None:
    if implementation == "compiled":
        require_compiled("cpu")
    function = aliked_ops.deform_conv2d if implementation == "compiled" else reference.deform_conv2d
    with pytest.raises(RuntimeError, match=message):
        function(*arguments)


def test_compiled_backward_refuses_gradients_of_another_shape(compiled_device: torch.device) -> None:
    tensors = [t.to(compiled_device) for t in Convolution(bias=False).tensors() if t is not None]
    with pytest.raises(RuntimeError, match=r"grad_output must be \[2, 4, 9, 12\], got \[2, 4, 9, 11\]"):
        torch.ops.aliked_ops.deform_conv2d_backward(
            torch.zeros((2, 4, 9, 11), device=compiled_device), *tensors, [1, 1], [1, 1], [1, 1]
        )


@pytest.mark.cuda
def test_cuda_uses_the_callers_stream_and_is_deterministic() -> None:
    require_compiled("cuda")
    case = CONVOLUTIONS["many_channels"]
    grad_output = torch.randn(case.output_shape, device="cuda")
    expected = reference.deform_conv2d(*(None if t is None else t.double() for t in case.tensors()), *case.steps)
    results = []
    for _ in range(3):
        with busy_stream() as late_zero:
            tensors = tuple(None if t is None else t.cuda() + late_zero for t in case.tensors())
            results.append(gradients(aliked_ops.deform_conv2d, case, tensors, grad_output))
    assert relative_difference(results[0][0], expected) <= CUDA_TOLERANCES[torch.float32]
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
