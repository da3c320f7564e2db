# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The node's matchers, masks and cells, with real processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from node_harness import PERIOD_NS, START_NS, Station, has_stamp, parameter_arguments, run_node, running_tracker
from sensor_msgs.msg import Image

from aliked_msgs.msg import Features, Matches, TrackerStatus
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.image_conversions import image_message

pytestmark = pytest.mark.ros
COMMON = {"model": "aliked-t16", "device": "cpu", "precision": "fp32", "warmup_width": 0}
GLUE = {**COMMON, "model": "aliked-n16", "tracking__matcher": "lightglue", "max_keypoints": 100}


def points(message: Any) -> np.ndarray:
    return np.frombuffer(message.xy, np.float32).reshape(-1, 2)


def test_a_mask_and_a_grid(tmp_path: Path, textured_image: np.ndarray) -> None:
    file = tmp_path / "mask.png"
    pixels = np.full((240, 320), 255, np.uint8)
    pixels[120:] = 0
    cv2.imwrite(str(file), pixels)
    with running_tracker(tmp_path, mask=file, score_threshold=0.0, max_keypoints=200) as tracker:
        features = tracker.track(textured_image)
        assert features.num_features == 200
        assert points(features)[:, 1].max() < 119.5
        changes = {"selection__max_per_cell": 1, "selection__grid_rows": 2, "selection__grid_columns": 4}
        assert tracker.station.set_parameters("/tracker", **changes).successful
        assert tracker.track(textured_image).num_features == 4, "one in each cell of the upper half"
        refusal = tracker.station.set_parameters("/tracker", selection__grid_rows=0)
        assert not refusal.successful
        # Another size does not fit the file.
        tracker.send_image(textured_image[:200])
        tracker.status(lambda status: status.refused == 1)
        assert "image refused: the mask has 320×240 pixels and the image 320×200" in tracker.log_text()


def test_stereo_by_lightglue_with_a_mask_for_one(tmp_path: Path, textured_image: np.ndarray) -> None:
    pytest.importorskip("kornia", reason="kornia is not installed")
    station = Station()
    try:
        for kind, topic in ((Features, "right/features"), (Matches, "matches"), (Matches, "left/matches")):
            station.subscribe(kind, f"/tracker/{topic}")
        station.subscribe(TrackerStatus, "/tracker/right/status", latched=True)
        cameras = {name: station.publisher(Image, f"/{name}/image") for name in ("left", "right")}
        choices = {"cameras": "[left, right]", "sync_timeout": 5.0, "process_every_frame": True}
        arguments = parameter_arguments(**GLUE, **choices, right__mask="-1,-1 100,-1 100,300 -1,300")
        log = tmp_path / "log"
        with NodeProcess("aliked_ros.ros.tracker", arguments, log):
            station.wait_for("/tracker/right/status", lambda status: status.state == TrackerStatus.STATE_IDLE)
            station.wait_until_heard("/tracker", *cameras.values())
            shifted = np.roll(textured_image, -6, axis=1)
            stamps = [START_NS, START_NS + PERIOD_NS]
            for stamp_ns in stamps:
                cameras["left"].publish(image_message(textured_image, stamp_ns, "left"))
                cameras["right"].publish(image_message(shifted, stamp_ns, "right"))
            found = {
                topic: station.wait_for(f"/tracker/{topic}", has_stamp(stamps[1]))
                for topic in ("right/features", "matches", "left/matches")
            }
        assert points(found["right/features"])[:, 0].min() > 99
        for topic in ("matches", "left/matches"):
            assert found[topic].matcher == "lightglue"
            assert found[topic].num_matches > 10
            scores = np.frombuffer(found[topic].scores, np.float32)
            assert 0.1 <= scores.min() <= scores.max() <= 1
        stereo = found["matches"]
        disparity = points(stereo)[:, 0] - np.frombuffer(stereo.xy_ref, np.float32).reshape(-1, 2)[:, 0]
        assert np.median(disparity) == pytest.approx(6, abs=0.5)
        assert "Traceback" not in log.read_text()
    finally:
        station.close()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tracking__matcher": "lightglue"}, "choose model aliked-n16, or matcher mutual_nearest_neighbours"),
        ({"tracking__matcher": "superglue"}, "matcher must be one of mutual_nearest_neighbours, lightglue"),
        ({"mask": "/no/such/mask.png"}, "/no/such/mask.png"),
        ({"mask": "0,0 5,5"}, "a polygon has at least three corners, got 2"),
        ({"cameras": "[left, selection]"}, "got 'selection'"),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else None,
)
def test_what_cannot_be_is_refused(parameters: dict[str, Any], message: str) -> None:
    assert message in refusal({**COMMON, **parameters})


def test_without_kornia_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "kornia").mkdir()
    (tmp_path / "kornia" / "__init__.py").write_text("raise ImportError('broken on purpose')\n")
    line = refusal(GLUE, tmp_path)
    assert "lightglue needs kornia, which cannot be imported (broken on purpose); pip install kornia" in line


def test_damaged_weights_of_the_matcher_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kornia", reason="kornia is not installed")
    (tmp_path / "aliked_lightglue.pth").write_bytes(b"damaged")
    monkeypatch.setenv("ALIKED_WEIGHTS_DIR", str(tmp_path))
    assert f"{tmp_path}/aliked_lightglue.pth: SHA-256 " in refusal(GLUE)


def refusal(parameters: dict[str, Any], first_path: Path | None = None) -> str:
    """The one line with which the tracker refuses to start."""
    paths = [str(first_path)] if first_path else []
    path = os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])
    done = run_node("aliked_ros.ros.tracker", parameter_arguments(**parameters), PYTHONPATH=path)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "[FATAL]" in line]
    assert "Traceback" not in done.stderr
    return line
