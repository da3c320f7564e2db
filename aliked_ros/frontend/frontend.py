# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The front-end of a SLAM system: images in their order in, features, matches and tracks out."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aliked_ros.camera import Camera
from aliked_ros.engine.base import Image
from aliked_ros.features import Features, Float32Array, Matches, Tracks
from aliked_ros.frontend.config import TrackingConfig, VerificationConfig
from aliked_ros.frontend.depth import check_size, depth_of
from aliked_ros.frontend.extractor import ExtractionRequest, Extractor, check_image
from aliked_ros.frontend.following import Association, associate
from aliked_ros.frontend.matchers import Matcher, create_matcher
from aliked_ros.frontend.matching import MATCHER_NAME
from aliked_ros.frontend.refinement import PointRefiner
from aliked_ros.frontend.tracking import FeatureTracker
from aliked_ros.frontend.verification import verify
from aliked_ros.mask import BoolImage, ViewMask

_logger = logging.getLogger(__name__)
_MOST_WARNINGS = 16  # different ones; a size that changes with every image makes up new ones for ever


@dataclass(frozen=True, eq=False)
class FrameResult:
    """Everything the front-end found in one image."""

    frame_seq: int  # images processed before this one, over all epochs
    epoch: int  # track ids are unique within an epoch
    stamp_ns: int
    features: Features
    tracks: Tracks
    matches: Matches | None  # to the previous image; None in an epoch's first
    frame_seq_ref: int | None  # of the previous image
    stamp_ref_ns: int | None
    timings_ms: Mapping[str, float]  # preprocess, inference, match
    depth_m: Float32Array | None = None  # (N,) of the features, NaN where unknown; None without a depth image
    camera: Camera | None = None  # the calibration; None without one for this image's size
    complaints: tuple[str, ...] = ()  # what was asked for and could not be done with this image


@dataclass(frozen=True)
class FrameNumber:
    """Where a front-end begins to count, or the one after it has to."""

    epoch: int = 0
    frame_seq: int = 0


@dataclass(frozen=True, eq=False)
class _Previous:
    features: Features
    frame_seq: int
    stamp_ns: int

    @property
    def image_size(self) -> tuple[int, int]:
        return self.features.image_width, self.features.image_height


class Frontend:
    """Extracts, matches to the previous image, verifies, and tracks.

    A new epoch, in which track ids count from 0 again, begins with :meth:`reset`, and by itself with an image that
    is older than the last one or has another size.

    Args:
        extractor: what finds the features.
        tracking: how features are matched and become tracks.
        verification: which geometry matches must agree with.
        camera: the calibration, for undistorted coordinates and essential matrices.
        mask: where keypoints are wanted; everywhere without one.
        matcher: what matches, where several front-ends share one; by default what ``tracking`` names.
        first: number of the first image, where another front-end of the same source has had some.

    Raises:
        ConfigError: the matcher does not know the extractor's descriptors, or needs what is not installed.
        WeightsError: the matcher's weights are missing or corrupt.
    """

    def __init__(
        self,
        extractor: Extractor,
        tracking: TrackingConfig | None = None,
        verification: VerificationConfig | None = None,
        camera: Camera | None = None,
        mask: ViewMask | None = None,
        matcher: Matcher | None = None,
        first: FrameNumber = FrameNumber(),
    ) -> None:
        self._extractor = extractor
        self._mask = mask
        self._tracking = tracking or TrackingConfig()
        self._matcher = matcher or create_matcher(self._tracking.matcher, extractor)
        self._verification = verification or VerificationConfig()
        self._camera = camera
        self._warnings_told: set[str] = set()
        self._complaints: list[str] = []  # of the image in hand
        self._epoch = first.epoch
        self._frame_seq = first.frame_seq  # of the next image
        self._has_begun = False  # an image has come
        self._previous: _Previous | None = None
        self._tracker = FeatureTracker(self._tracking)
        self._refiner = self._create_refiner()

    @property
    def extractor(self) -> Extractor:
        """What finds the features."""
        return self._extractor

    @property
    def epoch(self) -> int:
        """How often the tracks have started anew."""
        return self._epoch

    @property
    def next_number(self) -> FrameNumber:
        """The first that this front-end has not used."""
        return FrameNumber(self._epoch + self._has_begun, self._frame_seq)

    @property
    def camera(self) -> Camera | None:
        """The calibration in force."""
        return self._camera

    def set_camera(self, camera: Camera | None) -> None:
        """Another calibration from the next image on."""
        self._camera = camera
        self._tracker.forget_calibration()
        self._warnings_told.clear()

    def reconfigure(
        self, tracking: TrackingConfig | None = None, verification: VerificationConfig | None = None
    ) -> None:
        """Other settings from the next image on; tracks go on."""
        tracking, verification = tracking or self._tracking, verification or self._verification
        if tracking.matcher != self._tracking.matcher:
            self._matcher = create_matcher(tracking.matcher, self._extractor)
        if (tracking, verification) != (self._tracking, self._verification):
            self._warnings_told.clear()
        self._tracking, self._verification = tracking, verification
        self._tracker.config = self._tracking
        if self._refiner is None or self._tracking.refinement == "none":
            self._refiner = self._create_refiner()
        else:
            self._refiner.max_shift_px = self._tracking.refinement_max_shift_px

    def reset(self) -> None:
        """Forgets all tracks; the next image starts a new epoch."""
        if self._has_begun:
            self._epoch += 1
        self._previous = None
        self._tracker = FeatureTracker(self._tracking)
        self._refiner = self._create_refiner()

    def request(self, image: Image) -> ExtractionRequest:
        """What is wanted of the next image, for who extracts those of several front-ends together.

        Raises:
            ImageError: the image cannot be used, or the mask has another size.
        """
        self._complaints = []  # those of an image that was refused after this are no other's
        check_image(image)
        return ExtractionRequest(image, self._mask_of(image), self._neighbour_reference())

    def __call__(
        self,
        image: Image,
        stamp_ns: int,
        depth_m: NDArray[np.float32] | None = None,
        features: Features | None = None,
    ) -> FrameResult:
        """The features of the next image, their matches to the previous one, and the tracks they belong to.

        Args:
            image: (H, W, 3) uint8 RGB or (H, W) uint8 grey.
            stamp_ns: when it was taken.
            depth_m: (H, W) float32 metres, NaN where unknown, registered to the image.
            features: what the extractor found for this image's :meth:`request`; by default it is asked now.

        Raises:
            ImageError: the image cannot be used, or its depth or the mask has another size; the state is as before.
        """
        if features is None:
            request = self.request(image)
            features = self._extractor(request.image, request.mask, request.reference)
        extracted = time.perf_counter()
        if depth_m is not None:
            check_size(features, depth_m)  # before anything changes
        if self._breaks_sequence(features, stamp_ns):
            self.reset()
        previous, camera = self._previous, self._calibration_of(features)
        found = self._associate(image, features, camera)
        features = found.features
        tracks = self._track(found, stamp_ns, camera)
        depths_m = None if depth_m is None else depth_of(features, depth_m)
        if depths_m is not None:
            tracks = dataclasses.replace(tracks, depth_m=depths_m[tracks.feature_indices])
        match_ms = 1e3 * (time.perf_counter() - extracted)
        result = FrameResult(
            frame_seq=self._frame_seq,
            epoch=self._epoch,
            stamp_ns=stamp_ns,
            features=features,
            tracks=tracks,
            matches=found.matches,
            frame_seq_ref=None if previous is None else previous.frame_seq,
            stamp_ref_ns=None if previous is None else previous.stamp_ns,
            timings_ms={**self._extractor.last_timings_ms, "match": match_ms},
            depth_m=depths_m,
            camera=camera,
            complaints=tuple(dict.fromkeys(self._complaints)),
        )
        self._previous = _Previous(features, self._frame_seq, stamp_ns)
        self._frame_seq, self._has_begun = self._frame_seq + 1, True
        return result

    def _associate(self, image: Image, features: Features, camera: Camera | None) -> Association:
        """What the features of the next image continue, and their matches to the previous one, which were verified."""
        reference = None if self._previous is None else self._previous.features
        matches = None if reference is None else self._match(features, reference, camera)
        budget = self._extractor.config.max_keypoints
        return associate(image, features, matches, self._tracker, self._refiner, budget, self._mask_of(image))

    def _track(self, found: Association, stamp_ns: int, camera: Camera | None) -> Tracks:
        xy_norm = None if camera is None else camera.normalise(found.features.keypoints_xy)
        tracks = self._tracker.update(found.features, found.matches, stamp_ns, xy_norm, found.source)
        if self._refiner is not None:
            self._refiner.remember(tracks)
        return tracks

    def _create_refiner(self) -> PointRefiner | None:
        if self._tracking.refinement == "none":
            return None
        return PointRefiner(self._tracking.refinement_max_shift_px, self._extractor.config.threads)

    def _neighbour_reference(self) -> Features | None:
        """What the next image's features will be matched to by nearest neighbours, which an engine may do at once."""
        if self._previous is None or self._matcher.name != MATCHER_NAME:
            return None
        return self._previous.features

    def _match(self, features: Features, reference: Features, camera: Camera | None) -> Matches:
        matches = self._matcher.match(features, reference, self._tracking)
        if camera is None and self._verification.geometry == "essential":
            self._warn_once("matches are not verified: geometry essential needs the calibration of the camera")
            return matches
        return verify(matches, self._verification, camera)

    def _mask_of(self, image: Image) -> BoolImage | None:
        if self._mask is None:
            return None
        height, width = image.shape[:2]
        wanted = self._mask.at(width, height)
        if self._previous is None and (wanted.all() or not wanted.any()):
            hidden = "nothing" if wanted.all() else "everything"
            self._warn_once(f"the mask hides {hidden} of an image of {width}×{height} pixels")
        return wanted

    def _calibration_of(self, features: Features) -> Camera | None:
        """The camera, where it was calibrated at this image's size; other intrinsics would be wrong, not rough."""
        camera = self._camera
        if camera is None or (camera.width, camera.height) == (features.image_width, features.image_height):
            return camera
        self._warn_once(
            f"the calibration is for {camera.width}×{camera.height} pixels and not used for an image of "
            f"{features.image_width}×{features.image_height}"
        )
        return None

    def _warn_once(self, text: str) -> None:
        """Notes a line of this image, and logs it once until the calibration or the settings change."""
        self._complaints.append(text)
        if text not in self._warnings_told and len(self._warnings_told) < _MOST_WARNINGS:
            self._warnings_told.add(text)
            _logger.warning(text)

    def _breaks_sequence(self, features: Features, stamp_ns: int) -> bool:
        previous = self._previous
        if previous is None:
            return False
        return stamp_ns < previous.stamp_ns or previous.image_size != (
            features.image_width,
            features.image_height,
        )
