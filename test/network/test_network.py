# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aliked_ros.errors import ConfigError
from aliked_ros.network.descriptor import SDDH
from aliked_ros.network.detector import DKD, is_textured, local_maxima, strongest
from aliked_ros.network.layers import Padding, sample_bilinear
from aliked_ros.network.model import ALIKED, MODELS

# Counted by the authors for a network of this size (count_flops.py of the release), in thousands.
PARAMETERS_K = {"aliked-t16": 192, "aliked-n16": 677, "aliked-n16rot": 677, "aliked-n32": 980}


def random_image(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("model", MODELS)
def test_parameter_counts_are_the_papers(model: str) -> None:
    count = sum(parameter.numel() for parameter in ALIKED(model).parameters())
    assert round(count / 1000) == PARAMETERS_K[model]


def test_unknown_model() -> None:
    with pytest.raises(ConfigError, match="aliked-x"):
        ALIKED("aliked-x")


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 31 + 32), (64, 96), (95, 65), (32, 200)])
def test_maps_have_the_images_size(height: int, width: int) -> None:
    network = ALIKED("aliked-t16").eval()
    with torch.inference_mode():
        feature_map, score_map = network.dense_maps(random_image(height, width))
    assert feature_map.shape == (1, 64, height, width)
    assert score_map.shape == (1, 1, height, width)
    torch.testing.assert_close(feature_map.norm(dim=1), torch.ones(1, height, width))
    assert ((score_map > 0) & (score_map < 1)).all()


def test_a_batch_is_its_images() -> None:
    torch.manual_seed(0)
    network = ALIKED("aliked-t16").eval()
    images = torch.cat([random_image(64, 96, seed) for seed in (1, 2)])
    with torch.inference_mode():
        together = network(images, 50, 0.0)
        apart = [network(image[None], 50, 0.0)[0] for image in images]
    for batched, single in zip(together, apart, strict=True):
        torch.testing.assert_close(batched.keypoints.xy, single.keypoints.xy, atol=1e-4, rtol=0)
        torch.testing.assert_close(batched.descriptors, single.descriptors, atol=1e-4, rtol=0)


def test_gradients_reach_every_parameter_and_the_image() -> None:
    torch.manual_seed(0)
    network = ALIKED("aliked-t16")
    image = random_image(96, 96).requires_grad_()
    (extraction,) = network(image, 40, 0.0)
    assert len(extraction.descriptors) > 5
    # The coordinates go through the soft arg-max, the scores through the map, the descriptors through the SDDH.
    weights = torch.linspace(0.5, 1.5, extraction.descriptors.shape[1])
    loss = (extraction.descriptors * weights).sum() + extraction.keypoints.scores.sum()
    (loss + extraction.keypoints.xy.sum()).backward()  # type: ignore[no-untyped-call]
    missing = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert missing == []
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()
    assert image.grad.abs().max() > 0


@pytest.mark.parametrize("size", [(32, 32), (33, 63), (480, 640), (333, 517)])
def test_padding_is_centred_and_reversible(size: tuple[int, int]) -> None:
    image = random_image(*size)
    padding = Padding(*size)
    padded = padding.pad(image)
    assert padded.shape[2] % 32 == 0
    assert padded.shape[3] % 32 == 0
    assert padded.shape[2] - size[0] < 32
    assert 0 <= padding.right - padding.left <= 1
    assert torch.equal(padding.crop(padded), image)
    assert torch.equal(padded[..., 0, padding.left], image[..., 0, 0])


def test_bilinear_sampling() -> None:
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    planes = torch.stack([columns, rows])
    xy = torch.tensor([[0.0, 0.0], [3.25, 4.5], [29.0, 19.0], [12.0, 7.75]])
    torch.testing.assert_close(sample_bilinear(planes, xy), xy, atol=1e-4, rtol=0)
    outside = torch.tensor([[-2.0, 3.0], [31.0, 3.0], [3.0, 22.0]])
    assert torch.equal(sample_bilinear(planes, outside), torch.zeros(3, 2))


def peaks(height: int, width: int, at: list[tuple[int, int, float]]) -> Tensor:
    score_map = torch.full((1, 1, height, width), 1e-3)
    for x, y, score in at:
        score_map[0, 0, y, x] = score
    return score_map


def test_maxima_suppress_their_window_only() -> None:
    maxima = local_maxima(peaks(20, 20, [(5, 5, 0.9), (7, 5, 0.8), (11, 5, 0.7), (5, 9, 0.6)]), radius=2)
    found = {(int(x), int(y)) for y, x in (maxima[0, 0] > 0.01).nonzero()}
    # (7, 5) lies in the window of (5, 5); the others are alone in theirs.
    assert found == {(5, 5), (11, 5), (5, 9)}


def test_a_maximum_suppressed_by_a_suppressed_one_comes_back() -> None:
    maxima = local_maxima(peaks(20, 20, [(5, 5, 0.9), (7, 5, 0.8), (9, 5, 0.7)]), radius=2)
    found = {(int(x), int(y)) for y, x in (maxima[0, 0] > 0.01).nonzero()}
    assert found == {(5, 5), (9, 5)}


def test_no_maximum_at_the_border_or_on_a_plateau() -> None:
    assert not local_maxima(torch.full((1, 1, 20, 20), 0.5), radius=2).any()
    border = peaks(20, 20, [(1, 10, 0.9), (18, 10, 0.9), (10, 0, 0.9), (10, 19, 0.9)])
    assert local_maxima(border, radius=2).max() < 0.9


def test_strongest_come_first_and_ties_keep_raster_order() -> None:
    maxima = torch.zeros(10, 10)
    maxima[2, 3], maxima[5, 5], maxima[7, 1], maxima[8, 8] = 0.5, 0.9, 0.5, 0.2
    assert strongest(maxima, 10, 0.2).tolist() == [[5, 5], [3, 2], [1, 7]]
    assert strongest(maxima, 2, 0.0).tolist() == [[5, 5], [3, 2]]
    assert strongest(maxima, 10, 0.95).shape == (0, 2)


def test_soft_argmax_finds_the_centre_of_a_blob() -> None:
    rows, columns = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    centre = torch.tensor([17.3, 21.6])
    distance2 = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2
    score_map = (0.9 * torch.exp(-distance2 / 4))[None, None]
    (keypoints,) = DKD()(score_map, random_image(40, 40), 1, 0.1)
    assert (keypoints.xy[0] - centre).norm() < 0.1
    assert 0 < keypoints.dispersity[0] < 1


def test_blank_windows_are_told_apart() -> None:
    image = torch.full((1, 3, 20, 20), 0.5)
    image[0, 1, 10, 10] = 0.6
    textured = is_textured(image, radius=2)
    assert textured.sum() == 25
    assert textured[0, 0, 8:13, 8:13].all()


def test_sddh_without_keypoints() -> None:
    descriptors = SDDH(16, 3, 8)(torch.rand(16, 20, 20), torch.empty(0, 2))
    assert descriptors.shape == (0, 16)


def test_sddh_offsets_are_limited() -> None:
    head = SDDH(16, 3, 8)
    torch.nn.init.constant_(head.offset_conv[2].bias, 1000.0)
    offsets = head.offsets(torch.rand(16, 20, 40), torch.tensor([[20.0, 10.0]]))
    assert offsets.shape == (1, 8, 2)
    torch.testing.assert_close(offsets, torch.full((1, 8, 2), 10.0))


def test_the_encoder_alone_is_lowered() -> None:
    network = ALIKED("aliked-t16").eval()
    network.lower_encoder(torch.bfloat16)
    with torch.inference_mode():
        feature_map, score_map = network.dense_maps(random_image(64, 64))
    assert feature_map.dtype == score_map.dtype == torch.float32
    assert network.block3.conv1.regular_conv.weight.dtype == torch.bfloat16
    assert network.score_head[0].weight.dtype == torch.float32
