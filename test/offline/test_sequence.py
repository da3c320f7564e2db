# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sequences from images to trajectories: simulated ones, and real frames of one camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aliked_ros.errors import CalibrationError, SourceError
from aliked_ros.frontend.baselines import ORB_TRACKING, orb_extractor
from aliked_ros.frontend.extractor import Extractor
from aliked_ros.io.frames import Frame, FrameSource
from aliked_ros.io.sources.opening import open_source
from aliked_ros.offline.plot import draw
from aliked_ros.offline.report import report_of
from aliked_ros.offline.sequence import SequenceRun, run_sequence
from aliked_ros.sim.config import SimulationConfig
from aliked_ros.sim.simulation import simulate
from aliked_ros.slam.config import ORB_ASSOCIATION, BackendConfig

SMALL = SimulationConfig(width=320, height=240, frames=24, rate_hz=10.0, depth_noise_m=0.0015)


class Recorded(FrameSource):
    """Frames that were rendered once, in front of a source's calibration."""

    def __init__(self, frames: list[Frame], source: FrameSource) -> None:
        self.name, self.camera, self.num_frames = source.name, source.camera, len(frames)
        self._frames = frames

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor.from_pretrained("aliked-t16", device="cpu", max_keypoints=500)


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    source = simulate(SMALL)
    return Recorded(list(source), source)


@pytest.fixture(scope="module")
def run(recorded: Recorded, extractor: Extractor) -> SequenceRun:
    return run_sequence(recorded, extractor, BackendConfig())


def test_a_simulated_sequence_with_depth(run: SequenceRun, tmp_path: Path) -> None:
    report = report_of(run, "desk", "aliked-t16")
    assert run.mode == "rgbd"
    assert report.localised == report.frames == 24
    assert report.lost == 0
    assert report.ate_alignment == "se3"
    assert report.ate_percent is not None
    assert report.ate_percent < 1.0
    assert report.keyframes >= 2
    draw(run, report, tmp_path / "slam.png")
    assert (tmp_path / "slam.png").read_bytes()[:4] == b"\x89PNG"


def test_the_trajectory_is_the_same_the_second_time(run: SequenceRun, recorded: Recorded, extractor: Extractor) -> None:
    again = run_sequence(recorded, extractor, BackendConfig())
    assert again.backend.trajectory().as_tum() == run.backend.trajectory().as_tum()


def test_the_error_is_that_of_evo(run: SequenceRun) -> None:
    from evo.core import metrics
    from evo.core.trajectory import PoseTrajectory3D

    estimate, truth = run.backend.trajectory(), run.truth
    theirs = [
        PoseTrajectory3D(one.positions_xyz, one.orientations_quat_wxyz, one.stamps_ns * 1e-9)
        for one in (estimate, truth)
    ]
    theirs[0].align(theirs[1])
    metric = metrics.APE(metrics.PoseRelation.translation_part)
    metric.process_data((theirs[1], theirs[0]))
    expected = metric.get_statistic(metrics.StatisticsType.rmse)
    assert report_of(run, "", "").ate_rmse_m == pytest.approx(expected, rel=1e-6)


def test_orb_goes_the_same_way(recorded: Recorded) -> None:
    config = BackendConfig(association=ORB_ASSOCIATION)
    run = run_sequence(recorded, orb_extractor(500), config, tracking=ORB_TRACKING)
    report = report_of(run, "desk", "orb")
    assert report.localised == 24
    assert report.ate_percent is not None
    assert report.ate_percent < 3.0


def test_a_blackout_is_a_loss_and_no_pose(recorded: Recorded, extractor: Extractor) -> None:
    black = simulate(SMALL.replace(blackout_start_s=1.0, blackout_s=1.0))
    frames = [*list(recorded)[:10], *(black.frame(index) for index in range(10, 20)), *list(recorded)[20:]]
    run = run_sequence(Recorded(frames, recorded), extractor, BackendConfig())
    report = report_of(run, "desk", "aliked-t16")
    assert report.lost == 10
    assert report.localised == 14
    assert report.relocalisations == 1
    assert all(outcome.pose_world_from_camera is None for outcome in run.outcomes[10:20])
    assert report.ate_percent is not None
    assert report.ate_percent < 1.0


def test_a_frame_without_depth_among_others_is_no_error(recorded: Recorded, extractor: Extractor) -> None:
    frames = list(recorded)[:8]
    frames[4] = dataclasses.replace(frames[4], depth_m=None)
    run = run_sequence(Recorded(frames, recorded), extractor, BackendConfig())
    assert report_of(run, "", "").localised == 8


def test_depth_may_begin_late(recorded: Recorded, extractor: Extractor) -> None:
    frames = list(recorded)[:8]
    for index in range(3):
        frames[index] = dataclasses.replace(frames[index], depth_m=None)
    run = run_sequence(Recorded(frames, recorded), extractor, BackendConfig())
    assert run.mode == "rgbd"
    assert report_of(run, "", "").localised == 5, "all from where there is depth, in metres"
    assert run_sequence(Recorded(frames[:3], recorded), extractor, BackendConfig()).mode == "mono"


def test_twenty_real_frames_of_one_camera(shared_directory: Path) -> None:
    with open_source(str(shared_directory / "data" / "tum_fr2_desk")) as source:
        run = run_sequence(source, Extractor.from_pretrained("aliked-n16", device="cpu"), BackendConfig())
    report = report_of(run, source.name, "aliked-n16")
    assert run.mode == "mono"
    assert report.localised == report.frames == 20
    assert report.ate_alignment == "sim3"
    assert report.ate_rmse_m is not None
    assert report.ate_rmse_m < 0.008


def test_what_a_sequence_needs_is_said(recorded: Recorded, extractor: Extractor) -> None:
    unknown = Recorded(list(recorded)[:1], recorded)
    unknown.camera = None
    with pytest.raises(CalibrationError, match="--calibration"):
        run_sequence(unknown, extractor, BackendConfig())
    flat = Recorded([dataclasses.replace(next(iter(recorded)), depth_m=None)], recorded)
    with pytest.raises(SourceError, match="use --mode mono"):
        run_sequence(flat, extractor, BackendConfig(), mode="rgbd")
    with pytest.raises(SourceError, match="has no frame"):
        run_sequence(Recorded([], recorded), extractor, BackendConfig())


def test_without_truth_there_is_no_error(recorded: Recorded, extractor: Extractor, tmp_path: Path) -> None:
    frames = [dataclasses.replace(frame, pose_world_from_camera=None) for frame in list(recorded)[:5]]
    run = run_sequence(Recorded(frames, recorded), extractor, BackendConfig())
    report = report_of(run, "desk", "aliked-t16")
    assert report.ate_rmse_m is None
    assert report.path_length_m is None
    assert report.localised == 5
    draw(run, report, tmp_path / "slam.png")
    assert (tmp_path / "slam.png").stat().st_size > 1000
    assert np.isfinite(run.backend.trajectory().positions_xyz).all()
