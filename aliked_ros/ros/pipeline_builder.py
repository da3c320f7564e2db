# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Makes what the tracker runs on out of its parameters: network, matcher, front-ends, and the way of the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aliked_ros.camera import Camera
from aliked_ros.config import full_name
from aliked_ros.errors import ConfigError, SourceError
from aliked_ros.frontend.config import ExtractorConfig, SelectionConfig, TrackingConfig, VerificationConfig
from aliked_ros.io.calibration import camera_named
from aliked_ros.io.masks import mask_named
from aliked_ros.io.messages.message_fields import Coords
from aliked_ros.mask import ViewMask
from aliked_ros.ros.camera_stream import CameraName, CameraStream
from aliked_ros.ros.frame_log import FrameLog
from aliked_ros.ros.intake import Intake
from aliked_ros.ros.monitor import Monitor
from aliked_ros.ros.node_config import CameraConfig, TrackerNodeConfig
from aliked_ros.ros.parameters import NodeParameters
from aliked_ros.ros.pipeline import Pipeline, intake_settings
from aliked_ros.ros.publishing import ResultPublisher
from aliked_ros.ros.stereo import StereoMatcher
from aliked_ros.ros.watched_node import WatchedLifecycleNode

if TYPE_CHECKING:
    from aliked_ros.frontend.extractor import Extractor
    from aliked_ros.frontend.frontend import FrameNumber, Frontend
    from aliked_ros.frontend.matchers import Matcher


@dataclass(frozen=True, eq=False)
class Loaded:
    """What takes time to load, or can fail to."""

    extractor: Extractor
    matcher: Matcher
    calibrations: tuple[Camera | None, ...]  # by camera, like the masks
    masks: tuple[ViewMask | None, ...]


class PipelineBuilder:
    """Builds the pipeline of a tracker.

    Args:
        node: subscribes and publishes.
        settings: its parameters.
        cameras: its cameras, in the order of their numbers.
        monitors: count for each of them.
        frame_log: notes every image.
    """

    def __init__(
        self,
        node: WatchedLifecycleNode,
        settings: NodeParameters,
        cameras: Sequence[CameraName],
        monitors: Sequence[Monitor],
        frame_log: FrameLog,
    ) -> None:
        self._node = node
        self._settings = settings
        self._cameras = cameras
        self._monitors = monitors
        self._frame_log = frame_log

    def load(self) -> Loaded:
        """Reads calibrations and masks, then loads the network and the matcher and runs them once.

        Raises:
            SourceError: a calibration or a mask cannot be read.
            CalibrationError: a calibration is impossible.
            ConfigError: parameters contradict each other, or ask for what is not installed.
            WeightsError: weights are missing or corrupt.
            DeviceError: the device or the precision is not available.
        """
        calibrations = tuple(map(self._calibration_of, self._cameras))  # before what takes long
        masks = tuple(map(self._mask_of, self._cameras))
        from aliked_ros.frontend.extractor import Extractor  # torch takes seconds, and signals come before
        from aliked_ros.frontend.matchers import create_matcher

        extractor = Extractor.from_config(self._settings.get(ExtractorConfig), self._settings.get(SelectionConfig))
        matcher = create_matcher(self._settings.get(TrackingConfig).matcher, extractor)
        self._warm_up(extractor, matcher)
        return Loaded(extractor, matcher, calibrations, masks)

    def build(
        self, loaded: Loaded, after_image: Callable[[int], None], first: Sequence[FrameNumber]
    ) -> tuple[Pipeline, StereoMatcher | None]:
        """The pipeline, which processes from now on but takes no images yet, and what matches simultaneous images.

        Nothing of it is left behind when it cannot be built.

        Args:
            loaded: what :meth:`load` gave.
            after_image: is called with a camera's number after each of its images.
            first: by camera, or empty: counting goes on when the node is configured again.

        Raises:
            ConfigError: a ``qos_overrides`` parameter of one of its topics is impossible.
        """
        config = self._settings.get(TrackerNodeConfig)
        intake = Intake(
            len(self._cameras), intake_settings(config), lambda camera, count: self._monitors[camera].dropped(count)
        )
        pipeline = Pipeline(intake, after_image)
        frontends = [self._make_frontend(loaded, camera, first) for camera in self._cameras]
        streams: list[CameraStream] = []
        stereo: StereoMatcher | None = None
        with self._node.all_topics_or_none(), ExitStack() as undo:
            for camera, frontend in zip(self._cameras, frontends, strict=True):
                streams.append(self._make_stream(camera, frontend, intake, pipeline))
                undo.callback(streams[-1].close)
            if len(streams) > 1:
                stereo = StereoMatcher(
                    self._node,
                    loaded.matcher,
                    self._settings.get(TrackingConfig),
                    self._settings.get(VerificationConfig),
                    self._frame_log,
                )
            undo.pop_all()
        pipeline.start(streams, stereo)
        return pipeline, stereo

    def _settings_of(self, camera: CameraName) -> CameraConfig:
        return self._settings.get(CameraConfig, camera.name)

    def _calibration_of(self, camera: CameraName) -> Camera | None:
        """The calibration that the parameters name.

        Raises:
            SourceError: it cannot be read.
            CalibrationError: it is impossible.
            ConfigError: it contradicts other parameters.
        """
        settings = self._settings_of(camera)
        if not settings.calibration:
            return None
        return camera_named(settings.calibration, rectified=settings.rectified)

    def _mask_of(self, camera: CameraName) -> ViewMask | None:
        """The mask that the parameters name; SourceError or ConfigError when there is none to be had from them."""
        mask = self._settings_of(camera).mask
        is_own = mask != self._settings.get(CameraConfig, "").mask
        try:
            return mask_named(mask) if mask else None
        except (ConfigError, SourceError) as error:
            raise type(error)(f"{full_name(camera.name if is_own else '', 'mask')}: {error}") from error

    def _make_frontend(self, loaded: Loaded, camera: CameraName, first: Sequence[FrameNumber]) -> Frontend:
        from aliked_ros.frontend.frontend import FrameNumber, Frontend

        return Frontend(
            loaded.extractor,
            self._settings.get(TrackingConfig),
            self._settings.get(VerificationConfig),
            loaded.calibrations[camera.index],
            loaded.masks[camera.index],
            loaded.matcher,
            first[camera.index] if first else FrameNumber(),
        )

    def _make_stream(self, camera: CameraName, frontend: Frontend, intake: Intake, pipeline: Pipeline) -> CameraStream:
        config, settings = self._settings.get(TrackerNodeConfig), self._settings_of(camera)
        info = frontend.extractor.info
        coords = Coords.RECTIFIED if settings.rectified else Coords.RAW
        return CameraStream(
            self._node,
            camera,
            config,
            settings,
            frontend,
            self._monitors[camera.index],
            ResultPublisher(self._node, camera.name or config.source_id, info, camera.output, coords),
            intake,
            pipeline.before_next_image,
            self._frame_log,
        )

    def _warm_up(self, extractor: Extractor, matcher: Matcher) -> None:
        """Has the first image pay for nothing that can be prepared: noise has keypoints, so every part runs."""
        from aliked_ros.frontend.extractor import ExtractionRequest

        config = self._settings.get(TrackerNodeConfig)
        if config.warmup_width and config.warmup_height:
            shape = (config.warmup_height, config.warmup_width, 3)
            image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
            features = extractor(image)
            if extractor.info.gains_from_batches and len(self._cameras) > 1:
                extractor.extract_batch([ExtractionRequest(image)] * len(self._cameras))
            matcher.match(features, features, self._settings.get(TrackingConfig))
