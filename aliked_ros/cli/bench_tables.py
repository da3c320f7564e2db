# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A benchmark's report as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aliked_ros.bench.report import Linearity, Measured, MemoryUse, ProfileRow, Report
from aliked_ros.bench.statistics import Spread
from aliked_ros.cli.report import number, table


def as_text(report: Report, machine: dict[str, Any], source: str) -> str:
    """Every part that was measured, under its heading, and what could not be measured."""
    settings = report.settings
    cpu = f"{machine['cpu']}, {machine['cores']} cores, {machine['instruction_set']}"
    sections = [f"{cpu}; {settings['threads']} threads, {settings['rounds']} rounds; {source}; {machine['date']}"]
    memory = {row.name: row for row in report.memory if (row.width, row.height) == _main_size(report)}
    sections += [_frames(report.frames, memory)] if report.frames else []
    sections += [_sweep("Cost against image area", report.area, report.linearity)] if report.area else []
    sections += [_sweep("Cost against keypoints", report.keypoints, {})] if report.keypoints else []
    sections += [_matching(report.matching)] if report.matching else []
    sections += [_memory(report.memory)] if report.memory else []
    sections += [_complexity(report)] if report.complexity else []
    sections += [_profile(report.profile)] if report.profile else []
    sections += [_absent(report)] if report.absent else []
    return "\n\n".join(sections)


def _main_size(report: Report) -> tuple[int, int] | None:
    return (report.frames[0].width, report.frames[0].height) if report.frames else None


def _frames(rows: Sequence[Measured], memory: dict[str, MemoryUse]) -> str:
    first = rows[0]
    header = ("", "ms", "quartiles", "/ SIFT", "quartiles", "kornia /", "features", "peak MB")
    body = [
        (
            row.name,
            number(row.time_ms.median),
            _quartiles(row.time_ms, 1),
            number(row.over_sift.median if row.over_sift else None, 2),
            _quartiles(row.over_sift, 2),
            number(row.under_kornia.median if row.under_kornia else None),
            number(row.features_mean, 0),
            number(memory[row.name].peak_mb if row.name in memory else None, 0),
        )
        for row in rows
    ]
    title = f"Whole frames, {first.width}×{first.height}, at most {first.max_keypoints} keypoints"
    return f"{title}\n{table(body, header)}"


def _sweep(title: str, rows: Sequence[Measured], linearity: dict[str, Linearity]) -> str:
    header = ("", "size", "keypoints", "ms", "quartiles", "/ SIFT", "ns / pixel")
    body = [
        (
            row.name,
            f"{row.width}×{row.height}",
            number(row.features_mean, 0),
            number(row.time_ms.median),
            _quartiles(row.time_ms, 1),
            number(row.over_sift.median if row.over_sift else None, 2),
            number(1e6 * row.time_ms.median / (row.width * row.height), 0),
        )
        for row in sorted(rows, key=lambda row: row.name)
    ]
    lines = [f"{title}, the strongest keypoints", table(body, header)]
    lines += [
        f"{name}: {line.constant_ms:.1f} ms + {line.per_megapixel_ms:.0f} ms per megapixel, within "
        f"{100 * line.from_line:.0f} %; a pixel's cost within {100 * line.from_proportional:.0f} % of its mean"
        for name, line in linearity.items()
    ]
    return "\n".join(lines)


def _matching(found: dict[str, Any]) -> str:
    ours, by_numpy, ratio = (found[name]["median"] for name in ("time_ms", "numpy_ms", "over_numpy"))
    title = f"Mutual nearest neighbours, {found['descriptors']} × {found['descriptors']}, D = {found['dim']}"
    return f"{title}\n{ours:.2f} ms; NumPy's product and two arg-max passes {by_numpy:.2f} ms; ratio {ratio:.2f}"


def _memory(rows: Sequence[MemoryUse]) -> str:
    header = ("", "size", "peak MB", "over torch's")
    body = [
        (row.name, f"{row.width}×{row.height}", number(row.peak_mb, 0), number(row.over_torch_mb, 0)) for row in rows
    ]
    return f"Peak memory of a process that extracts\n{table(body, header)}"


def _complexity(report: Report) -> str:
    header = ("", "parameters, M", "paper", "GMAC", "with resampling", "paper's GFLOPs")
    body = [
        (
            row.model,
            number(row.parameters / 1e6, 3),
            number(row.paper_parameters_millions, 3),
            number(row.products_giga, 2),
            number(row.with_resampling_giga, 2),
            number(row.paper_gflops, 2),
        )
        for row in report.complexity
    ]
    note = (
        "GMAC: multiply-adds of convolutions and matrix products; with resampling: interpolation, normalisation and\n"
        "pooling, too, as common counters have it (aliked_ros/bench/complexity.py). The paper's figures are for\n"
        "640×480 and 1000 keypoints."
    )
    return f"Complexity\n{table(body, header)}\n{note}"


def _profile(rows: Sequence[ProfileRow]) -> str:
    header = ("ms (%)", *rows[0].stages_ms, "whole")
    body = [
        (
            row.name,
            *(f"{value:.2f} ({100 * value / row.whole_ms:2.0f})" for value in row.stages_ms.values()),
            number(row.whole_ms, 2),
        )
        for row in rows
    ]
    return f"Where a frame's time goes\n{table(body, header)}"


def _absent(report: Report) -> str:
    lines = [f"{missing.name}: {missing.reason} -> {missing.remedy}" for missing in report.absent]
    return "\n".join(["Not measured", *lines])


def _quartiles(spread: Spread | None, decimals: int) -> str:
    if spread is None:
        return "-"
    return f"{spread.quartile_low:.{decimals}f}–{spread.quartile_high:.{decimals}f}"
