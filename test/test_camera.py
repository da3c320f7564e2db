# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import numpy as np
import pytest

from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.errors import CalibrationError

CAMERAS = {
    **TUM_CAMERAS,
    "rational": Camera(640, 480, 300, 310, 320, 240, "rational_polynomial", (0.1, 0.01, 1e-3, 0, 0, 0.1, 0, 0)),
    "fisheye": Camera(640, 480, 300, 310, 320, 240, "equidistant", (0.1, 0.01, 0.001, 0.0)),
}


@pytest.mark.parametrize("name", CAMERAS)
def test_projection_inverts_normalisation(name: str) -> None:
    camera = CAMERAS[name]
    xy = np.random.default_rng(0).uniform((0, 0), (639, 479), (200, 2)).astype(np.float32)
    normalised = camera.normalise(xy)
    assert normalised.dtype == np.float32
    back = camera.project(np.hstack([normalised, np.ones((200, 1))]))
    np.testing.assert_allclose(back, xy, atol=2e-4)


def test_the_principal_point_is_the_optical_axis() -> None:
    camera = Camera(640, 480, 500, 500, 320.5, 239.5)
    np.testing.assert_allclose(camera.normalise(np.array([[320.5, 239.5]], np.float32)), [[0, 0]], atol=1e-7)
    np.testing.assert_allclose(camera.normalise(np.array([[820.5, 239.5]], np.float32)), [[1, 0]], atol=1e-6)


def test_cut_outs_and_wide_lenses_are_possible() -> None:
    Camera(320, 240, 500, 500, -200.0, 400.0)  # of a larger image, beside its centre
    Camera(640, 480, 260, 260, 320, 240, "plumb_bob", (-0.32, 0.08, 0, 0))  # 102 degrees, as VINS-Mono's examples
    Camera(752, 480, 458.654, 457.296, 367.215, 248.375, "plumb_bob", (-0.28340811, 0.07395907, 0.00019359, 1.76e-05))
    Camera(848, 800, 286.0, 286.0, 425.0, 400.0, "equidistant", (-0.0059, 0.0406, -0.0377, 0.0060))  # 163 degrees


@pytest.mark.parametrize("distortion", [(0.0, 0.0, 0.0, 0.0), (0.0034, 0.00076, -0.00108, 0.00018)])
def test_what_a_fisheye_sees_beside_and_behind_itself_has_no_coordinates(distortion: tuple[float, ...]) -> None:
    camera = Camera(512, 512, 190.98, 190.97, 254.93, 256.9, "equidistant", distortion)  # 195 degrees, as TUM-VI's
    x, y = np.meshgrid(np.arange(0.0, 512.0, 7.0), np.arange(0.0, 512.0, 7.0))
    pixels = np.stack([x.ravel(), y.ravel()], 1)
    rays = camera.normalise(pixels.astype(np.float32)).astype(np.float64)
    angle = np.hypot((pixels[:, 0] - camera.cx) / camera.fx, (pixels[:, 1] - camera.cy) / camera.fy)  # but for 1 %
    assert np.isfinite(rays[angle < np.radians(87)]).all()
    assert np.isnan(rays[angle > np.radians(92)]).all()
    known = np.isfinite(rays).all(1)
    assert 0 < (~known).sum() < known.sum()
    assert (np.sign(rays[known]) == np.sign(pixels[known] - (camera.cx, camera.cy))).all()  # none is mirrored
    np.testing.assert_allclose(camera.project(np.c_[rays[known], np.ones(known.sum())]), pixels[known], atol=0.02)


@pytest.mark.parametrize(
    ("size", "focal", "centre"),
    [
        ((1600, 1200), 191.0, (800.0, 600.0)),
        ((1280, 800), 137.0, (640.0, 400.0)),
        ((1920, 960), 270.0, (480.0, 480.0)),
        ((480, 1920), 500.0, (960.0, 960.0)),
        ((640, 480), 300.0, (-200.0, 240.0)),
    ],
    ids=["180 degrees", "200 degrees", "two beside each other", "a cut-out", "a cut-out beside the axis"],
)
def test_an_image_circle_may_lie_anywhere(size: tuple[int, int], focal: float, centre: tuple[float, float]) -> None:
    camera = Camera(*size, focal, focal, *centre, "equidistant", (0.001, 0.0, 0.0, 0.0))
    x, y = np.meshgrid(*(np.linspace(0, side - 1, 50) for side in size))
    pixels = np.stack([x.ravel(), y.ravel()], 1)
    angle = np.hypot(*((pixels - centre) / focal).T)
    rays = camera.normalise(pixels[angle < np.radians(85)].astype(np.float32))
    assert len(rays) > 50
    assert np.isfinite(rays).all()


@pytest.mark.parametrize(
    "distortion",
    [
        (0.1, 0.0, 0.0, 0.0),
        (0.05, 0.02, -0.01, 0.0),
        (-0.02, 0.003, -0.001, 0.0),
        (-1 / 24, 1 / 1920, -1 / 322560, 0.0),  # an equisolid lens, 2 sin(angle / 2)
    ],
)
def test_a_fisheye_is_inverted_up_to_89_degrees(distortion: tuple[float, ...]) -> None:
    camera = Camera(1000, 1000, 200.0, 210.0, 500.0, 490.0, "equidistant", distortion)
    angle, turn = np.meshgrid(np.radians(np.linspace(0, 88.9, 60)), np.linspace(0, 6, 20))
    rays = (np.tan(angle) * [np.cos(turn), np.sin(turn)]).reshape(2, -1).T
    pixels = camera.project(np.c_[rays, np.ones(len(rays))])  # OpenCV's
    found = camera.normalise(pixels.astype(np.float32))
    np.testing.assert_allclose(np.arctan(np.hypot(*found.T)), np.arctan(np.hypot(*rays.T)), atol=2e-6)
    np.testing.assert_allclose(found[angle.ravel() < 1.4], rays[angle.ravel() < 1.4], rtol=1e-4, atol=1e-5)


def test_where_a_wide_lens_folds_over_there_are_no_coordinates() -> None:
    camera = Camera(640, 480, 400, 400, 320, 240, "plumb_bob", (-0.32, 0, 0, 0))  # no ray comes 273 px from the centre
    corner_side_centre = np.array([[0, 0], [0, 240], [320, 240]], np.float32)
    assert np.isnan(camera.normalise(corner_side_centre)).all(1).tolist() == [True, True, False]


def test_no_points() -> None:
    camera = TUM_CAMERAS["fr1"]
    assert camera.normalise(np.empty((0, 2), np.float32)).shape == (0, 2)
    assert camera.project(np.empty((0, 3))).shape == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((640, 480, 0, 0, 0, 0), "fx = 0"),
        ((640, 480, -500, 500, 320, 240), "fx = -500"),
        ((640, 480, 500, 1e-300, 320, 240), "fy = 1e-300 is far too short for an image of 640×480"),
        ((640, 480, float("nan"), 500, 320, 240), "not finite"),
        ((0, 480, 500, 500, 320, 240), "0×480"),
        ((640, 480, 500, 500, 320, 240, "brown"), "unknown distortion model 'brown'"),
        ((640, 480, 500, 500, 320, 240, "plumb_bob", (0.1, 0.2)), "takes 0 or 4 or 5"),
        ((640, 480, 500, 500, 320, 240, "plumb_bob", (0.1, 0.2, float("inf"), 0)), "not finite"),
        ((640, 480, 500, 500, 320, 240, "equidistant", (0.1,)), "takes 4"),
        ((640, 480, 500, 500, 9319.5, 240), "cx = 9319.5 lies far outside an image of 640×480"),
        ((640, 480, 500, 500, 320, -481), "cy = -481 lies far outside"),
        ((640, 480, 500, 500, 320, 240, "plumb_bob", (50.0, 0, 0, 0)), "leaves 37% of the angle"),
        ((640, 480, 500, 500, 320, 240, "plumb_bob", (-5.0, 0, 0, 0)), "cannot be undone in"),
        (
            (640, 480, 300, 300, 320, 240, "equidistant", (-5.0, 0, 0, 0)),
            "of what lies in front of the camera: no lens bends so",
        ),
        ((640, 480, 300, 300, 320, 240, "equidistant", (100.0, 0, 0, 0)), "of the angle that the focal length gives"),
        ((640, 480, 20, 20, 320, 240, "equidistant", (100.0, 0, 0, 0)), "of the angle that the focal length gives"),
        ((640, 480, 20, 20, 320, 240, "equidistant", (-5.0, 0, 0, 0)), "of what lies in front of the camera"),
        ((640, 480, 500, 500, 320, 240, "plumb_bob", (1e300, 0, 0, 0)), "cannot be undone in 100%"),
    ],
)
def test_impossible_calibrations_are_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        Camera(*arguments)  # type: ignore[arg-type]
