# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""A short run of the tracker at full load, and what makes the load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from image_samples import make_textured_image
from sensor_msgs.msg import Image

from aliked_ros.errors import AlikedError
from aliked_ros.io.images import write_image
from aliked_ros.io.messages.stamps import require_valid
from aliked_ros.ros.image_conversions import image_view
from aliked_ros.ros.soak import parse
from aliked_ros.ros.soak_load import Governor, Reel

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that moves to the left."""
    folder = tmp_path_factory.mktemp("frames")
    wide = make_textured_image(240, 360)
    for index in range(10):
        write_image(folder / f"{index:02}.png", wide[:, 4 * index : 4 * index + 320])
    return folder


@pytest.mark.parametrize("cameras", [1, 2])
def test_a_short_run_at_full_load_passes(frames: Path, tmp_path: Path, cameras: int) -> None:
    command = [sys.executable, "-m", "aliked_ros.ros.soak", str(frames), "--seconds", "10", "--model", "aliked-t16"]
    command += ["--output", str(tmp_path), "--bad", "0.2", "--resets", "3", "--cameras", str(cameras), "--no-picture"]
    # What a minute of other programs' work does to a dozen windows is no matter of this test.
    command += ["--growth", "20", "-p", "device:=cpu", "-p", "max_keypoints:=200"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    report = json.loads((tmp_path / "soak.json").read_text())
    unsteady = {check["name"] for check in report["checks"] if not check["passed"]}
    assert {name for name in unsteady if not name.startswith("latency")} == set(), done.stdout
    assert done.returncode == int(bool(unsteady))
    assert report["received"] == report["processed"] + report["dropped"] + report["refused"]
    assert report["processed"] > 10
    assert 0 < report["refused"] <= report["bad_published"]
    assert report["epochs"] > cameras, "resets were made"
    assert report["rss_start_mb"] > 50
    assert report["model"] == "aliked-t16"
    assert len(report["windows"]) >= 3
    assert set(report["latency_ms"]) == {"p50", "p95", "p99", "first_third", "last_third"}


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: nothing to draw with")
    from test_soak_audit import soak

    from aliked_ros.ros.soak_plot import draw
    from aliked_ros.ros.soak_report import as_dict

    draw(soak(), as_dict(soak()), tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_nothing_is_run(frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aliked_ros.ros.soak_plot import require_matplotlib

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(AlikedError, match=r"requirements/bench\.txt"):
        require_matplotlib()


def test_options_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    options = parse(["--seconds", "60", "--cameras", "2", "-p", "max_keypoints:=100"])
    assert options.config.camera_names == ("cam0", "cam1")
    assert options.config.warm_up_s == 15.0
    with pytest.raises(SystemExit):
        parse(["--seconds", "1"])
    assert "seconds must be at least 5" in capsys.readouterr().err


def test_the_rate_follows_what_the_tracker_manages() -> None:
    governor = Governor(overload=1.5, max_rate_hz=200.0)
    for _ in range(20):  # it keeps up with anything
        governor.adapt(governor.rate_hz)
    assert governor.rate_hz == 200.0
    for _ in range(5):
        governor.adapt(min(governor.rate_hz, 20.0))
    assert governor.rate_hz == 30.0
    governor.adapt(0.0)
    assert governor.rate_hz == 5.0, "a tracker that did nothing for a second is asked again"


def take(message: Image) -> np.ndarray:
    require_valid(message.header.stamp)
    return image_view(message)


def test_bad_images_are_bad_and_the_others_are_not() -> None:
    reel = Reel([np.full((48, 64, 3), value, np.uint8) for value in (10, 20, 30)], "camera", bad_share=0.3)
    shades = []
    for _ in range(200):
        message, is_bad = reel.next()
        if not is_bad:
            shades.append(int(take(message)[0, 0, 0]))
            continue
        with pytest.raises(AlikedError):
            take(message)
    assert 100 < len(shades) < 180
    assert shades[:8] == [20, 30, 20, 10, 20, 30, 20, 10], "to and fro"
