# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Several cameras, stereo matches, depth and calibrations from files, with real processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticArray
from node_harness import PERIOD_NS, START_NS, Station, has_stamp, parameter_arguments, running_tracker, wait_until
from qos_samples import repeat_until
from sensor_msgs.msg import Image

from aliked_msgs.msg import Features, Matches, TrackerStatus, Tracks
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.conversions import ns_from_time
from aliked_ros.ros.image_conversions import depth_message, image_message
from aliked_ros.transport import profiles_variable

pytestmark = pytest.mark.ros
PARAMETERS = Path(__file__).resolve().parents[2] / "config" / "tracker.yaml"
COMMON = {"model": "aliked-t16", "device": "cpu", "precision": "fp32", "process_every_frame": True, "warmup_width": 0}


def test_two_cameras_together_and_alone(tmp_path: Path, textured_image: np.ndarray) -> None:
    station = Station()
    try:
        for kind, topic in (
            (Features, "left/features"),
            (Features, "right/features"),
            (Matches, "matches"),
            (Matches, "left/matches"),
            (TrackerStatus, "left/status"),
        ):
            station.subscribe(kind, f"/tracker/{topic}", latched=kind is TrackerStatus)
        cameras = {name: station.publisher(Image, f"/{name}/image") for name in ("left", "right")}
        station.subscribe(TrackerStatus, "/tracker/right/status", latched=True)
        arguments = ["--params-file", str(PARAMETERS)]  # that file is for one camera and for several
        arguments += parameter_arguments(**COMMON, cameras="[left, right]", sync_timeout=5.0)
        with NodeProcess("aliked_ros.ros.tracker", arguments, tmp_path / "log"):
            station.wait_for("/tracker/right/status", lambda status: status.state == TrackerStatus.STATE_IDLE)
            station.wait_until_heard("/tracker", *cameras.values())
            shifted = np.roll(textured_image, -6, axis=1)
            for index in range(3):
                stamp_ns = START_NS + index * PERIOD_NS
                cameras["left"].publish(image_message(textured_image, stamp_ns, "left_optical"))
                cameras["right"].publish(image_message(shifted, stamp_ns + 1_000_000, "right_optical"))
            stamp_ns = START_NS + 2 * PERIOD_NS
            left = station.wait_for("/tracker/left/features", has_stamp(stamp_ns))
            right = station.wait_for("/tracker/right/features", has_stamp(stamp_ns + 1_000_000))
            matches = station.wait_for("/tracker/matches", has_stamp(stamp_ns))
            assert (left.source_id, right.source_id) == ("left", "right")
            assert (matches.source_id, matches.source_id_ref) == ("left", "right")
            assert ns_from_time(matches.stamp_ref) == stamp_ns + 1_000_000
            assert (matches.frame_seq, matches.frame_seq_ref) == (left.frame_seq, right.frame_seq) == (2, 2)
            xy, xy_ref = (np.frombuffer(a, np.float32).reshape(-1, 2) for a in (matches.xy, matches.xy_ref))
            assert len(xy) > 20
            assert np.median((xy - xy_ref)[:, 0]) == pytest.approx(6, abs=0.2), "the shift between the images"
            rows = np.frombuffer(matches.idx_ref, np.uint32)
            np.testing.assert_array_equal(np.frombuffer(right.xy, np.float32).reshape(-1, 2)[rows], xy_ref)
            # The right camera stops; the left goes on, and no stereo matches are made up. They would be published
            # before the next image is processed.
            for index in (3, 4):
                alone_ns = START_NS + index * PERIOD_NS
                cameras["left"].publish(image_message(textured_image, alone_ns, "left_optical"))
                assert station.wait_for("/tracker/left/features", has_stamp(alone_ns)).epoch == 0
            status = station.wait_for("/tracker/left/status", lambda status: status.processed == 5)
            assert (status.received, status.dropped, status.refused) == (5, 0, 0)
            station.wait_until_heard("/tracker", *cameras.values())  # what was under way has come
            assert max(ns_from_time(one.header.stamp) for one in station.messages("/tracker/matches")) == stamp_ns
    finally:
        station.close()


def test_depth_joins_the_features(tmp_path: Path, textured_image: np.ndarray) -> None:
    station = Station()
    height, width = textured_image.shape[:2]
    depth_m = np.linspace(0.5, 4.0, height * width, dtype=np.float32).reshape(height, width)
    depth_m[:, : width // 2] = np.nan
    try:
        for kind, topic in ((Features, "features"), (Tracks, "tracks")):
            station.subscribe(kind, f"/tracker/{topic}")
        station.subscribe(DiagnosticArray, "/diagnostics")
        images, depths = station.publisher(Image, "/image"), station.publisher(Image, "/depth")
        station.subscribe(TrackerStatus, "/tracker/status", latched=True)
        log = tmp_path / "log"
        arguments = parameter_arguments(**COMMON, depth=True, depth_timeout=5.0, calibration="fr2", source_id="rgbd")
        with NodeProcess("aliked_ros.ros.tracker", arguments, log):
            station.wait_for("/tracker/status", lambda status: status.state == TrackerStatus.STATE_IDLE)
            station.wait_until_heard("/tracker", images, depths)
            depths.publish(depth_message(depth_m, START_NS + 15_000_000, "camera", "16UC1"))
            images.publish(image_message(textured_image, START_NS, "camera"))
            features = station.wait_for("/tracker/features", has_stamp(START_NS))
            xy = np.rint(np.frombuffer(features.xy, np.float32).reshape(-1, 2)).astype(int)
            found = np.frombuffer(features.depth_m, np.float32)
            np.testing.assert_allclose(found, depth_m[xy[:, 1], xy[:, 0]], atol=6e-4)  # whole millimetres
            assert np.isnan(found).any()
            assert np.isfinite(found).any()
            tracks = station.wait_for("/tracker/tracks", has_stamp(START_NS))
            rows = np.frombuffer(tracks.feature_idx, np.uint32)
            np.testing.assert_array_equal(np.frombuffer(tracks.depth_m, np.float32), found[rows])
            # Depth of another size is refused, the image is not.
            late_ns = START_NS + PERIOD_NS * 10
            depths.publish(depth_message(depth_m[:-2], late_ns, "camera"))
            images.publish(image_message(textured_image, late_ns, "camera"))
            assert len(station.wait_for("/tracker/features", has_stamp(late_ns)).depth_m) == 0
            wait_until(lambda: "depth refused: it has" in log.read_text(), "the reason")
            # fr2 is calibrated for 640×480; other images get no wrong coordinates from it.
            assert len(tracks.xy_norm) == 0
            wait_until(lambda: "the calibration is for 640×480" in log.read_text(), "the reason")
            array = station.wait_for("/diagnostics", lambda m: values_of(m).get("without_depth") == "1")
            assert values_of(array)["calibration"] == "fr2: 640×480, plumb_bob"
            assert "the calibration is for 640×480 pixels and not used" in array.status[0].message
    finally:
        station.close()


def values_of(array: DiagnosticArray) -> dict[str, str]:
    return {pair.key: pair.value for pair in array.status[0].values}


def test_images_larger_than_the_transport_are_told_of(tmp_path: Path) -> None:
    profile = tmp_path / "small.xml"
    profile.write_text(config_text("fastdds/one_machine.xml").replace("16777216", str(4 * 1024 * 1024)))
    environment = {profiles_variable(os.environ): str(profile)}
    image = np.zeros((1100, 1300, 3), np.uint8)
    with running_tracker(tmp_path, environment=environment, warmup_width=0) as tracker:
        repeat_until(
            lambda: tracker.send_image(image),
            lambda: any(
                "images of 4.3 MB do not fit the 4.2 MB of shared memory" in array.status[0].message
                for array in tracker.station.messages("/diagnostics")
            ),
            "the warning",
        )


def config_text(name: str) -> str:
    return (Path(__file__).resolve().parents[2] / "config" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cameras": "[left, left]"}, "cameras must have different names"),
        ({"cameras": "[left/right]"}, "got 'left/right'"),
        ({"cameras": "[tracking]"}, "got 'tracking'"),
        ({"cameras": "left"}, "cameras must be a list of strings"),
        ({"cameras": "[left, right]", "middle__calibration": "fr1"}, "unknown parameter middle.calibration"),
        ({"calibration": "fr1", "rectified": True}, "calibration fr1 has distortion"),
        ({"calibration": "/no/such.yaml"}, "/no/such.yaml"),
        (
            # The left camera's own values go before; the right one's contradict each other.
            {
                "cameras": "[left, right]",
                "rectified": True,
                "left__rectified": False,
                "left__calibration": "fr2",
                "mask": "/no/mask.png",
                "left__mask": "''",
                "right__calibration": "fr1",
            },
            "calibration fr1 has distortion",
        ),
        (
            {"cameras": "[left, right]", "mask": "/no/mask.png", "left__mask": "''", "right__mask": "/other/mask.png"},
            "/other/mask.png",
        ),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else None,
)
def test_contradictions_are_refused_at_the_start(parameters: dict[str, Any], message: str) -> None:
    from node_harness import run_node

    done = run_node("aliked_ros.ros.tracker", parameter_arguments(**{**COMMON, **parameters}))
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "[FATAL]" in line]
    assert message in line
    assert "Traceback" not in done.stderr
