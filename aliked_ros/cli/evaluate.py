# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""``aliked-ros eval``: benchmarks against ground truth."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aliked_ros.cli.options import add_config_options, config_from

if TYPE_CHECKING:
    from aliked_ros.evaluation.report import Report

SUMMARY = "evaluate trajectories, homographies, poses, features, tracks and refinement against ground truth"
_EXAMPLES = """\
examples:
  aliked-ros eval trajectory out/trajectory.tum rgbd_dataset_freiburg2_desk --alignment sim3
  aliked-ros eval trajectory est.tum poses/00.txt --times sequences/00/times.txt --rpe_unit m --rpe_delta 100
  aliked-ros eval homographies hpatches-sequences-release --method aliked-n16 --method sift
  aliked-ros eval poses scannet_test_pairs_with_gt.txt scannet_test_1500 --longest 640
  aliked-ros eval features                # a simulated sequence: nothing to download
  aliked-ros eval tracks --frames 120
  aliked-ros eval refinement path/to/any/images

Each writes results.json, results.md and figure.png into the folder --output. docs/evaluation.md explains the numbers.
"""
_REAL_DEFAULT_FRAMES = 5


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``eval`` with its benchmarks."""
    parser = subparsers.add_parser(
        "eval",
        help=SUMMARY,
        description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    benchmarks = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", dest="benchmark", required=True)
    _add_trajectory(benchmarks)
    _add_homographies(benchmarks)
    _add_poses(benchmarks)
    _add_sequences(benchmarks)
    _add_refinement(benchmarks)


def _add(benchmarks: Any, name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = benchmarks.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}."
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out", f"eval_{name}"), help=f"folder to make [out/eval_{name}]"
    )
    parser.add_argument("--force", action="store_true", help="write into the folder where it exists")
    parser.add_argument("--no-figures", dest="figures", action="store_false", help="leave figure.png out")
    parser.set_defaults(run=functools.partial(_run, run))
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _add_methods(parser: argparse.ArgumentParser, also: Sequence[str] = ()) -> None:
    from aliked_ros.evaluation.config import DEFAULT_DETECTORS, DETECTORS, DetectorConfig

    names, default = (*DETECTORS, *also), (*DEFAULT_DETECTORS, *also)
    parser.add_argument(
        "--method",
        action="append",
        choices=names,
        metavar="NAME",
        help=f"of {', '.join(names)}; may be repeated [{', '.join(default)}]",
    )
    parser.set_defaults(default_methods=default)
    add_config_options(parser, DetectorConfig)


def _add_trajectory(benchmarks: Any) -> None:
    from aliked_ros.evaluation.trajectory import TrajectoryConfig

    parser = _add(benchmarks, "trajectory", "absolute and relative errors of a trajectory, by evo", run_trajectory)
    parser.add_argument("estimate", type=Path, help="TUM's format: stamp x y z qx qy qz qw")
    parser.add_argument(
        "ground_truth",
        type=Path,
        help="a TUM file or directory, KITTI's poses/NN.txt or sequences/NN, EuRoC's data.csv or directory, or a bag",
    )
    parser.add_argument("--times", type=Path, help="KITTI's times.txt [../sequences/NN/times.txt]")
    add_config_options(parser, TrajectoryConfig)


def _add_homographies(benchmarks: Any) -> None:
    parser = _add(
        benchmarks, "homographies", "matching accuracy and homographies in HPatches' layout", run_homographies
    )
    parser.add_argument("folder", type=Path, help="holds i_* and v_* folders with 1.ppm to 6.ppm and H_1_2 to H_1_6")
    _add_methods(parser)


def _add_poses(benchmarks: Any) -> None:
    parser = _add(benchmarks, "poses", "relative poses of pairs listed as SuperGlue publishes them", run_poses)
    parser.add_argument("pairs", type=Path, help="two names, two rotations, K0, K1 and T_0to1 on each line")
    parser.add_argument("images", type=Path, help="the folder that the names are below")
    parser.add_argument(
        "--longest", type=int, default=0, metavar="PX", help="scale images down to this longer side; 0 leaves them [0]"
    )
    _add_methods(parser)


def _add_sequences(benchmarks: Any) -> None:
    from aliked_ros.evaluation.config import CONDITIONS, KLT, OURS_FOLLOWED, OURS_REFINED

    for name, text, run, also in (
        ("features", "repeatability, matches and localisation error by exact depth and poses", run_features,
         (OURS_REFINED,)),
        ("tracks", "length, survival and drift of tracks by exact depth and poses", run_tracks,
         (OURS_REFINED, OURS_FOLLOWED, KLT)),
    ):  # fmt: skip
        parser = _add(benchmarks, name, text, run)
        parser.add_argument(
            "--sequence", type=Path, help="a TUM RGB-D directory or bag with exact depth and poses [simulated]"
        )
        parser.add_argument(
            "--condition", action="append", choices=CONDITIONS, help="of the simulation; may be repeated [all]"
        )
        parser.add_argument("--frames", type=_positive, default=60, help="most frames [60]")
        _add_methods(parser, also)


def _add_refinement(benchmarks: Any) -> None:
    text = "what sub-pixel refinement gains on real images under known homographies"
    parser = _add(benchmarks, "refinement", text, run_refinement)
    parser.add_argument("source", help="a folder, TUM directory, bag or video; some of its frames are taken")
    parser.add_argument(
        "--frames", type=_positive, default=_REAL_DEFAULT_FRAMES, help=f"frames, evenly spread [{_REAL_DEFAULT_FRAMES}]"
    )
    _add_methods(parser)


def _run(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Runs a benchmark whose results can be written; that is found out before it takes its time."""
    from aliked_ros.errors import SourceError
    from aliked_ros.evaluation.report import require_figures

    if args.output.exists() and not args.force:
        raise SourceError(f"{args.output} exists; choose another --output, or write into it with --force")
    if args.figures:
        require_figures()
    return run(args)


def run_trajectory(args: argparse.Namespace) -> int:
    """Compares a trajectory with its ground truth."""
    from aliked_ros.evaluation import trajectory

    config = config_from(trajectory.TrajectoryConfig, args)
    truth = trajectory.read_ground_truth(args.ground_truth, args.times)
    return _finish(args, trajectory.evaluate(truth, trajectory.read_estimate(args.estimate), config))


def run_homographies(args: argparse.Namespace) -> int:
    """Evaluates every method on every scene."""
    from aliked_ros.evaluation import homographies

    scenes = homographies.read_scenes(args.folder)
    results = _for_each_method(
        args, len(scenes), lambda detector, done: homographies.evaluate(scenes, detector, detector.min_similarity, done)
    )
    return _finish(args, homographies.report(results, {"data": args.folder.name, **_limits(args)}))


def run_poses(args: argparse.Namespace) -> int:
    """Evaluates every method on every pair."""
    from aliked_ros.evaluation import poses

    pairs = poses.read_pairs(args.pairs, args.images)
    results = _for_each_method(
        args,
        len(pairs),
        lambda detector, done: poses.evaluate(
            pairs, args.images, detector, detector.min_similarity, done, args.longest
        ),
    )
    settings = {"data": args.pairs.name, "longer side": args.longest or "as it is", **_limits(args)}
    return _finish(args, poses.report(results, settings))


def run_features(args: argparse.Namespace) -> int:
    """Evaluates every method on every sequence."""
    from aliked_ros.evaluation import features

    results = {}
    for sequence in _sequences(args):
        gaps = tuple(gap for gap in features.GAPS if gap < len(sequence.frames))

        def evaluate(detector: Any, done: Any, sequence: Any = sequence, gaps: Any = gaps) -> Any:
            refine = detector.refinement != "none"
            return features.evaluate(sequence, detector, detector.min_similarity, done, gaps=gaps, refine=refine)

        results[sequence.name] = _for_each_method(args, len(sequence.frames), evaluate)
    return _finish(args, features.report(results, _limits(args)))


def run_tracks(args: argparse.Namespace) -> int:
    """Evaluates every tracker on every sequence."""
    from aliked_ros.evaluation import tracks

    results = {}
    for sequence in _sequences(args):

        def evaluate(detector: Any, done: Any, sequence: Any = sequence) -> Any:
            return tracks.evaluate(sequence, detector.tracker(), done)

        results[sequence.name] = _for_each_method(args, len(sequence.frames), evaluate)
    return _finish(args, tracks.report(results, _limits(args)))


def run_refinement(args: argparse.Namespace) -> int:
    """Evaluates refinement with every method's features."""
    import numpy as np

    from aliked_ros.evaluation import refinement
    from aliked_ros.evaluation.report import Report
    from aliked_ros.evaluation.warping import CONDITIONS
    from aliked_ros.io.drawing import as_rgb
    from aliked_ros.io.sources.opening import open_source

    with open_source(args.source) as source:
        read = [as_rgb(frame.image) for frame in source]
    chosen = np.unique(np.linspace(0, len(read) - 1, args.frames).round().astype(int))
    frames = [read[index] for index in chosen]
    costs = {}

    def evaluate(detector: Any, done: Any) -> Any:
        errors = refinement.evaluate(frames, detector, done)
        milliseconds, count = refinement.cost_ms(frames, detector)
        costs[detector.name] = f"{milliseconds:.2f} ms for {count} points"
        return errors

    results = _for_each_method(args, len(frames) * len(CONDITIONS), evaluate)
    settings = {"data": Path(args.source).resolve().name, "frames": len(frames), **_limits(args)}
    parts = {name: refinement.report(errors, settings) for name, errors in results.items()}
    settings |= {f"cost, {name}": cost for name, cost in costs.items()}
    tables = tuple(_titled(part.tables[0], name) for name, part in parts.items())
    charts = tuple(_titled(part.charts[0], name) for name, part in parts.items())
    found = {name: part.results for name, part in parts.items()}
    return _finish(args, Report("Sub-pixel refinement", settings, found, tables, charts))


def _titled(table: Any, name: str) -> Any:
    return dataclasses.replace(table, title=f"{name}: {table.title[0].lower()}{table.title[1:]}")


def _sequences(args: argparse.Namespace) -> list[Any]:
    from tqdm import tqdm

    from aliked_ros.evaluation import sequences
    from aliked_ros.evaluation.config import CONDITIONS

    if args.sequence:
        return [sequences.read(args.sequence, args.frames)]
    conditions = args.condition or CONDITIONS
    with tqdm(total=args.frames * len(conditions), unit="frame", desc="rendering", disable=None) as progress:
        return [sequences.simulated(condition, args.frames, progress.update) for condition in conditions]


def _for_each_method(args: argparse.Namespace, steps: int, evaluate: Callable[[Any, Callable[[], object]], Any]) -> Any:
    from tqdm import tqdm

    from aliked_ros.bench.candidates import PeerMissingError
    from aliked_ros.evaluation.config import DetectorConfig
    from aliked_ros.evaluation.methods import Method

    results, config = {}, config_from(DetectorConfig, args)
    for name in args.method or args.default_methods:
        try:
            method = Method(name, config)
        except PeerMissingError as error:
            if args.method:
                raise
            print(f"left out: {error}", file=sys.stderr)
            continue
        with tqdm(total=steps, desc=name, disable=None) as progress:
            results[name] = evaluate(method, progress.update)
    return results


def _limits(args: argparse.Namespace) -> dict[str, object]:
    return {"most keypoints": args.max_keypoints}


def _finish(args: argparse.Namespace, report: Report) -> int:
    from aliked_ros.evaluation.report import write

    write(report, args.output, force=args.force, figures=args.figures)
    print(report.markdown())
    print(f"written to {args.output}")
    return 0
