# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the odometry node can be told beyond what its backend can."""

from __future__ import annotations

from dataclasses import dataclass

from aliked_ros.camera import TUM_CAMERAS
from aliked_ros.config import Config, option
from aliked_ros.errors import ConfigError
from aliked_ros.io.folders import expanded
from aliked_ros.slam.config import BACKEND_GROUPS


@dataclass(frozen=True)
class OdometryConfig(Config):
    """Where features come from and where poses go."""

    camera: str = option(
        "", "the tracker's camera that is followed, where it has several; the left one of a stereo pair", fixed=True
    )
    right_camera: str = option(
        "right",
        "the tracker's camera on the right of that one, in mode stereo; its camera_info holds the baseline",
        fixed=True,
    )
    calibration: str = option(
        "",
        f"used instead of camera_info: {', '.join(TUM_CAMERAS)}, or a camera_info YAML file; empty takes camera_info",
        fixed=True,
    )
    baseline: float = option(
        0.0,
        "from the left to the right camera, in mode stereo; 0 takes the P of the right camera's camera_info",
        unit="m",
        minimum=0.0,
        maximum=100.0,
        fixed=True,
    )
    process_every_frame: bool = option(
        False, "take every frame in its order, for replays; otherwise a slow machine leaves old ones out", fixed=True
    )
    map_frame: str = option("map", "frame of the map (REP 105)", fixed=True)
    odom_frame: str = option("odom", "frame in which poses move without a jump while tracked (REP 105)", fixed=True)
    base_frame: str = option(
        "",
        "the robot's frame, whose transform to the camera is looked up in TF; empty gives the camera's own poses",
        fixed=True,
    )
    publish_tf: bool = option(True, "publish map to odom and odom to the child frame on /tf", fixed=True)
    path_length: int = option(
        10000, "poses that ~/path keeps; the oldest are dropped beyond", unit="poses", minimum=1, maximum=1000000
    )
    map_period: float = option(
        1.0, "time between two ~/map_points, while someone subscribes", unit="seconds", minimum=0.05, maximum=3600.0
    )
    trajectory: str = option(
        "",
        "file that gets the trajectory in TUM's format; that of the next map, after a reset, has -2 behind its name",
        fixed=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        expanded(self.trajectory, "trajectory")
        frames = [self.map_frame, self.odom_frame, *([self.base_frame] if self.base_frame else [])]
        if "" in frames or len(set(frames)) < len(frames):
            raise ConfigError(
                "map_frame and odom_frame must have names, and these and base_frame different ones; "
                f"got {', '.join(map(repr, frames))}"
            )


ODOMETRY_GROUPS: tuple[tuple[str, type[Config]], ...] = (("", OdometryConfig), *BACKEND_GROUPS)
