# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""hloc's files, read as its documentation says that it reads them; hloc itself is on no package index."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from message_samples import make_features, make_matches

from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.features import Matches, ModelType
from aliked_ros.io.export.hloc import FEATURES_NAME, MATCHES_NAME, PAIRS_NAME, HlocWriter, pair_name

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install h5py")


def image_names(path: Path) -> set[str]:
    """The images of a feature file: the groups that hold datasets."""
    names: set[str] = set()
    with h5py.File(path, "r") as file:
        file.visititems(lambda _, item: names.add(item.parent.name.strip("/")) if hasattr(item, "shape") else None)
    return names


def matched_rows(path: Path, name0: str, name1: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows (M, 2) and scores of a pair, which may be stored the other way round."""
    with h5py.File(path, "r") as file:
        is_stored = pair_name(name0, name1) in file
        group = file[pair_name(name0, name1) if is_stored else pair_name(name1, name0)]
        matches, scores = group["matches0"][()], group["matching_scores0"][()]
    first = np.flatnonzero(matches > -1)
    rows = np.stack([first, matches[first]], 1)
    return (rows if is_stored else rows[:, ::-1]), scores[first]


def write(directory: Path, matches: Matches, features: dict[str, Any], **options: Any) -> None:
    with HlocWriter(directory, **options) as writer:
        for name, of_image in features.items():
            writer.add_image(name, of_image)
        first, second = features
        writer.add_pair(second, first, matches)


def test_features_have_the_layout_of_hloc(tmp_path: Path) -> None:
    features = {"rgb/a.png": make_features(9, 128), "rgb/b.png": make_features(7, 128, sigma=False, seed=1)}
    write(tmp_path / "out", make_matches(5, model=ModelType.NONE), features)
    assert image_names(tmp_path / "out" / FEATURES_NAME) == set(features)
    with h5py.File(tmp_path / "out" / FEATURES_NAME, "r") as file:
        for name, of_image in features.items():
            group = file[name]
            assert set(group) == {"keypoints", "descriptors", "scores", "image_size"}
            np.testing.assert_array_equal(group["keypoints"], of_image.keypoints_xy)
            np.testing.assert_array_equal(group["descriptors"], of_image.descriptors.T)  # (D, N)
            np.testing.assert_array_equal(group["scores"], of_image.scores)
            assert group["image_size"][()].tolist() == [640, 480]
            assert {group[key].dtype for key in ("keypoints", "descriptors", "scores")} == {np.dtype(np.float32)}
        # Measured or not there.
        assert file["rgb/a.png/keypoints"].attrs["uncertainty"] == pytest.approx(
            np.median(features["rgb/a.png"].sigma_px)
        )
        assert "uncertainty" not in file["rgb/b.png/keypoints"].attrs


def test_matches_are_found_in_both_directions(tmp_path: Path) -> None:
    matches = make_matches(5, model=ModelType.NONE)
    write(tmp_path / "out", matches, {"rgb/a.png": make_features(9), "rgb/b.png": make_features(7)})
    path = tmp_path / "out" / MATCHES_NAME
    with h5py.File(path, "r") as file:
        assert list(file) == ["rgb-b.png"]
        group = file["rgb-b.png/rgb-a.png"]
        assert (group["matches0"].dtype, group["matches0"].shape) == (np.int16, (7,))
        assert (group["matching_scores0"].dtype, group["matching_scores0"].shape) == (np.float16, (7,))
        assert not group["matching_scores0"][()][group["matches0"][()] == -1].any()
    order = np.argsort(matches.indices)
    expected = np.stack([matches.indices, matches.indices_ref], 1)[order]
    rows, scores = matched_rows(path, "rgb/b.png", "rgb/a.png")
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(scores, matches.similarities[order], atol=1e-3)
    rows, _ = matched_rows(path, "rgb/a.png", "rgb/b.png")
    np.testing.assert_array_equal(rows, expected[:, ::-1])
    assert (tmp_path / "out" / PAIRS_NAME).read_text() == "rgb/b.png rgb/a.png\n"


def test_half_precision_on_request(tmp_path: Path) -> None:
    features = {"a": make_features(9), "b": make_features(7)}
    write(tmp_path / "out", make_matches(5, model=ModelType.NONE), features, half=True)
    with h5py.File(tmp_path / "out" / FEATURES_NAME, "r") as file:
        assert {file[f"a/{key}"].dtype for key in ("keypoints", "descriptors", "scores")} == {np.dtype(np.float16)}
        np.testing.assert_allclose(file["a/keypoints"], features["a"].keypoints_xy, atol=0.25)


def test_more_keypoints_than_int16_counts(tmp_path: Path) -> None:
    matches = dataclasses.replace(
        make_matches(1, model=ModelType.NONE),
        indices=np.array([2], np.uint32),
        indices_ref=np.array([39_999], np.uint32),
    )
    write(tmp_path / "out", matches, {"a": make_features(40_000, 2), "b": make_features(3, 2)})
    rows, _ = matched_rows(tmp_path / "out" / MATCHES_NAME, "b", "a")
    assert rows.tolist() == [[2, 39_999]]


def test_images_without_features_and_pairs_without_matches_are_there(tmp_path: Path) -> None:
    write(tmp_path / "out", make_matches(0, model=ModelType.NONE), {"a": make_features(0), "b": make_features(0)})
    assert image_names(tmp_path / "out" / FEATURES_NAME) == {"a", "b"}
    rows, scores = matched_rows(tmp_path / "out" / MATCHES_NAME, "b", "a")
    assert (len(rows), len(scores)) == (0, 0)


def test_what_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HlocWriter(tmp_path / "out") as writer:
        writer.add_image("a", make_features())
        with pytest.raises(SourceError, match="there is an image a already"):
            writer.add_image("a", make_features())
    with pytest.raises(SourceError, match="cannot be written"):
        HlocWriter(tmp_path / "out")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"h5py is not installed; `pip install h5py`"):
        HlocWriter(tmp_path / "other")
