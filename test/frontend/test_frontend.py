# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest
from image_samples import make_textured_image

from aliked_ros import Camera, Extractor, Frontend
from aliked_ros.errors import ImageError
from aliked_ros.frontend.config import TrackingConfig, VerificationConfig
from aliked_ros.frontend.frontend import FrameNumber

FRAME_NS = 100_000_000
CAMERA = Camera(320, 240, 300, 300, 160, 120)
SCENE = make_textured_image(300, 400)


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor.from_pretrained("aliked-t16", device="cpu", score_threshold=0.1, max_keypoints=300)


def view(step: int) -> np.ndarray:
    """The scene moved by 4 pixels to the left and 2 upwards with each step."""
    return SCENE[2 * step : 2 * step + 240, 4 * step : 4 * step + 320]


def test_tracks_follow_a_known_motion(extractor: Extractor) -> None:
    frontend = Frontend(extractor)
    results = [frontend(view(step), step * FRAME_NS) for step in range(5)]
    assert [result.frame_seq for result in results] == [0, 1, 2, 3, 4]
    assert results[0].matches is None
    for before, after in itertools.pairwise(results):
        assert after.matches is not None
        assert (after.frame_seq_ref, after.stamp_ref_ns) == (before.frame_seq, before.stamp_ns)
        moved = after.matches.xy - after.matches.xy_ref
        assert np.median(np.linalg.norm(moved - [-4, -2], axis=1)) < 0.1
        np.testing.assert_array_equal(after.matches.xy, after.features.keypoints_xy[after.matches.indices])
        np.testing.assert_array_equal(after.matches.xy_ref, before.features.keypoints_xy[after.matches.indices_ref])
    tracks = results[-1].tracks
    survivors = tracks.ages == 5
    assert survivors.sum() > 30
    start = {int(i): xy for i, xy in zip(results[0].tracks.ids, results[0].tracks.xy, strict=True)}
    drift = [xy - start[int(i)] for i, xy in zip(tracks.ids[survivors], tracks.xy[survivors], strict=True)]
    assert np.median(np.linalg.norm(np.array(drift) - [-16, -8], axis=1)) < 0.2


def test_a_calibration_gives_normalised_coordinates_and_velocity(extractor: Extractor) -> None:
    frontend = Frontend(extractor, camera=CAMERA)
    frontend(view(0), 0)
    result = frontend(view(1), FRAME_NS)
    assert result.camera is CAMERA
    tracks = result.tracks
    assert tracks.xy_norm is not None
    assert tracks.velocity is not None
    np.testing.assert_allclose(tracks.xy_norm, (tracks.xy - [160, 120]) / 300, atol=1e-5)
    known = np.isfinite(tracks.velocity[:, 0])
    np.testing.assert_array_equal(known, tracks.ages == 2)
    np.testing.assert_allclose(np.median(tracks.velocity[known], axis=0), [-4 / 300 / 0.1, -2 / 300 / 0.1], atol=5e-3)


def test_a_calibration_of_another_size_is_not_used(extractor: Extractor, caplog: pytest.LogCaptureFixture) -> None:
    frontend = Frontend(extractor, camera=Camera(640, 480, 500, 500, 320, 240))
    with caplog.at_level(logging.WARNING):
        results = [frontend(view(step), step) for step in range(3)]
    assert all(result.tracks.xy_norm is None and result.camera is None for result in results)
    assert {result.complaints for result in results} == {
        ("the calibration is for 640×480 pixels and not used for an image of 320×240",)
    }
    with pytest.raises(ImageError):
        frontend(view(3), 3, np.ones((2, 2), np.float32))
    frontend.set_camera(None)
    assert frontend(view(3), 3).complaints == ()
    assert [record.message for record in caplog.records] == [
        "the calibration is for 640×480 pixels and not used for an image of 320×240"
    ]


def test_reset_starts_an_epoch(extractor: Extractor) -> None:
    frontend = Frontend(extractor)
    frontend.reset()
    assert frontend.epoch == 0, "nothing was tracked yet, so no epoch has ended"
    frontend(view(0), 0)
    frontend(view(1), FRAME_NS)
    frontend.reset()
    result = frontend(view(2), 2 * FRAME_NS)
    assert (result.epoch, result.frame_seq) == (1, 2)
    assert result.matches is None
    assert (result.tracks.ages == 1).all()
    assert result.tracks.ids.min() == 0


def test_counting_goes_on_where_another_front_end_left_off(extractor: Extractor) -> None:
    before = Frontend(extractor)
    assert before.next_number == FrameNumber(0, 0)
    before(view(0), 0)
    before(view(1), FRAME_NS)
    frontend = Frontend(extractor, first=before.next_number)
    frontend.reset()
    result = frontend(view(2), 2 * FRAME_NS)
    assert (result.epoch, result.frame_seq) == (1, 2)
    assert frontend.next_number == FrameNumber(2, 3)


def test_time_that_jumps_back_starts_an_epoch(extractor: Extractor) -> None:
    frontend = Frontend(extractor)
    frontend(view(0), 10 * FRAME_NS)
    result = frontend(view(1), 9 * FRAME_NS)
    assert result.epoch == 1
    assert result.matches is None
    assert frontend(view(1), 9 * FRAME_NS).epoch == 1, "a repeated stamp is no jump"


def test_another_size_starts_an_epoch(extractor: Extractor) -> None:
    frontend = Frontend(extractor)
    frontend(view(0), 0)
    assert frontend(view(1)[:200, :256], FRAME_NS).epoch == 1


def test_an_unusable_image_changes_nothing(extractor: Extractor) -> None:
    frontend = Frontend(extractor)
    first = frontend(view(0), 0)
    with pytest.raises(ImageError):
        frontend(np.zeros((8, 8), np.uint8), FRAME_NS)
    second = frontend(view(1), 2 * FRAME_NS)
    assert second.frame_seq == 1
    assert second.stamp_ref_ns == first.stamp_ns


def test_verification_marks_inliers(extractor: Extractor) -> None:
    frontend = Frontend(extractor, verification=VerificationConfig(geometry="homography"))
    frontend(view(0), 0)
    matches = frontend(view(1), FRAME_NS).matches
    assert matches is not None
    assert matches.inliers is not None
    assert matches.model is not None
    assert matches.inliers.mean() > 0.8
    scaled = matches.model.matrix / matches.model.matrix[2, 2]
    np.testing.assert_allclose(scaled[:2, 2], [-4, -2], atol=0.5)


def test_other_settings_have_warnings_said_anew(extractor: Extractor, caplog: pytest.LogCaptureFixture) -> None:
    essential, fundamental = VerificationConfig(geometry="essential"), VerificationConfig(geometry="fundamental")
    frontend = Frontend(extractor, verification=essential)
    with caplog.at_level(logging.WARNING):
        for index, verification in enumerate((essential, essential, essential, fundamental, essential)):
            frontend.reconfigure(verification=verification)
            frontend(view(index), index)
    assert len(caplog.records) == 2


def test_essential_geometry_without_calibration_says_so_and_goes_on(
    extractor: Extractor, caplog: pytest.LogCaptureFixture
) -> None:
    frontend = Frontend(extractor, verification=VerificationConfig(geometry="essential"))
    with caplog.at_level(logging.WARNING):
        results = [frontend(view(step), step * FRAME_NS) for step in range(3)]
    assert results[2].matches is not None
    assert results[2].matches.inliers is None
    assert [record.message for record in caplog.records] == [
        "matches are not verified: geometry essential needs the calibration of the camera"
    ]
    frontend.set_camera(CAMERA)
    verified = frontend(view(3), 3 * FRAME_NS).matches
    assert verified is not None
    assert verified.inliers is not None


def test_no_velocity_across_two_calibrations(extractor: Extractor) -> None:
    frontend = Frontend(extractor, camera=CAMERA)
    frontend(view(0), 0)
    frontend.set_camera(Camera(320, 240, 150, 150, 160, 120))
    changed = frontend(view(1), FRAME_NS).tracks
    assert changed.velocity is not None
    assert np.isnan(changed.velocity).all()
    after = frontend(view(2), 2 * FRAME_NS).tracks
    assert after.velocity is not None
    known = np.isfinite(after.velocity[:, 0])
    np.testing.assert_allclose(np.median(after.velocity[known], axis=0), [-4 / 150 / 0.1, -2 / 150 / 0.1], atol=1e-2)


def test_settings_change_without_losing_tracks(extractor: Extractor) -> None:
    frontend = Frontend(extractor)
    frontend(view(0), 0)
    frontend.reconfigure(tracking=TrackingConfig(min_similarity=0.99))
    result = frontend(view(1), FRAME_NS)
    assert result.epoch == 0
    assert result.matches is not None
    assert result.matches.similarities.min() >= 0.99


def test_blank_images_are_survived(extractor: Extractor) -> None:
    frontend = Frontend(extractor, camera=CAMERA, verification=VerificationConfig(geometry="fundamental"))
    for stamp, image in enumerate([view(0), np.zeros((240, 320, 3), np.uint8), view(1)]):
        result = frontend(image, stamp * FRAME_NS)
    assert result.epoch == 0
    assert (result.tracks.ages == 2).sum() > 30, "tracks are resumed after the blank image"
