# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Matchers: LightGlue against kornia's own, against nearest neighbours, and without what it needs."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from image_samples import make_textured_image

from aliked_ros import Extractor, Features, Frontend, Matches, mutual_nearest_neighbours
from aliked_ros.errors import ConfigError, ShapeError, WeightsError
from aliked_ros.frontend.config import TrackingConfig, VerificationConfig
from aliked_ros.frontend.matchers import Matcher, MutualNearestNeighbours, create_matcher
from aliked_ros.frontend.verification import verify
from aliked_ros.network import weights

pytestmark = pytest.mark.usefixtures("one_torch_thread")
LIGHTGLUE = TrackingConfig(matcher="lightglue")
SCENE = make_textured_image(260, 340)


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor.from_pretrained(
        "aliked-n16", device="cpu", precision="fp32", max_keypoints=200, score_threshold=0.0, offline=True
    )


@pytest.fixture(scope="module")
def views(extractor: Extractor) -> list[Features]:
    """Two views of a scene that is shifted by (12, 7) pixels between them."""
    return [extractor(SCENE[:240, :320]), extractor(SCENE[7:247, 12:332])]


@pytest.fixture(scope="module")
def lightglue(extractor: Extractor) -> Matcher:
    pytest.importorskip("kornia", reason="kornia is not installed")
    return create_matcher("lightglue", extractor)


def directly(image: Features, reference: Features) -> tuple[np.ndarray, np.ndarray]:
    """Matches (M, 2) and scores (M,) of kornia's LightGlue, used as its documentation says."""
    from kornia.feature import LightGlue

    network = LightGlue(features=None, input_dim=128)
    path = weights.locate("aliked-lightglue")
    assert path is not None
    network.load_state_dict(torch.load(path, weights_only=True), strict=False)
    sides = {
        name: {
            "keypoints": torch.from_numpy(each.keypoints_xy)[None],
            "descriptors": torch.from_numpy(each.descriptors)[None],
            "image_size": torch.tensor([[each.image_width, each.image_height]]),
        }
        for name, each in (("image0", image), ("image1", reference))
    }
    with torch.inference_mode():
        found = network.eval()(sides)
    return found["matches"][0].numpy(), found["scores"][0].numpy()


def nothing() -> Features:
    empty = np.empty((0, 2), np.float32)
    return Features(empty, np.empty(0, np.float32), np.empty((0, 128), np.float32), 320, 240)


def test_it_is_kornias_lightglue(lightglue: Matcher, views: list[Features]) -> None:
    pairs, scores = directly(views[1], views[0])
    matches = lightglue.match(views[1], views[0], LIGHTGLUE)
    assert len(matches) > 100
    np.testing.assert_array_equal(np.stack([matches.indices, matches.indices_ref], 1), pairs)
    np.testing.assert_allclose(matches.similarities, scores, atol=1e-6)
    assert matches.matcher == lightglue.name == "lightglue"


def test_its_matches_are_right(lightglue: Matcher, views: list[Features]) -> None:
    matches = lightglue.match(views[1], views[0], LIGHTGLUE)
    moved = matches.xy_ref - matches.xy
    assert (np.linalg.norm(moved - [12, 7], axis=1) < 2).mean() > 0.95
    np.testing.assert_array_equal(matches.xy, views[1].keypoints_xy[matches.indices])
    np.testing.assert_array_equal(matches.xy_ref, views[0].keypoints_xy[matches.indices_ref])
    assert len(set(matches.indices_ref.tolist())) == len(matches)
    assert (np.diff(matches.indices.astype(int)) > 0).all()


def test_its_scores_are_probabilities_with_a_limit(lightglue: Matcher, views: list[Features]) -> None:
    loose, strict = (
        lightglue.match(views[1], views[0], LIGHTGLUE.replace(lightglue_min_score=score)) for score in (0.0, 0.9)
    )
    assert 0 < loose.similarities.min() < 0.9 <= strict.similarities.min() <= strict.similarities.max() <= 1
    assert len(strict) == (loose.similarities >= 0.9).sum() > 50
    assert LIGHTGLUE.replace(lightglue_min_score=0.4).weakest_match == 0.4


def test_nothing_matches_nothing(lightglue: Matcher, views: list[Features]) -> None:
    for image, reference in ((nothing(), views[0]), (views[0], nothing()), (nothing(), nothing())):
        matches = lightglue.match(image, reference, LIGHTGLUE)
        assert (len(matches), matches.matcher) == (0, "lightglue")


@pytest.mark.golden
def test_it_finds_more_where_the_view_changed_much(
    lightglue: Matcher, extractor: Extractor, desk_frames: list[np.ndarray]
) -> None:
    first, last = extractor(desk_frames[0]), extractor(desk_frames[19])  # two seconds of a moving camera apart
    fundamental = VerificationConfig(geometry="fundamental", min_inliers=8)

    def inliers(matches: Matches) -> int:
        verified = verify(matches, fundamental, None)
        return 0 if verified.inliers is None else int(verified.inliers.sum())

    glued = inliers(lightglue.match(last, first, LIGHTGLUE))
    nearest = [
        inliers(mutual_nearest_neighbours(last, first, similarity))
        for similarity in (TrackingConfig.min_similarity, 0.75)
    ]
    assert glued >= max(nearest)
    assert glued > 70


@pytest.mark.cuda
def test_it_runs_where_the_extractor_does(views: list[Features], lightglue: Matcher) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    extractor = Extractor.from_pretrained("aliked-n16", device="cuda", offline=True)
    there = create_matcher("lightglue", extractor).match(views[1], views[0], LIGHTGLUE)
    here = lightglue.match(views[1], views[0], LIGHTGLUE)
    pairs = [set(zip(m.indices.tolist(), m.indices_ref.tolist(), strict=True)) for m in (there, here)]
    assert len(pairs[0] & pairs[1]) >= 0.97 * len(pairs[1])


def test_nearest_neighbours_are_as_ever(extractor: Extractor, views: list[Features]) -> None:
    matcher = create_matcher("mutual_nearest_neighbours", extractor)
    assert isinstance(matcher, MutualNearestNeighbours)
    ours = matcher.match(views[1], views[0], TrackingConfig(min_similarity=0.8))
    expected = mutual_nearest_neighbours(views[1], views[0], 0.8)
    np.testing.assert_array_equal(ours.indices_ref, expected.indices_ref)
    np.testing.assert_array_equal(ours.similarities, expected.similarities)
    assert ours.matcher == matcher.name


def test_a_frontend_uses_the_matcher_it_is_told_to(lightglue: Matcher, extractor: Extractor) -> None:
    frontend = Frontend(extractor, LIGHTGLUE, matcher=lightglue)
    frontend(SCENE[:240, :320], 0)
    result = frontend(SCENE[7:247, 12:332], 1)
    assert result.matches is not None
    assert result.matches.matcher == "lightglue"
    assert (result.tracks.ages == 2).sum() == len(result.matches)
    frontend.reconfigure(TrackingConfig())
    result = frontend(SCENE[:240, :320], 2)
    assert result.matches is not None
    assert result.matches.matcher == "mutual_nearest_neighbours"


@pytest.mark.parametrize("model", ["aliked-t16", "aliked-n32", "aliked-n16rot"])
def test_descriptors_it_was_not_trained_with_are_refused(model: str) -> None:
    extractor = Extractor.from_pretrained(model, device="cpu", offline=True)
    with pytest.raises(ConfigError, match=f"trained with descriptors of aliked-n16 and does not know those of {model}"):
        Frontend(extractor, LIGHTGLUE)


def test_descriptors_of_another_dimension_are_refused(lightglue: Matcher, views: list[Features]) -> None:
    short = Features(np.zeros((1, 2), np.float32), np.ones(1, np.float32), np.ones((1, 64), np.float32), 320, 240)
    with pytest.raises(ShapeError, match="dimension 128, got 64"):
        lightglue.match(short, views[0], LIGHTGLUE)


def test_without_kornia_the_remedy_is_named(extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.feature", None)
    with pytest.raises(ConfigError, match=r"needs kornia, which cannot be imported .* pip install kornia"):
        create_matcher("lightglue", extractor)


def test_without_weights_the_remedy_is_named(
    extractor: Extractor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("kornia", reason="kornia is not installed")
    monkeypatch.setattr(weights, "search_directories", lambda: [tmp_path])
    with pytest.raises(WeightsError, match=r"network is off limits; .* `aliked-ros weights aliked-lightglue`"):
        create_matcher("lightglue", extractor)
    (tmp_path / "aliked_lightglue.pth").write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"aliked_lightglue.pth: SHA-256 .* is not d975e965"):
        create_matcher("lightglue", extractor)


def test_the_network_is_left_alone(extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kornia", reason="kornia is not installed")

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert create_matcher("lightglue", extractor).name == "lightglue"


def test_its_weights_are_those_of_the_release() -> None:
    (entry,) = weights.matchers().values()
    assert entry.sha256 == "d975e965b105311a6143194852297dff4f02aea5cc2e10cecfed966ca0e22503"
    assert entry.url.startswith("https://github.com/cvg/LightGlue/releases/")
    assert entry.url.endswith(entry.file)
