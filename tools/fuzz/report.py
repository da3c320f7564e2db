# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a campaign found, for people and for programs."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tools.fuzz.campaign import Find, Findings, growth_mb
from tools.fuzz.config import FAMILIES, FuzzConfig
from tools.fuzz.outcome import ACCEPTED, UNDECODABLE

_CASES_BEFORE = 500


def as_dict(config: FuzzConfig, findings: Findings) -> dict[str, Any]:
    """Everything, for the JSON file."""
    return {
        "options": asdict(config),
        "seconds": findings.seconds,
        "cases": findings.cases,
        "outcomes": [
            {"family": family, "kind": kind, "outcome": outcome, "count": count}
            for (family, kind, outcome), count in sorted(findings.outcomes.items())
        ],
        "resident_mb": findings.resident_mb,
        "growth_mb": [growth_mb(series) for series in findings.resident_mb],
        "finds": [asdict(find) for find in findings.finds],
    }


def as_table(findings: Findings) -> str:
    """A row for each kind of message or file, then the memory and the finds."""
    kinds = sorted({(family, kind) for family, kind, _ in findings.outcomes})
    lines = [f"{'kind':<24} {'cases':>9} {'accepted':>9} {'refused':>9} {'not decodable':>14}"]
    for family, kind in kinds:
        counts = {out: n for (f, k, out), n in findings.outcomes.items() if (f, k) == (family, kind)}
        accepted, broken = counts.get(ACCEPTED, 0), counts.get(UNDECODABLE, 0)
        refused = sum(n for out, n in counts.items() if out not in (ACCEPTED, UNDECODABLE, "find"))
        lines.append(f"{kind:<24} {sum(counts.values()):>9} {accepted:>9} {refused:>9} {broken:>14}")
    grown = ", ".join(f"{growth_mb(series):+.1f}" for series in findings.resident_mb)
    lines.append(f"{findings.cases} cases in {findings.seconds:.0f} s; memory after the warm-up: {grown} MB")
    lines += [f"FIND {find.family} {find.index}: {find.what}" for find in findings.finds] or ["nothing was found"]
    return "\n".join(lines)


def commands_of(config: FuzzConfig, find: Find) -> list[str]:
    """What runs this case again: alone, and after the cases before it, whose traces it may need."""
    seed = f"python -m tools.fuzz --seed {config.seed}"
    if find.family not in FAMILIES:  # of the whole campaign
        counts = " ".join(f"--{family} {config.count(family)}" for family in FAMILIES)
        return [f"{seed} {counts} --first {config.first}"]
    before = max(0, find.index - _CASES_BEFORE)
    only = f"{seed} --only {find.family} --{find.family}"
    return [f"{only} 1 --first {find.index}", f"{only} {find.index - before + 1} --first {before}"]


def write_finds(config: FuzzConfig, findings: Findings, folder: Path) -> list[Path]:
    """A file for each find, with how to repeat it; what an earlier campaign found is no find of this one."""
    shutil.rmtree(folder, ignore_errors=True)
    if findings.finds:
        folder.mkdir(parents=True)
    paths: list[Path] = []
    for find in findings.finds:
        path = folder / f"{len(paths)}_{find.family}_{config.seed}_{find.index}.json"
        content = {**asdict(find), "repeat": commands_of(config, find)}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        paths.append(path)
    return paths
