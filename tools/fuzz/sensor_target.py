# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Image, CompressedImage and CameraInfo messages through the conversions and the callbacks of real cameras."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from aliked_ros.errors import AlikedError
from aliked_ros.frontend.extractor import Extractor
from aliked_ros.ros.image_conversions import camera_from_info, compressed_image_view, depth_metres, image_view
from tools.fuzz import sensor_cases
from tools.fuzz.outcome import UNDECODABLE, outcome_of, received, require
from tools.fuzz.rig import Rig, cheap_extractor

_KINDS = ("Image", "CompressedImage", "CameraInfo", "depth Image")
_WEIGHTS = (0.45, 0.2, 0.25, 0.1)
_REAL_EVERY = 50  # images, of which one goes through the real network
_LONGEST_COMPLAINT = 2000  # characters; a log line that a hostile message can make longer is a weapon


class SensorTarget:
    """Feeds three cameras: raw and compressed ones with a cheap engine, and a raw one with the real network.

    Args:
        seed: of all cases.
        deadline_s: longest time for one.
    """

    def __init__(self, seed: int, deadline_s: float) -> None:
        self._seed = seed
        self._logged = _LoggedFaults()
        network = Extractor.from_pretrained(
            "aliked-t16", device="cpu", precision="fp32", max_keypoints=50, threads=1, offline=True
        )
        self._raw = Rig("fuzz_raw", cheap_extractor(), "essential", "raw", deadline_s)
        self._compressed = Rig("fuzz_compressed", cheap_extractor(), "homography", "compressed", deadline_s)
        self._real = Rig("fuzz_real", network, "fundamental", "raw", deadline_s)

    def run(self, index: int) -> tuple[str, str]:
        """One message; see Target."""
        rng = random.Random(f"{self._seed}/sensor/{index}")
        (kind,) = rng.choices(_KINDS, _WEIGHTS)
        feed = {
            "Image": self._image,
            "CompressedImage": self._compressed_image,
            "CameraInfo": self._camera_info,
            "depth Image": self._depth,
        }[kind]
        outcome = feed(rng, index)
        self._logged.check()
        return kind, outcome

    def close(self) -> None:
        """Ends the nodes."""
        for rig in (self._raw, self._compressed, self._real):
            rig.close()
        self._logged.close()

    def _image(self, rng: random.Random, index: int) -> str:
        message = received(rng, sensor_cases.image(rng, index))
        if message is None:
            return UNDECODABLE
        error = _refusal(lambda: _check_pixels(image_view(message)))
        rig = self._real if index % _REAL_EVERY == 0 and message.height * message.width <= 64 * 64 else self._raw
        _feed_image(rig, "image", message, error)
        return outcome_of(error)

    def _compressed_image(self, rng: random.Random, index: int) -> str:
        message = received(rng, sensor_cases.compressed(rng, index))
        if message is None:
            return UNDECODABLE
        error = _refusal(lambda: _check_pixels(compressed_image_view(message)))
        _feed_image(self._compressed, "compressed", message, error)
        return outcome_of(error)

    def _camera_info(self, rng: random.Random, index: int) -> str:
        message = received(rng, sensor_cases.camera_info(rng, index))
        if message is None:
            return UNDECODABLE
        error = _refusal(lambda: camera_from_info(message, rectified=rng.random() < 0.2))
        error_as_used = _refusal(lambda: camera_from_info(message))
        for rig in (self._raw, self._compressed, self._real):
            before = rig.monitor.calibrations_refused
            rig.hand_over("camera_info", message)
            counted = rig.monitor.calibrations_refused - before
            require(counted == (error_as_used is not None), f"{counted} calibrations counted for {error_as_used!r}")
        return outcome_of(error)

    def _depth(self, rng: random.Random, index: int) -> str:
        """A depth image, and an image of the same moment that is joined with it."""
        message = received(rng, sensor_cases.depth(rng, index))
        image = received(rng, sensor_cases.image(rng, index))
        if message is None or image is None:
            return UNDECODABLE
        error = _refusal(lambda: _check_depth(depth_metres(message)))
        image_error = _refusal(lambda: _check_pixels(image_view(image)))
        image.header.stamp = message.header.stamp
        self._raw.hand_over("depth", message)
        _feed_image(self._raw, "image", image, image_error)
        return outcome_of(error)


def _feed_image(rig: Rig, topic: str, message: Any, error: AlikedError | None) -> None:
    """An image through a camera's callback: it is counted once, and as refused where its conversion refuses it."""
    before, without_failures = rig.monitor.counts, len(rig.monitor.failures)
    rig.hand_over(topic, message)
    rig.wait()
    counts, failures = rig.monitor.counts, rig.monitor.failures[without_failures:]
    require(not failures, f"the camera could not deal with an image: {failures}")
    require(counts.received == before.received + 1, f"an image was received {counts.received - before.received} times")
    require(counts.in_flight == 0, f"counters do not add up: {counts}")
    refused = counts.refused - before.refused
    require(error is None or refused == 1, f"refused by its conversion and counted {refused} times as refused: {error}")
    require(counts.dropped == before.dropped, "an image was dropped where every one is processed")


def _refusal(convert: Callable[[], Any]) -> AlikedError | None:
    """Why a message was refused, ``None`` when it was not; whatever is no AlikedError passes."""
    try:
        convert()
    except AlikedError as error:
        require(bool(str(error)), "refused without a reason")
        return error
    return None


def _check_pixels(pixels: Any) -> None:
    require(pixels.dtype == np.uint8, f"pixels of {pixels.dtype}")
    require(pixels.ndim == 2 or pixels.shape[2] == 3, f"pixels of shape {pixels.shape}")
    require(min(pixels.shape[:2]) >= 32, f"pixels of shape {pixels.shape}")
    pixels.sum()


def _check_depth(depth_m: Any) -> None:
    require(depth_m.dtype == np.float32 and depth_m.ndim == 2, f"depth of {depth_m.dtype} {depth_m.shape}")
    require(bool((np.isnan(depth_m) | ((depth_m > 0) & np.isfinite(depth_m))).all()), "depth that is no distance")


class _LoggedFaults(logging.Handler):
    """What threads log with a traceback, because they have nobody to raise it to."""

    def __init__(self) -> None:
        super().__init__()
        self._faults: list[str] = []
        logging.getLogger("aliked_ros").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps tracebacks and lines that are too long."""
        if record.exc_info or len(record.getMessage()) > _LONGEST_COMPLAINT:
            self._faults.append(self.format(record))

    def check(self) -> None:
        """Raises PropertyError with what was logged since the last time."""
        faults, self._faults = self._faults, []
        require(not faults, "\n".join(faults)[:5000])

    def close(self) -> None:
        """Listens no more."""
        logging.getLogger("aliked_ros").removeHandler(self)
        super().close()
