# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The exceptions a caller can meet: every one names the value, what was expected, and the remedy."""


class AlikedError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(AlikedError, ValueError):
    """A configuration value, parameter or option is outside what it may be."""


class ImageError(AlikedError, ValueError):
    """An image cannot be used: its size, encoding, length or type is wrong."""


class CalibrationError(AlikedError, ValueError):
    """A camera calibration is impossible: zero or NaN focal length, unknown distortion model."""


class ShapeError(AlikedError, ValueError):
    """Arrays that belong together disagree in length, shape or dtype."""


class MessageError(AlikedError, ValueError):
    """A message contradicts itself: an array's length is not what its count says."""


class SourceError(AlikedError):
    """A sequence, bag, video or picture is missing, cut off or unreadable, or cannot be written."""


class WeightsError(AlikedError):
    """A weights file is missing, corrupt, or not the one the manifest describes."""


class DeviceError(AlikedError, RuntimeError):
    """The requested device or precision is not available on this machine."""


class DeviceMemoryError(DeviceError):
    """The device's memory does not suffice for an image or for the network."""


class DeviceLostError(DeviceError):
    """The device failed while it was in use, and this process cannot use it any more."""
