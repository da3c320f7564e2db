# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The renderer against scenes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from aliked_ros.camera import Camera
from aliked_ros.errors import CalibrationError, ShapeError
from aliked_ros.io.frames import Pose
from aliked_ros.sim.render import BACKGROUND, Renderer
from aliked_ros.sim.scene import Quad, Scene, box, quad
from aliked_ros.sim.textures import mip_levels, rectified, stained, tiled, tinted
from aliked_ros.sim.trajectory import look_at

CAMERA = Camera(64, 48, 50.0, 50.0, 31.5, 23.5)
RED, BLUE = (np.full((64, 64, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
# Looks along the world's y axis from its origin.
AHEAD = look_at(np.zeros(3), np.array([0.0, 1.0, 0.0]))


def facing(distance: float, half: float, texture: np.ndarray, centre: tuple[float, float] = (0.0, 0.0)) -> Quad:
    """A square that faces the camera; its texture upright."""
    x, z = centre
    return quad((x - half, distance, z + half), (2 * half, 0, 0), (0, 0, -2 * half), texture)


def renderer(*quads: Quad) -> Renderer:
    return Renderer(Scene("test", quads, lambda _: AHEAD), CAMERA)


def test_look_at_has_x_right_y_down_z_forward() -> None:
    np.testing.assert_allclose(AHEAD.rotation, [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-12)
    rolled = look_at(np.zeros(3), np.array([0.0, 1.0, 0.0]), np.pi / 2)
    np.testing.assert_allclose(rolled.rotation[:, 0], [0, 0, -1], atol=1e-12)  # right is down
    assert np.linalg.det(rolled.rotation) == pytest.approx(1.0)


def test_a_facing_square_has_one_depth_and_covers_what_geometry_says() -> None:
    scene = renderer(facing(2.0, 0.4, RED))
    depth = scene.depth(AHEAD)
    # Half its side is 0.4 m at 2 m: 10 pixels from the principal point at (31.5, 23.5).
    y, x = np.mgrid[:48, :64]
    inside = (np.abs(x - 31.5) < 10) & (np.abs(y - 23.5) < 10)
    np.testing.assert_array_equal(np.isfinite(depth), inside)
    assert (depth[inside] == 2.0).all()
    image = scene.image(AHEAD)
    assert (image[inside] == (200, 0, 0)).all()
    assert (image[(np.abs(x - 31.5) > 11) | (np.abs(y - 23.5) > 11)] == BACKGROUND).all()


def test_edges_are_blended_by_coverage() -> None:
    quarter = 0.25 * 2.0 / 50.0  # a quarter pixel at 2 m
    image = renderer(facing(2.0, 0.4, RED, (quarter, 0.0))).image(AHEAD)
    # Half of the samples of the pixel at the right edge are covered.
    expected = (np.array((200, 0, 0)) + BACKGROUND) / 2
    np.testing.assert_allclose(image[24, 42], expected, atol=1)


def test_the_nearer_surface_hides_the_farther_in_any_order() -> None:
    near, far = facing(1.0, 0.2, RED), facing(1.001, 0.3, BLUE)
    for quads in ((near, far), (far, near)):
        scene = renderer(*quads)
        assert tuple(scene.image(AHEAD)[24, 32]) == (200, 0, 0)
        assert tuple(scene.image(AHEAD)[24, 44]) == (0, 0, 200)
        assert scene.depth(AHEAD)[24, 32] == 1.0
        assert scene.depth(AHEAD)[24, 44] == np.float32(1.001)


def test_a_floor_has_the_depth_of_its_rays() -> None:
    # One metre below the camera, from behind it to far ahead.
    scene = renderer(quad((-50, -50, -1), (100, 0, 0), (0, 100, 0), RED))
    depth = scene.depth(AHEAD)
    rows = np.arange(24, 48)
    expected = 50.0 / (rows - 23.5)  # f h / (y - cy)
    visible = expected < 50
    np.testing.assert_allclose(depth[rows[visible], 32], expected[visible], rtol=1e-6)
    assert np.isnan(depth[:24]).all()


def test_points_are_exact_between_pixels() -> None:
    scene = renderer(quad((-50, -50, -1), (100, 0, 0), (0, 100, 0), RED))
    points = scene.points(AHEAD, np.array([[31.5, 48.5], [20.25, 33.125], [5.0, 5.0]]))
    np.testing.assert_allclose(points[0], [0, 2, -1], atol=1e-12)
    assert points[1, 2] == pytest.approx(-1, abs=1e-12)
    np.testing.assert_allclose(CAMERA.project(AHEAD.to_camera(points[:2])), [[31.5, 48.5], [20.25, 33.125]])
    assert np.isnan(points[2]).all()


def test_surfaces_behind_edge_on_or_too_near_are_not_drawn() -> None:
    edge_on = quad((-1, -1, 0), (2, 0, 0), (0, 4, 0), RED)  # the camera lies in its plane
    for surface in (facing(-1.0, 0.5, RED), facing(0.01, 0.5, RED), edge_on):
        scene = renderer(surface)
        assert np.isnan(scene.depth(AHEAD)).all()
        assert (scene.image(AHEAD) == BACKGROUND).all()


def test_textures_are_upright() -> None:
    corners = np.zeros((64, 64, 3), np.uint8)
    corners[:32, :32], corners[:32, 32:], corners[32:, :32] = 60, 120, 180
    image = renderer(facing(2.0, 0.4, corners)).image(AHEAD)
    assert [int(image[y, x, 0]) for y, x in ((18, 26), (18, 36), (28, 26), (28, 36))] == [60, 120, 180, 0]


def test_a_fine_texture_seen_from_afar_is_grey_not_noise() -> None:
    checks = ((np.indices((512, 512)).sum(0) % 2) * 255).astype(np.uint8)
    image = renderer(facing(2.0, 0.4, np.dstack([checks] * 3))).image(AHEAD)
    assert np.abs(image[16:31, 24:39].astype(int) - 127).max() <= 2


def test_a_floor_of_stripes_fades_smoothly() -> None:
    """Several levels of detail are in view; neither a seam nor a jump may be where one gives way to the next."""
    stripes = np.repeat((np.arange(1024) // 4 % 2) * 200, 1024).reshape(1024, 1024).astype(np.uint8)
    scene = renderer(quad((-8, 0, -0.4), (16, 0, 0), (0, 16, 0), np.dstack([stripes.T] * 3)))
    image = scene.image(AHEAD)[30:, 8:56, 0].astype(float)
    spread = image.std(1)
    assert spread[-1] > 3 * spread[0]
    assert np.abs(image.mean(1) - 100).max() < 12


def test_shade_darkens() -> None:
    dark = Quad(
        *(getattr(facing(2.0, 0.4, RED), name) for name in ("origin_xyz", "edge_u_xyz", "edge_v_xyz")), RED, 0.5
    )
    assert tuple(renderer(dark).image(AHEAD)[24, 32]) == (100, 0, 0)


def test_a_box_is_closed() -> None:
    sides = box((0.0, 2.0), (0.4, 0.4, 0.4), 30.0, RED, BLUE)
    scene = renderer(*sides)
    for angle in np.linspace(0, 2 * np.pi, 8, endpoint=False):
        position = np.array([1.5 * np.cos(angle), 2.0 + 1.5 * np.sin(angle), 1.0])
        pose = look_at(position, np.array([0.0, 2.0, 0.2]))
        points = scene.points(pose, np.array([[31.5, 23.5]]))
        # The nearest surface on the ray lies on the box's hull, in front of its middle.
        assert np.linalg.norm(points[0] - position) < np.linalg.norm(position - (0, 2, 0.2))
        depth = scene.depth(pose)
        mask = np.isfinite(depth)
        # From outside, a convex body's rows have no holes.
        for row in mask:
            columns = np.flatnonzero(row)
            assert len(columns) == 0 or len(columns) == columns[-1] - columns[0] + 1


def test_a_quad_without_area_cannot_be_built() -> None:
    with pytest.raises(ShapeError, match="no area"):
        quad((0, 0, 0), (1, 0, 0), (2, 0, 0), RED)


def test_a_camera_with_distortion_is_refused() -> None:
    with pytest.raises(CalibrationError, match="distortion"):
        Renderer(Scene("test", (), lambda _: AHEAD), Camera(64, 48, 50, 50, 32, 24, "plumb_bob", (0.1, 0, 0, 0)))


def test_an_empty_scene_is_background() -> None:
    pose = Pose(np.zeros(3), np.array([0.0, 0, 0, 1]))
    assert (renderer().image(pose) == BACKGROUND).all()
    assert np.isnan(renderer().depth(pose)).all()


def test_mip_levels_halve_and_keep_the_mean(textured_image: np.ndarray) -> None:
    levels = mip_levels(textured_image[:128, :200])
    assert [level.shape[:2] for level in levels] == [(128, 200), (64, 100), (32, 50), (16, 25), (8, 12)]
    assert abs(float(levels[0].mean()) - float(levels[2].mean())) < 1


def test_tiles_are_copies_lit_unevenly_and_repeat_for_a_seed(textured_image: np.ndarray) -> None:
    wall = tiled(textured_image, 2, 3, np.random.default_rng(1))
    assert wall.shape == (480, 960, 3)
    np.testing.assert_array_equal(wall, tiled(textured_image, 2, 3, np.random.default_rng(1)))
    assert (wall[:240, :320] != wall[:240, 320:640]).any()


def test_light_and_tint(textured_image: np.ndarray) -> None:
    grey = np.full((50, 60, 3), 100, np.uint8)
    assert tuple(tinted(grey, (1.0, 0.5, 3.0))[0, 0]) == (100, 50, 255)
    light = stained(grey, 0.2, np.random.default_rng(0)).astype(int)
    assert 70 <= light.min() < 95
    assert 105 < light.max() <= 130


def test_rectifying_takes_corners_to_corners(textured_image: np.ndarray) -> None:
    corners = np.array([[100, 50], [200, 50], [200, 150], [100, 150]], np.float32)
    np.testing.assert_array_equal(rectified(textured_image, corners, (100, 100)), textured_image[50:150, 100:200])


def test_samples_are_of_places_beside_the_pixels_centre() -> None:
    scene = renderer(facing(2.0, 0.41, RED))  # its left edge is at 31.5 - 10.25 = 21.25
    left, right = (scene.sample(AHEAD, (offset, 0.0))[24, 21] for offset in (-0.1, 0.4))
    np.testing.assert_array_equal(left, BACKGROUND)
    np.testing.assert_array_equal(right, RED[0, 0])


def test_what_is_beside_or_behind_the_camera_changes_nothing() -> None:
    ahead = facing(2.0, 0.4, RED)
    beside, behind = facing(2.0, 0.4, BLUE, (9.0, 0.0)), facing(-2.0, 0.4, BLUE)
    np.testing.assert_array_equal(renderer(beside, ahead, behind).image(AHEAD), renderer(ahead).image(AHEAD))
    np.testing.assert_array_equal(renderer(beside, ahead, behind).depth(AHEAD), renderer(ahead).depth(AHEAD))
