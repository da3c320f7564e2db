# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Relative poses from matches, against ground truth: the area under the recall curve of their errors.

The error of a pair is the larger of the angle between rotations and the angle between directions of translation; the
AUC up to a threshold is that of SuperGlue (arXiv 1911.11763, section 5) and of the evaluations after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.engine.base import Image
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.features import Features, Matches
from aliked_ros.frontend import verification
from aliked_ros.frontend.matching import mutual_nearest_neighbours
from aliked_ros.io.frames import Frame, Pose

AUC_THRESHOLDS_DEG = (5.0, 10.0)
FAILED_DEG = 180.0  # the error of a pair for which no pose was found
MAX_EPIPOLAR_ERROR_PX = 3.0  # of an inlier
_SEED = 0
_REFINEMENT = {"loss_type": "CAUCHY", "loss_scale": 0.5}  # pixels, about the error of a keypoint
_MIN_MATCHES = 5  # that determine an essential matrix
_Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RelativePose:
    """Takes points from the reference camera's frame to the current one's: ``rotation @ x + translation``."""

    rotation: _Matrix  # (3, 3)
    translation: _Matrix  # (3,) metres, or of unit length where only its direction is known


@dataclass(frozen=True)
class RelativePoseResult:
    """How well relative poses were found over the pairs of a sequence."""

    rotation_errors_deg: tuple[float, ...]  # of each pair
    translation_errors_deg: tuple[float, ...]  # angle between directions
    num_matches: tuple[int, ...]

    @property
    def errors_deg(self) -> tuple[float, ...]:
        """The larger error of each pair."""
        pairs = zip(self.rotation_errors_deg, self.translation_errors_deg, strict=True)
        return tuple(max(pair) for pair in pairs)

    def auc_percent(self, threshold_deg: float) -> float:
        """Area under the recall curve up to a threshold, in percentage points."""
        return 100.0 * pose_auc(self.errors_deg, threshold_deg)


def evaluate_relative_poses(
    frames: Sequence[Frame],
    extract: Callable[[Image], Features],
    camera: Camera,
    *,
    gap: int = 3,
    min_similarity: float = 0.9,
    max_epipolar_error_px: float = MAX_EPIPOLAR_ERROR_PX,
) -> RelativePoseResult:
    """Extracts, matches and estimates the pose of every pair of frames ``gap`` apart.

    Args:
        frames: with poses; those without take no part.
        extract: an image to its features.
        camera: the frames' calibration; its distortion is taken out of the matches.
        gap: frames between the two of a pair.
        min_similarity: of matches.
        max_epipolar_error_px: of inliers.

    Raises:
        ConfigError: gap is not positive.
        SourceError: no pair has ground truth.
    """
    if gap < 1:
        raise ConfigError(f"gap must be at least 1, got {gap}")
    pairs = list(zip(frames, frames[gap:], strict=False))
    if not any(a.pose_world_from_camera and b.pose_world_from_camera for a, b in pairs):
        raise SourceError(f"no two of {len(frames)} frames {gap} apart have ground truth; a TUM directory has it")
    features = [extract(frame.image) for frame in frames]
    rotations, translations, counts = [], [], []
    for i, (reference, current) in enumerate(pairs):
        if reference.pose_world_from_camera is None or current.pose_world_from_camera is None:
            continue
        matches = mutual_nearest_neighbours(features[i + gap], features[i], min_similarity)
        truth = relative_pose(reference.pose_world_from_camera, current.pose_world_from_camera)
        found = estimate_relative_pose(matches, camera, max_epipolar_error_px)
        rotation, translation = (FAILED_DEG, FAILED_DEG) if found is None else pose_error_deg(found, truth)
        rotations.append(rotation)
        translations.append(translation)
        counts.append(len(matches))
    return RelativePoseResult(tuple(rotations), tuple(translations), tuple(counts))


def relative_pose(reference: Pose, current: Pose) -> RelativePose:
    """The pose of one camera in the frame of the other, from their poses in the world."""
    rotation = current.rotation.T @ reference.rotation
    translation = current.rotation.T @ (reference.position_xyz - current.position_xyz)
    return RelativePose(rotation, translation)


def estimate_relative_pose(
    matches: Matches,
    camera: Camera,
    max_error_px: float = MAX_EPIPOLAR_ERROR_PX,
    camera_ref: Camera | None = None,
) -> RelativePose | None:
    """The pose that an essential matrix of the matches gives, by PoseLib with a fixed seed.

    Inliers are taken generously and weighted by Cauchy's loss: with a limit near the keypoints' own error, a change of
    a keypoint by hundredths of a pixel takes matches in and out and turns the direction of a short translation.

    The reference was taken by the same camera unless ``camera_ref`` is given. The translation has unit length. ``None``
    where there are too few matches or no pose fits.
    """
    if len(matches) < _MIN_MATCHES:
        return None
    ransac = {"max_epipolar_error": max_error_px, "seed": _SEED}
    pose, info = verification.estimate_relative_pose(matches, camera, ransac, _REFINEMENT, camera_ref)
    translation = np.asarray(pose.t, np.float64)
    length = float(np.linalg.norm(translation))
    if info["num_inliers"] < _MIN_MATCHES or not np.isfinite(length) or length == 0.0:
        return None
    return RelativePose(np.asarray(pose.R, np.float64), translation / length)


def pose_error_deg(estimate: RelativePose, truth: RelativePose) -> tuple[float, float]:
    """The angle of the rotation between two poses, and that between the directions of their translations."""
    cosine = (np.trace(estimate.rotation.T @ truth.rotation) - 1.0) / 2.0
    rotation = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
    lengths = float(np.linalg.norm(estimate.translation) * np.linalg.norm(truth.translation))
    if lengths == 0.0:
        return rotation, 0.0  # a camera that did not move has no direction that could be wrong
    cosine = float(estimate.translation @ truth.translation) / lengths
    return rotation, float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def pose_auc(errors_deg: Sequence[float], threshold_deg: float) -> float:
    """Area under recall over error from 0 to the threshold, divided by the threshold: in [0, 1].

    Raises:
        ConfigError: there is no error, or the threshold is not positive.
    """
    if len(errors_deg) == 0 or threshold_deg <= 0:
        raise ConfigError(f"an AUC needs errors and a positive threshold, got {len(errors_deg)} and {threshold_deg}")
    errors = np.concatenate([[0.0], np.sort(np.asarray(errors_deg, np.float64))])
    recall = np.arange(len(errors)) / (len(errors) - 1)
    below = int(np.searchsorted(errors, threshold_deg))
    x = np.append(errors[:below], threshold_deg)
    y = np.append(recall[:below], recall[below - 1])
    return float(np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2.0) / threshold_deg)
