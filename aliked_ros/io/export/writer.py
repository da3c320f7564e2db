# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What every writer of another system's files takes, and how images are named in them."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, TypeVar

from aliked_ros.features import Features, Matches
from aliked_ros.io.sources.window import seconds_text

_WriterT = TypeVar("_WriterT", bound="MatchWriter")


class MatchWriter(Protocol):
    """Takes images with their features, then or in between the matches of pairs of them."""

    def add_image(self, name: str, features: Features) -> None:
        """Adds an image; SourceError where the name is taken."""
        ...

    def add_pair(self, name: str, name_ref: str, matches: Matches) -> None:
        """Adds the matches of an image to a reference image, both added before."""
        ...

    def close(self) -> None:
        """Completes the files."""
        ...

    def __enter__(self: _WriterT) -> _WriterT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def image_name(stamp_ns: int) -> str:
    """The file name of the image with this stamp, which joins it with everything else: as TUM's sequences have it."""
    return f"{seconds_text(stamp_ns)}.png"
