# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the nodes can be told beyond what the front-end can; the only place where these defaults are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from aliked_ros.camera import TUM_CAMERAS
from aliked_ros.config import Config, option
from aliked_ros.errors import ConfigError
from aliked_ros.frontend.config import ExtractorConfig, SelectionConfig, TrackingConfig, VerificationConfig
from aliked_ros.io.folders import expanded
from aliked_ros.io.messages.encodings import MIN_SIZE_PX

IMAGE_TRANSPORTS = ("raw", "compressed")
DESCRIPTOR_DTYPES = ("none", "float32", "float16", "int8")
OVERLOAD_POLICIES = ("none", "fewer_keypoints", "lower_rate")
LOG_SUFFIXES = (".csv", ".mcap")
_SOURCE_ID_BYTES = 64  # bound of source_id in the message definitions


@dataclass(frozen=True)
class TrackerNodeConfig(Config):
    """How the tracker node takes images and what it sends."""

    autostart: bool = option(
        True, "configure and activate at the start; false leaves that to a lifecycle manager", fixed=True
    )
    cameras: tuple[str, ...] = option(
        (),
        "names of several cameras, such as [left, right]: each has its topics below its name, left/image and "
        "~/left/features; empty for one camera without a name",
        fixed=True,
    )
    source_id: str = option(
        "camera", "name of the camera in every message, at most 64 bytes; cameras with names use those"
    )
    image_transport: str = option(
        "raw", "subscribe to image (raw) or to image/compressed (compressed)", choices=IMAGE_TRANSPORTS
    )
    process_every_frame: bool = option(
        False, "take images reliably and in order, for replays; otherwise the newest first, and old ones are dropped"
    )
    queue_size: int = option(
        30, "images that may wait while every frame is processed; the oldest is dropped beyond",
        unit="images", minimum=1, maximum=10000,
    )  # fmt: skip
    max_rate: float = option(
        0.0,
        "most images per second and camera that are taken, the others are dropped; exact over time, though an image "
        "may come a tenth of the period early; simultaneous images are taken together; 0 takes all",
        unit="Hz", minimum=0.0, maximum=10000.0, live=True,
    )  # fmt: skip
    sync_slop: float = option(
        0.005, "how far the stamps of simultaneous images of several cameras may lie apart",
        unit="seconds", minimum=0.0, maximum=10.0, live=True,
    )  # fmt: skip
    sync_timeout: float = option(
        0.03, "longest wait for the other cameras' images of the same moment",
        unit="seconds", minimum=0.0, maximum=10.0, live=True,
    )  # fmt: skip
    depth: bool = option(
        False,
        "subscribe to depth, an image in 16UC1 millimetres or 32FC1 metres registered to the camera's, for depth_m",
    )
    depth_slop: float = option(
        0.02, "how far the stamps of an image and its depth may lie apart",
        unit="seconds", minimum=0.0, maximum=10.0, live=True,
    )  # fmt: skip
    depth_timeout: float = option(
        0.1, "longest wait for an image's depth before it is processed without",
        unit="seconds", minimum=0.0, maximum=10.0, live=True,
    )  # fmt: skip
    descriptor_dtype: str = option(
        "float32", "type of the descriptors in ~/features; none leaves them out", choices=DESCRIPTOR_DTYPES, live=True
    )
    warmup_width: int = option(
        640, f"width of the images to prepare for at start, at least {MIN_SIZE_PX}; 0 prepares at the first image",
        unit="pixels", minimum=0, maximum=16384,
    )  # fmt: skip
    warmup_height: int = option(
        480, f"height of the images to prepare for at start, at least {MIN_SIZE_PX}; 0 prepares at the first image",
        unit="pixels", minimum=0, maximum=16384,
    )  # fmt: skip
    trail_length: int = option(
        16, "positions of a track that ~/debug_image shows", unit="images", minimum=1, maximum=1000, live=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names(self.cameras)
        for name, pixels in (("warmup_width", self.warmup_width), ("warmup_height", self.warmup_height)):
            if 0 < pixels < MIN_SIZE_PX:
                raise ConfigError(f"{name} must be 0 or at least {MIN_SIZE_PX}, got {pixels}")
        size = len(self.source_id.encode())
        if not 1 <= size <= _SOURCE_ID_BYTES:
            raise ConfigError(f"source_id must have 1 to {_SOURCE_ID_BYTES} bytes, got {size}: {self.source_id!r}")

    @property
    def camera_names(self) -> tuple[str, ...]:
        """The cameras' names; a single empty one without ``cameras``."""
        return self.cameras or ("",)


@dataclass(frozen=True)
class CameraConfig(Config):
    """What is said of all cameras, or of one, below its name: ``left.calibration``; its default is what all have."""

    calibration: str = option(
        "",
        f"used instead of camera_info: {', '.join(TUM_CAMERAS)}, or a camera_info YAML file; empty takes "
        "camera_info, also where one camera says so and the common value is another",
    )
    rectified: bool = option(
        False,
        "the images are rectified: the calibration's P describes them, and no distortion is left; a camera's own value "
        "holds for it, also false",
    )
    mask: str = option(
        "",
        "where keypoints are not wanted: a PNG of the image's size, black there; or polygons' corners in pixels, "
        "0,400 640,400 640,480 0,480, with ; between polygons; empty masks nothing, also where one camera says so and "
        "the common value is another",
    )


def camera_groups(names: Sequence[str]) -> tuple[tuple[str, type[Config]], ...]:
    """The parameters that hold for every camera, and those of each of these.

    Raises:
        ConfigError: a name is taken or does not fit into a topic's.
    """
    _check_names(names)
    return tuple((name, CameraConfig) for name in ("", *names))


def _check_names(names: Sequence[str]) -> None:
    taken = {prefix for prefix, _ in TRACKER_GROUPS} | {
        named.name for _, kind in TRACKER_GROUPS for named in kind.options()
    }
    for name in names:
        # What was given may be a list of anything; that is found out here first.
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name) or name in taken:
            raise ConfigError(
                f"cameras: a name has up to 63 letters, digits and underscores, begins with a letter and is no other "
                f"parameter's; got {name!r}"
            )
    if len(set(names)) < len(names):
        raise ConfigError(f"cameras must have different names, got {', '.join(names)}")


@dataclass(frozen=True)
class NodeExtractorConfig(ExtractorConfig):
    """The extractor of a node, which uses the network only when it is told to."""

    offline: bool = option(True, "never use the network to fetch weights; `aliked-ros weights` fetches them once")


@dataclass(frozen=True)
class OverloadConfig(Config):
    """What an overloaded machine does less of, and what counts as overloaded."""

    policy: str = option(
        "none",
        "what is lowered while the machine is overloaded: nothing, max_keypoints, or max_rate",
        choices=OVERLOAD_POLICIES, live=True,
    )  # fmt: skip
    max_keypoints: int = option(
        300, "max_keypoints while fewer_keypoints is in force", unit="keypoints", minimum=1, maximum=65536, live=True
    )
    max_rate: float = option(
        10.0, "max_rate while lower_rate is in force", unit="Hz", minimum=0.1, maximum=10000.0, live=True
    )
    window: float = option(
        2.0, "time over which load is judged, and after which it is judged again",
        unit="seconds", minimum=0.2, maximum=3600.0, live=True,
    )  # fmt: skip
    begin_dropped: float = option(
        0.2, "overload begins when this share of the window's images gave way to newer ones",
        minimum=0.01, maximum=1.0, live=True,
    )  # fmt: skip
    begin_latency: float = option(
        0.0, "overload begins, too, when the window's mean latency is longer; 0 does not look at it",
        unit="seconds", minimum=0.0, maximum=60.0, live=True,
    )  # fmt: skip
    end_load: float = option(
        0.7, "overload ends when all images of the window would take at most this share of the time, and the latency "
        "is at most this share of begin_latency",
        minimum=0.05, maximum=0.95, live=True,
    )  # fmt: skip


@dataclass(frozen=True)
class LogConfig(Config):
    """What is written of every image, and where."""

    path: str = option(
        "",
        "file that every image is logged to: .csv for a line per image, .mcap for all that is published of it; where "
        "there is one of this name a number is added; empty logs nothing",
        live=True,
    )
    queue_size: int = option(
        64, "images that may wait for a slow disk; further ones are left out of the log",
        unit="images", minimum=1, maximum=10000, live=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path and PurePath(self.path).suffix not in LOG_SUFFIXES:
            raise ConfigError(f"log.path must end in {' or '.join(LOG_SUFFIXES)}, got {self.path!r}")
        expanded(self.path, "log.path")


@dataclass(frozen=True)
class PlayerConfig(Config):
    """What the player replays, and how."""

    input: str = option(
        "", "TUM directory, bag, folder of images, video file or camera0; what aliked_ros.io.open_source takes"
    )
    image_topic: str = option("", "image topic of a bag; empty where it has one camera only")
    calibration: str = option(
        "", f"calibration to publish: empty for the source's own, {', '.join(TUM_CAMERAS)}, or a camera_info YAML file"
    )
    rate: float = option(
        1.0,
        "speed as a multiple of the recording's; 0 does not wait, which is for lock step",
        minimum=0.0,
        maximum=1000.0,
    )
    start: float = option(0.0, "where to start, after the first frame", unit="seconds", minimum=0.0, maximum=1e9)
    duration: float = option(0.0, "how much to play; 0 plays to the end", unit="seconds", minimum=0.0, maximum=1e9)
    loop: bool = option(False, "start over at the end; stamps jump back then, unless they are restamped")
    restamp: bool = option(
        False, "stamp frames with the time of their publication, as a live camera does, and publish no /clock"
    )
    frame_id: str = option("camera", "frame of the images: the camera's optical frame")
    world_frame_id: str = option("world", "frame of the ground truth")
    publish_compressed: bool = option(False, "publish image/compressed (JPEG) as well")
    wait_for_subscribers: int = option(
        0, "subscribers of the images to wait for before the first frame", minimum=0, maximum=1000
    )
    wait_for: str = option(
        "", "topic of aliked_msgs/Features: lock step, a frame is played after the features of the one before have come"
    )
    wait_for_reader: str = option(
        "", "node that must read the features of `wait_for` before the first frame, such as odometry"
    )
    timeout: float = option(
        30.0, "longest wait for subscribers or features before giving up", unit="seconds", minimum=0.1, maximum=1e6
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.input:
            raise ConfigError("input must name what to play, such as -p input:=DIRECTORY; it is empty")
        if self.wait_for_reader and not self.wait_for:
            raise ConfigError(f"wait_for_reader needs wait_for, the features that {self.wait_for_reader} reads")


# The parameters of each node: configurations, and the prefix of their parameters.
TRACKER_GROUPS: tuple[tuple[str, type[Config]], ...] = (
    ("", TrackerNodeConfig),
    ("", NodeExtractorConfig),
    ("selection", SelectionConfig),
    ("tracking", TrackingConfig),
    ("verification", VerificationConfig),
    ("overload", OverloadConfig),
    ("log", LogConfig),
)
PLAYER_GROUPS: tuple[tuple[str, type[Config]], ...] = (("", PlayerConfig),)
