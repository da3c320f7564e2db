# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Image files are read whole or refused by name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from aliked_ros.errors import SourceError
from aliked_ros.io.images import decode_image, read_depth, read_image, write_depth, write_image


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_lossless_formats_round_trip(tmp_path: Path, textured_image: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    write_image(path, textured_image)
    np.testing.assert_array_equal(read_image(path), textured_image)


def test_jpeg_keeps_the_channels_in_their_order(tmp_path: Path) -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    write_image(tmp_path / "red.jpg", red)
    assert np.abs(read_image(tmp_path / "red.jpg").astype(int) - red).max() < 5


def test_grey_stays_grey_and_sixteen_bits_become_eight(tmp_path: Path) -> None:
    grey = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20
    cv2.imwrite(str(tmp_path / "deep.png"), grey)
    image = read_image(tmp_path / "deep.png")
    assert image.shape == (48, 64)
    assert np.abs(image.astype(int) - grey // 257).max() <= 1


def test_transparency_is_dropped(tmp_path: Path, textured_image: np.ndarray) -> None:
    bgra = np.dstack([textured_image[..., ::-1], np.full(textured_image.shape[:2], 128, np.uint8)])
    cv2.imwrite(str(tmp_path / "layered.png"), bgra)
    np.testing.assert_array_equal(read_image(tmp_path / "layered.png"), textured_image)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".ppm"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_truncated_file_is_refused_by_name(
    tmp_path: Path, textured_image: np.ndarray, suffix: str, share: float
) -> None:
    path = tmp_path / f"image{suffix}"
    write_image(path, textured_image)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SourceError, match=f"image{suffix}.*copy or download"):
        read_image(path)


def test_a_jpeg_cut_behind_its_thumbnail_is_refused(textured_image: np.ndarray) -> None:
    whole = cv2.imencode(".jpg", textured_image)[1].tobytes()
    thumbnail = cv2.imencode(".jpg", textured_image[:32, :32])[1].tobytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    with_thumbnail = whole[:2] + segment + whole[2:]
    assert decode_image(with_thumbnail, "a.jpg").shape == textured_image.shape
    assert decode_image(with_thumbnail + b"trailer", "a.jpg").shape == textured_image.shape
    with pytest.raises(SourceError, match="cut off"):
        decode_image(with_thumbnail[:-200], "a.jpg")


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.png").write_bytes(content)
    with pytest.raises(SourceError, match=r"odd\.png"):
        read_image(tmp_path / "odd.png")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.png.*No such file"):
        read_image(tmp_path / "absent.png")


def test_depth_is_a_fifth_of_a_millimetre_and_zero_is_missing(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "depth.png"), np.array([[0, 1, 5000, 65535]], np.uint16))
    np.testing.assert_allclose(read_depth(tmp_path / "depth.png"), [[np.nan, 0.0002, 1.0, 13.107]], rtol=1e-6)


def test_depth_round_trip_within_half_a_unit(tmp_path: Path) -> None:
    depth = np.random.default_rng(0).uniform(0.3, 13, (40, 50)).astype(np.float32)
    depth[3, 4], depth[5, 6], depth[7, 8] = np.nan, 13.2, np.inf
    write_depth(tmp_path / "depth.png", depth)
    back = read_depth(tmp_path / "depth.png")
    assert np.isnan(back[[3, 5, 7], [4, 6, 8]]).all()  # nothing measured, or too far for 16 bits
    valid = np.isfinite(back)
    assert valid.sum() == depth.size - 3
    assert np.abs(back - depth)[valid].max() <= 0.000101


def test_a_colour_image_is_no_depth(tmp_path: Path, textured_image: np.ndarray) -> None:
    write_image(tmp_path / "colour.png", textured_image)
    with pytest.raises(SourceError, match="one channel of 16 bits, this has 3 of 8"):
        read_depth(tmp_path / "colour.png")


def test_writing_names_an_unknown_format_and_an_unwritable_folder(tmp_path: Path) -> None:
    image = np.zeros((8, 8), np.uint8)
    with pytest.raises(SourceError, match="xyz"):
        write_image(tmp_path / "image.xyz", image)
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot be written"):
        write_image(tmp_path / "file" / "image.png", image)
