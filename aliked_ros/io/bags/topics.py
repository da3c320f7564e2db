# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Topics and frames of a camera in a bag: those of the TUM RGB-D benchmark's own bags."""

from __future__ import annotations

from dataclasses import dataclass

COMPRESSED_SUFFIX = "/compressed"  # image_transport appends it to the image's topic


@dataclass(frozen=True)
class CameraTopics:
    """Where one camera's data lie, and the frames they are expressed in."""

    image: str = "/camera/rgb/image_color"  # sensor_msgs/Image, or CompressedImage below COMPRESSED_SUFFIX
    camera_info: str = "/camera/rgb/camera_info"  # sensor_msgs/CameraInfo
    depth: str = "/camera/depth/image"  # sensor_msgs/Image, 32FC1 in metres, aligned with the image
    # geometry_msgs/PoseStamped: the camera's optical frame in the world, what groundtruth.txt holds. (TUM's own
    # bags hold motion capture as transforms between other frames.)
    ground_truth: str = "/camera/ground_truth"
    camera_frame: str = "camera_rgb_optical_frame"
    world_frame: str = "world"

    @property
    def compressed_image(self) -> str:
        """The topic of the compressed image."""
        return self.image + COMPRESSED_SUFFIX
