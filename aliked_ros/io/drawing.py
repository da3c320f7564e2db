# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Features, matches and tracks drawn on images, for people to look at.

Every function takes (H, W, 3) RGB or (H, W) grey uint8 images and returns a new RGB image. Positions are pixels with
(0, 0) at the centre of the top-left one and are drawn to a sixteenth of a pixel. Marks have a dark rim, so that they
can be seen on bright and on dark ground.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from aliked_ros.features import Float32Array, Matches, Tracks

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]  # RGB
Trails = Mapping[int, Float32Array]  # by track id: (L, 2) pixels, oldest first

RIM: Colour = (16, 16, 16)
INLIER: Colour = (90, 230, 90)
OUTLIER: Colour = (235, 60, 50)

_CAPTION_MARGIN_PX = 8
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates
_UNIT = 1 << _SHIFT
_NUM_COLOURS = 32
# Turbo's ends are near black and dark red, hard to see; its middle keeps the order and the brightness.
_TURBO_RANGE = (0.10, 0.93)
_OLD_AGE = 128  # images; tracks older than this look the same


def as_rgb(image: Image) -> Image:
    """A copy in colour that can be drawn on."""
    if image.ndim == 2:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)
    return np.array(image, np.uint8, order="C")


def palette(count: int = _NUM_COLOURS) -> list[Colour]:
    """Colours in perceptual order, from blue (low) over green to red (high)."""
    low, high = _TURBO_RANGE
    levels = np.rint(np.linspace(low, high, count) * 255).astype(np.uint8)
    colours = cv2.applyColorMap(levels[:, None], cv2.COLORMAP_TURBO)[:, 0, ::-1]
    return [(int(r), int(g), int(b)) for r, g, b in colours]


class TrackTrails:
    """The last positions of every track that is alive, for drawing.

    Memory is bounded: a trail has at most ``length`` positions, and tracks that were not seen for ``length`` images
    are forgotten.
    """

    def __init__(self, length: int = 10) -> None:
        self._length = length
        self._positions: dict[int, deque[tuple[float, float]]] = {}
        self._last_seen: dict[int, int] = {}
        self._num_images = 0

    def __len__(self) -> int:
        return len(self._positions)

    def clear(self) -> None:
        """Forgets all tracks; for a new epoch, in which ids mean other tracks."""
        self._positions.clear()
        self._last_seen.clear()

    def update(self, tracks: Tracks) -> dict[int, Float32Array]:
        """Adds an image's tracks and gives the trail of each, (L, 2) pixels, this image's position last."""
        self._num_images += 1
        for identity, (x, y) in zip(tracks.ids.tolist(), tracks.xy.tolist(), strict=True):
            self._positions.setdefault(identity, deque(maxlen=self._length)).append((x, y))
            self._last_seen[identity] = self._num_images
        self._forget()
        return {identity: np.array(self._positions[identity], np.float32) for identity in tracks.ids.tolist()}

    def _forget(self) -> None:
        limit = self._num_images - self._length
        for identity in [identity for identity, seen in self._last_seen.items() if seen <= limit]:
            del self._positions[identity], self._last_seen[identity]


def draw_keypoints(image: Image, xy: Float32Array, scores: Float32Array | None = None, radius_px: float = 3.5) -> Image:
    """Rings around keypoints (N, 2); with scores (N,) in (0, 1) the strongest are red, drawn last."""
    canvas = as_rgb(image)
    if scores is None:
        _rings(canvas, xy, [INLIER] * len(xy), radius_px)
        return canvas
    order = np.argsort(scores, kind="stable")
    _rings(canvas, xy[order], _colours(scores[order]), radius_px)
    return canvas


def draw_tracks(image: Image, tracks: Tracks, trails: Trails | None = None, radius_px: float = 2.5) -> Image:
    """Tracks coloured by age on a logarithmic scale, blue when new and red when old, with their trails behind."""
    canvas = as_rgb(image)
    order = np.argsort(tracks.ages, kind="stable")  # the oldest on top: they are what matters
    ages = np.log2(np.maximum(tracks.ages[order], 1)) / np.log2(_OLD_AGE)
    colours = _colours(ages)
    if trails is not None:
        lines = [trails.get(identity) for identity in tracks.ids[order].tolist()]
        _polylines(canvas, lines, colours, opacity=0.6, rim=True)
    _dots(canvas, tracks.xy[order], colours, radius_px)
    return canvas


def draw_matches(
    image: Image, reference: Image, matches: Matches, min_similarity: float = 0.5, gap_px: int = 8
) -> Image:
    """The reference on the left, the image on the right, and lines between what matches.

    Lines are green or red by inlier where the matches were verified; otherwise coloured by similarity, from blue at
    ``min_similarity`` to red at 1.
    """
    left, right = as_rgb(reference), as_rgb(image)
    offset = left.shape[1] + gap_px
    canvas = np.full((max(left.shape[0], right.shape[0]), offset + right.shape[1], 3), 24, np.uint8)
    canvas[: left.shape[0], : left.shape[1]] = left
    canvas[: right.shape[0], offset:] = right
    if len(matches) == 0:
        return canvas
    order, colours = _match_colours(matches, min_similarity)
    start = matches.xy_ref[order]
    end = matches.xy[order] + np.array([offset, 0], np.float32)
    _polylines(canvas, list(np.stack([start, end], 1)), colours, opacity=0.75)
    _dots(canvas, start, colours, 2.5)
    _dots(canvas, end, colours, 2.5)
    return canvas


def draw_score_map(image: Image, score_map: Float32Array, opacity: float = 0.85) -> Image:
    """The score map (H, W) in (0, 1) as heat over a darkened grey image: black is none, yellow is strong."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    ground = as_rgb(np.asarray(grey, np.uint8)).astype(np.float32) * 0.35
    # Peaks are a pixel wide and nearly all of the rest is below a tenth: widened and lifted, they can be seen.
    level = np.sqrt(np.clip(cv2.dilate(score_map, np.ones((3, 3), np.uint8)), 0.0, 1.0))
    heat = cv2.applyColorMap(np.rint(level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    weight = (level * opacity)[..., None]
    return np.asarray(np.rint(ground * (1 - weight) + heat * weight), np.uint8)


def draw_banner(image: Image, text: str, line: int = 0) -> Image:
    """One line of outlined text at the top left; ``line`` counts downwards."""
    canvas = as_rgb(image)
    scale = _text_scale(canvas)
    (width, height), baseline = cv2.getTextSize(text, _FONT, scale, 1)
    pad = round(10 * scale) + 2
    # Painted on a mask of its own: a thicker pen also widens the letters, so it cannot draw their outline.
    mask = np.zeros((height + baseline + 2 * pad, width + 2 * pad), np.uint8)
    cv2.putText(mask, text, (pad, pad + height), _FONT, scale, 255, 1, cv2.LINE_AA)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    outline = np.asarray(cv2.dilate(mask, brush), np.uint8)
    top = line * (height + baseline + pad)
    region = canvas[top : top + mask.shape[0], : mask.shape[1]]
    visible = (slice(0, region.shape[0]), slice(0, region.shape[1]))
    _blend(region, RIM, outline[visible])
    _blend(region, (255, 255, 255), mask[visible])
    return canvas


def draw_caption(image: Image, parts: Sequence[str]) -> Image:
    """Pieces of text at the top left, in as few lines as the width allows."""
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]}  {part}" if lines[-1] else part
        (width, _), _ = cv2.getTextSize(longer, _FONT, _text_scale(image), 1)
        if lines[-1] and width > image.shape[1] - _CAPTION_MARGIN_PX:
            lines.append(part)
        else:
            lines[-1] = longer
    canvas = image
    for number, line in enumerate(lines):
        canvas = draw_banner(canvas, line, number)
    return canvas


def _text_scale(image: Image) -> float:
    return float(max(0.45, min(image.shape[:2]) / 900))


def side_by_side(left: Image, right: Image) -> Image:
    """Two images of one height next to each other."""
    return np.hstack([as_rgb(left), as_rgb(right)])


def _match_colours(matches: Matches, min_similarity: float) -> tuple[NDArray[np.intp], list[Colour]]:
    """The order to draw matches in, the best last, and their colours in that order."""
    if matches.inliers is not None:
        order = np.argsort(matches.inliers, kind="stable")
        return order, [INLIER if inlier else OUTLIER for inlier in matches.inliers[order]]
    order = np.argsort(matches.similarities, kind="stable")
    span = max(1e-6, 1.0 - min_similarity)
    return order, _colours((matches.similarities[order] - min_similarity) / span)


def _colours(values: NDArray[np.floating]) -> list[Colour]:
    colours = palette()
    levels = np.rint(np.clip(values, 0.0, 1.0) * (len(colours) - 1)).astype(int)
    return [colours[level] for level in levels]


def _fixed_point(xy: NDArray[np.floating]) -> NDArray[np.int32]:
    return np.rint(np.asarray(xy, np.float64) * _UNIT).astype(np.int32)


def _dots(canvas: Image, xy: Float32Array, colours: Sequence[Colour], radius_px: float) -> None:
    radius, rim = round(radius_px * _UNIT), round((radius_px + 1.0) * _UNIT)
    for (x, y), colour in zip(_fixed_point(xy).tolist(), colours, strict=True):
        cv2.circle(canvas, (x, y), rim, RIM, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, (x, y), radius, colour, -1, cv2.LINE_AA, _SHIFT)


def _rings(canvas: Image, xy: Float32Array, colours: Sequence[Colour], radius_px: float) -> None:
    radius = round(radius_px * _UNIT)
    for (x, y), colour in zip(_fixed_point(xy).tolist(), colours, strict=True):
        cv2.circle(canvas, (x, y), radius, RIM, 3, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, (x, y), radius, colour, 1, cv2.LINE_AA, _SHIFT)


def _polylines(
    canvas: Image,
    lines: Sequence[Float32Array | None],
    colours: Sequence[Colour],
    *,
    opacity: float,
    rim: bool = False,
) -> None:
    """Open polylines that the image shines through.

    All of one colour are one call: a thousand single calls take several times longer.
    """
    by_colour: dict[Colour, list[NDArray[np.int32]]] = {}
    for line, colour in zip(lines, colours, strict=True):
        if line is not None and len(line) > 1:
            by_colour.setdefault(colour, []).append(_fixed_point(line))
    layer = canvas.copy()
    if rim:
        everything = [polyline for polylines in by_colour.values() for polyline in polylines]
        cv2.polylines(layer, everything, False, RIM, 3, cv2.LINE_AA, _SHIFT)
    for colour, polylines in by_colour.items():
        cv2.polylines(layer, polylines, False, colour, 1, cv2.LINE_AA, _SHIFT)
    cv2.addWeighted(layer, opacity, canvas, 1 - opacity, 0, dst=canvas)


def _blend(region: Image, colour: Colour, coverage: NDArray[np.uint8]) -> None:
    """Paints a colour over a region (H, W, 3) where the coverage (H, W) is 255, and partly where it is less."""
    weight = (coverage.astype(np.float32) / 255)[..., None]
    region[:] = np.rint(region * (1 - weight) + np.array(colour, np.float32) * weight).astype(np.uint8)
