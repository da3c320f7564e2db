# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros slam``: the reference backend on a sequence; trajectory, map and figures come out."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from aliked_ros.cli.options import add_config_options, add_option, config_from
from aliked_ros.cli.report import number, properties
from aliked_ros.errors import AlikedError, ConfigError

if TYPE_CHECKING:
    from aliked_ros.frontend.config import TrackingConfig
    from aliked_ros.frontend.extractor import Extractor
    from aliked_ros.io.frames import FrameSource
    from aliked_ros.offline.report import SlamReport
    from aliked_ros.offline.sequence import SequenceRun
    from aliked_ros.slam.config import BackendConfig

SUMMARY = "run the reference SLAM backend on a sequence"
REPORT, TRAJECTORY, PICTURE = "slam.json", "trajectory.tum", "slam.png"
_SIMULATED = {"scene": "loop", "frames": 300, "shutter_s": 0.03, "depth_noise_m": 0.0015}
_SIMULATION_OPTIONS = (
    "scene", "frames", "rate_hz", "seed", "width", "height", "noise_sigma", "shutter_s", "depth_noise_m",
    "baseline_m", "blackout_start_s", "blackout_s",
)  # fmt: skip
_DESCRIPTION = f"""{SUMMARY[0].upper()}{SUMMARY[1:]}. Writes {REPORT}, {TRAJECTORY} and {PICTURE} into the output
folder. Where one of the first frames has depth or a second camera's image, the trajectory is in metres; otherwise it is
up to scale, and is aligned to the ground truth with a scale. No frame is dropped, and the same input gives the same
trajectory bit for bit."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``slam``."""
    from aliked_ros.frontend.config import ExtractorConfig
    from aliked_ros.offline.config import SequenceConfig
    from aliked_ros.sim.config import SimulationConfig

    parser = subparsers.add_parser("slam", help=SUMMARY, description=_DESCRIPTION)
    parser.add_argument(
        "input",
        nargs="?",
        default="",
        help="a TUM, KITTI odometry or EuRoC directory, a bag, a video, or a folder of images; simulated when left out",
    )
    parser.add_argument("--output", type=Path, default=Path("out"), metavar="DIR", help="for the results [out]")
    add_config_options(parser, SequenceConfig)
    parser.add_argument(
        "--calibration",
        default="",
        help="fr1, fr2, fr3 or a camera_info YAML file; of one camera, so a second one is not used",
    )
    parser.add_argument("--loop-closure", action=argparse.BooleanOptionalAction, default=True, help="close loops [yes]")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="GROUP.NAME=VALUE",
        help="an option of the backend (docs/parameters.md), as keyframe.max_motion=0.2; repeatable",
    )
    add_option(parser, "start_s", type=float, default=0.0, metavar="S", help="seconds to skip [0]")
    add_option(parser, "duration_s", type=float, default=None, metavar="S", help="seconds to process [to the end]")
    add_option(parser, "image_topic", default=None, metavar="TOPIC", help="which images of a bag [its only ones]")
    rate_help = "of a folder without times [30]"
    add_option(parser, "frame_rate", type=float, default=None, metavar="HZ", help=rate_help)
    add_option(parser, "no_plot", action="store_true", help=f"no {PICTURE}; matplotlib is not needed then")
    add_config_options(parser, ExtractorConfig, ("model", "device", "precision", "max_keypoints", "offline"))
    simulation = parser.add_argument_group("simulated sequences")
    add_config_options(simulation, SimulationConfig, _SIMULATION_OPTIONS, _SIMULATED)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Processes the sequence, prints the figures, and writes the files."""
    if find_spec("gtsam") is None:
        raise AlikedError("the backend needs gtsam; run `pip install -r requirements/slam.txt`")
    from aliked_ros.io.folders import make_output_folder
    from aliked_ros.io.outputs import written_whole
    from aliked_ros.offline.plot import draw, require_matplotlib
    from aliked_ros.offline.report import report_of

    config = backend_config(args)
    if not args.no_plot:
        require_matplotlib()
    with _source(args) as source:
        output = make_output_folder(args.output)
        for name in (REPORT, TRAJECTORY, PICTURE):
            (output / name).unlink(missing_ok=True)  # what an earlier run left is no result of this one
        extractor, tracking = _features(args)
        result = _process(source, extractor, tracking, config, args.mode)
        report = report_of(result, source.name, extractor.info.model)
    result.trajectory().write_tum(output / TRAJECTORY)
    with written_whole(output / REPORT, force=True) as path:
        path.write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
    if not args.no_plot:
        with written_whole(output / PICTURE, force=True) as path:
            draw(result, report, path)
    print(_summary(report))
    print(f"written: {', '.join(str(output / name) for name in _written(args))}")
    if result.error is not None:
        count = result.num_frames
        print(f"what is above is of the {count} frames before an error", file=sys.stderr)
        raise result.error
    if report.localised == 0:
        raise AlikedError(_nothing_localised(report, config))
    return 0


def backend_config(args: argparse.Namespace) -> BackendConfig:
    """The backend's configuration that the arguments say.

    Raises:
        ConfigError: there is no such option, or a value is out of range.
    """
    from aliked_ros.slam.config import ORB_ASSOCIATION, AssociationConfig, BackendConfig, PlaceConfig, with_values

    values = {}
    for text in args.set:
        path, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set takes GROUP.NAME=VALUE, got {text!r}")
        values[path.strip()] = value.strip()
    if "sensor.mode" in values:
        raise ConfigError("--set sensor.mode says nothing here; choose with --mode")
    association = ORB_ASSOCIATION if args.features == "orb" else AssociationConfig()
    base = BackendConfig(association=association, place=PlaceConfig(loop_closure=args.loop_closure))
    return with_values(base, values)


def _source(args: argparse.Namespace) -> FrameSource:
    from aliked_ros.io.calibration import camera_named
    from aliked_ros.io.sources.folder import DEFAULT_FRAME_RATE_HZ
    from aliked_ros.io.sources.opening import open_source
    from aliked_ros.sim.config import SimulationConfig
    from aliked_ros.sim.simulation import simulate

    if not args.input:
        return simulate(config_from(SimulationConfig, args))
    if args.calibration and args.mode == "stereo":
        raise ConfigError(
            "--mode stereo takes the calibration of both cameras from the data set; leave --calibration out"
        )
    opened = functools.partial(
        open_source,
        args.input,
        start_s=args.start_s,
        duration_s=args.duration_s,
        camera=camera_named(args.calibration) if args.calibration else None,
        image_topic=args.image_topic,
        frame_rate_hz=DEFAULT_FRAME_RATE_HZ if args.frame_rate is None else args.frame_rate,
    )
    if args.mode != "auto":
        return opened(stereo=args.mode == "stereo")
    try:
        return opened(stereo=True)
    except AlikedError as error:
        source = opened()  # raises what is wrong with the first camera
        print(f"the second camera is not used: {error}", file=sys.stderr)
        return source


def _features(args: argparse.Namespace) -> tuple[Extractor, TrackingConfig]:
    from aliked_ros.frontend.baselines import ORB_TRACKING, orb_extractor
    from aliked_ros.frontend.config import ExtractorConfig, TrackingConfig
    from aliked_ros.frontend.extractor import Extractor

    if args.features == "orb":
        extractor, tracking, refinement = orb_extractor(args.max_keypoints), ORB_TRACKING, "none"
    else:
        extractor = Extractor.from_config(config_from(ExtractorConfig, args))
        tracking, refinement = TrackingConfig(), "photometric"
    return extractor, tracking.replace(refinement=refinement if args.refinement == "auto" else args.refinement)


def _process(
    source: FrameSource, extractor: Extractor, tracking: TrackingConfig, config: BackendConfig, mode: str
) -> SequenceRun:
    from tqdm import tqdm

    from aliked_ros.offline.sequence import run_sequence

    with tqdm(total=source.num_frames, unit="frame", disable=None) as progress:

        def tell(text: str) -> None:
            progress.set_postfix_str(text)
            progress.update()

        return run_sequence(source, extractor, config, mode=mode, tracking=tracking, progress=tell)


def _summary(report: SlamReport) -> str:
    error = "no ground truth" if report.path_length_m is None else "too few poses to compare"
    if report.ate_rmse_m is not None:
        share = "" if report.ate_percent is None else f", {report.ate_percent:.2f} % of {report.path_length_m:.2f} m"
        error = f"{1e3 * report.ate_rmse_m:.1f} mm{share} ({report.ate_alignment})"
    return properties(
        {
            "sequence": f"{report.sequence} ({report.mode}, {report.model})",
            "frames localised": f"{report.localised} of {report.frames}; lost in {report.lost}",
            "ATE, RMSE": error,
            "map": f"{report.keyframes} keyframes, {report.landmarks} landmarks",
            "loop closures": f"{report.loop_closures}; {report.relocalisations} relocalisations",
            "time per frame": f"front-end {number(report.frontend_ms)} ms, backend {number(report.backend_ms)} ms",
        }
    )


def _nothing_localised(report: SlamReport, config: BackendConfig) -> str:
    from aliked_ros.slam.backend import needs_of_a_map

    needs = needs_of_a_map(dataclasses.replace(config, sensor=config.sensor.replace(mode=report.mode)))
    hint = "; are the images rectified, and is the first camera the left one?" if report.mode == "stereo" else ""
    return (
        f"{report.sequence}: no frame was localised; the map begins with {needs}; look at the images and at --set{hint}"
    )


def _written(args: argparse.Namespace) -> tuple[str, ...]:
    return (REPORT, TRAJECTORY) if args.no_plot else (REPORT, TRAJECTORY, PICTURE)
