# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The launch files under a real `ros2 launch`, where ROS 2's launch is installed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip(
    "launch_ros", reason="launch_ros is not installed: it comes with an installed ROS 2, not with wheels"
)
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext
from node_harness import START_NS, TIMEOUT_S, Station, TrackerBench, wait_until
from sensor_msgs.msg import Image

from aliked_msgs.msg import Features, Matches, TrackerStatus
from aliked_ros.ros import launching
from aliked_ros.ros.conversions import ns_from_time
from aliked_ros.ros.image_conversions import depth_message, image_message

SMALL = {"model": "aliked-t16", "device": "cpu"}
FILES = sorted(path.name for path in (Path(__file__).resolve().parents[2] / "launch").glob("*.launch.py"))

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    if shutil.which("ros2") is None:
        pytest.skip("the command ros2 is not installed")
    try:
        get_package_share_directory("aliked_ros")
    except PackageNotFoundError:
        pytest.skip("aliked_ros is not in the ament index: build the workspace and source it")


@pytest.fixture
def station() -> Iterator[Station]:
    station = Station()
    yield station
    station.close()


@pytest.mark.parametrize(
    ("given", "variables"),
    [
        ({"ROS_DISTRO": "kilted"}, {"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}),
        ({"ROS_DISTRO": "kilted", "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}, {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}),
        ({"ROS_DISTRO": "humble"}, {"FASTRTPS_DEFAULT_PROFILES_FILE": "several_machines.xml"}),
        (
            {"ROS_DISTRO": "humble", "ROS_LOCALHOST_ONLY": "1"},
            {"FASTRTPS_DEFAULT_PROFILES_FILE": "one_machine.xml"},
        ),
        (
            {"ROS_DISTRO": "humble", "FASTRTPS_DEFAULT_PROFILES_FILE": "/mine.xml"},
            {"FASTRTPS_DEFAULT_PROFILES_FILE": "mine.xml"},
        ),
    ],
    ids=["kilted", "its environment", "humble", "humble alone", "humble's environment"],
)
def test_the_transport_has_room_for_images(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], variables: dict[str, str]
) -> None:
    for name in ("FASTDDS_BUILTIN_TRANSPORTS", "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
        monkeypatch.setenv(name, "")  # so that what a launch file sets is taken back
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    context = LaunchContext()
    for entity in launching.description([], lambda _: []).entities:
        pending = [entity]
        while pending:
            pending += pending.pop(0).visit(context) or []
    found = {
        name: Path(text).name
        for name, text in context.environment.items()
        if name.startswith(("FASTDDS_", "FASTRTPS_"))
    }
    assert found == variables


def launch_command(file: str, **arguments: Any) -> list[str]:
    return ["ros2", "launch", "aliked_ros", file, *(f"{name}:={value}" for name, value in arguments.items())]


@contextmanager
def launched(
    log: Path, file: str = "", *, command: Sequence[str] = (), **arguments: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A launch of our file or by a command; leaving ends it as Ctrl-C does, and everything must then end well."""
    with log.open("wb") as stream, launch_process(command or launch_command(file, **arguments), stream) as process:
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0
    text = log.read_text()
    assert "Traceback" not in text
    assert "process has died" not in text
    assert "process has finished cleanly" in text


@contextmanager
def launch_process(command: Sequence[str], output: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A launch whose nodes end with the context, too, whatever has become of it."""
    process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run_launch(file: str = "", *options: str, command: Sequence[str] = (), **arguments: Any) -> tuple[int, str]:
    """The exit code and the output of a launch, of our file or by a command, that ends by itself."""
    with tempfile.TemporaryFile() as output:
        with launch_process(command or [*launch_command(file, **arguments), *options], output) as process:
            code = process.wait(TIMEOUT_S)
        output.seek(0)
        return code, output.read().decode()


@pytest.mark.parametrize("file", FILES)
def test_arguments_are_described(file: str) -> None:
    code, shown = run_launch(file, "--show-args")
    assert code == 0, shown
    assert {"log_level", "namespace", "fastdds_profile", "rviz", "foxglove", "model"} <= arguments_of(shown)
    assert "no description given" not in shown


def arguments_of(shown: str) -> set[str]:
    return set(re.findall(r"^    '(\w+)':$", shown, re.MULTILINE))


@pytest.mark.parametrize(
    ("file", "arguments", "error"),
    [
        ("tracker.launch.py", {"rviz": "true"}, "rviz:=true needs the package rviz2: sudo apt install ros-"),
        ("tracker.launch.py", {"foxglove": "true"}, "foxglove:=true needs the package foxglove_bridge"),
        ("tracker.launch.py", {"fastdds_profile": "none_such"}, "must be one of one_machine, several_machines"),
        ("tracker.launch.py", {"params_file": "none_such.yaml"}, "params_file:=none_such.yaml: there is no such file"),
        ("slam.launch.py", {"odometry_params_file": "none.yaml"}, "odometry_params_file:=none.yaml: there is no such"),
        ("tracker.launch.py", {"rviz": "yes"}, "rviz:=true needs the package rviz2"),
        ("tracker.launch.py", {"foxglove": "maybe"}, "foxglove:=maybe: must be true or false"),
        ("tracker.launch.py", {"cameras": "{a: b}"}, "cameras:={a: b}: must be a list of names"),
        ("tracker.launch.py", {"cameras": "[left"}, "cameras:=[left: cannot be read"),
        ("tracker.launch.py", {"imgae": "/camera/image"}, "unknown launch argument imgae; did you mean image?"),
        ("stereo.launch.py", {"max_keypoints": 500}, "unknown launch argument max_keypoints; --show-args lists"),
        ("slam.launch.py", {"mode": "stereo", "input": "run.mcap"}, "mode:=stereo takes the topics of two cameras"),
        ("slam.launch.py", {"mode": "stereo", "rectified": "false"}, "mode:=stereo takes rectified images"),
        ("usb_camera.launch.py", {"driver": "usb_cam"}, "driver:=usb_cam needs the package usb_cam"),
        ("usb_camera.launch.py", {"driver": "player", "camera_info_url": "file:///x"}, "no camera_info_url"),
        ("realsense.launch.py", {"start_camera": "true"}, "needs the package realsense2_camera"),
    ],
)
def test_what_is_missing_is_said_in_one_line(file: str, arguments: dict[str, str], error: str) -> None:
    code, said = run_launch(file, **arguments)
    assert code == 1
    assert error in said
    assert "Traceback" not in said
    assert "process started" not in said


def test_the_tracker_runs_where_it_is_told_to(station: Station, tmp_path: Path, textured_image: np.ndarray) -> None:
    station.subscribe(TrackerStatus, "/robot/front/status", latched=True)
    log = tmp_path / "log"
    arguments = {
        "namespace": "robot",
        "name": "front",
        "model": "aliked-t16",
        "device": "cpu",
        "image": "/image",
        "log_level": "debug",
    }
    with launched(log, "tracker.launch.py", **arguments):
        status = station.wait_for("/robot/front/status", lambda s: s.state == TrackerStatus.STATE_IDLE)
        assert (status.model, status.device) == ("aliked-t16", "cpu")
        station.subscribe(Features, "/robot/front/features")
        bench = TrackerBench(station, log)
        bench.name = "/robot/front"
        bench.wait_until_connected()
        for _ in range(20):  # until the tracker knows of the subscription
            bench.send_image(textured_image)
            if station.messages("/robot/front/features"):
                break
            before = len(station.messages("/robot/front/status"))
            wait_until(lambda before=before: len(station.messages("/robot/front/status")) > before, "a status")
        assert station.wait_for("/robot/front/features").num_features > 0


def test_a_parameter_file_is_used_and_arguments_go_before_it(station: Station, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("/**:\n  ros__parameters:\n    model: aliked-n32\n    device: cpu\n    warmup_width: 0\n")
    station.subscribe(TrackerStatus, "/tracker/status", latched=True)
    with launched(tmp_path / "log", "tracker.launch.py", params_file=file, model="aliked-t16"):
        status = station.wait_for("/tracker/status", lambda s: s.state == TrackerStatus.STATE_IDLE)
        assert (status.model, status.device) == ("aliked-t16", "cpu")


@pytest.fixture
def sequence(tmp_path: Path, textured_image: np.ndarray) -> Path:
    """Five images of 10 Hz as a TUM directory."""
    directory = tmp_path / "sequence"
    (directory / "rgb").mkdir(parents=True)
    lines = []
    for index in range(5):
        cv2.imwrite(str(directory / f"rgb/{index}.png"), textured_image[..., ::-1])
        lines.append(f"{1000 + index / 10} rgb/{index}.png\n")
    (directory / "rgb.txt").write_text("".join(lines))
    return directory


@pytest.mark.parametrize("lock_step", [True, False])
def test_a_sequence_is_replayed_and_everything_ends_with_it(tmp_path: Path, sequence: Path, lock_step: bool) -> None:
    arguments = {"input": sequence, "kinect": "fr3", "model": "aliked-t16", "namespace": "tum"}
    # In lock step the player ends well only when the features of every frame have come.
    with launched(tmp_path / "log", "tum.launch.py", lock_step=lock_step, **arguments) as process:
        assert process.wait(TIMEOUT_S) == 0
    assert "played 5 frames" in (tmp_path / "log").read_text()


def test_a_replay_waits_for_the_odometry_and_ends_with_the_sequence(tmp_path: Path, sequence: Path) -> None:
    pytest.importorskip("gtsam", reason="gtsam is not installed")
    arguments = {"input": sequence, "calibration": "fr3", "mode": "mono", "namespace": "tum"}
    # The player ends well only when the odometry was there and the features of every frame have come.
    with launched(tmp_path / "log", "slam.launch.py", **SMALL, **arguments) as process:
        assert process.wait(TIMEOUT_S) == 0
    assert "played 5 frames" in (tmp_path / "log").read_text()


def test_slam_of_two_cameras_gives_metres(station: Station, tmp_path: Path) -> None:
    pytest.importorskip("gtsam", reason="gtsam is not installed")
    pytest.importorskip("skimage", reason="scikit-image, whose photographs the scene is made of, is not installed")
    from stereo_scene import StereoScene, errors_m, path_length_m

    patient = tmp_path / "patient.yaml"  # on a machine that is busy with other things
    patient.write_text("/**: {ros__parameters: {sync_timeout: 1.0}}")
    scene, sides = StereoScene(station, "/rig"), {"left": "/rig/left", "right": "/rig/right"}
    with launched(tmp_path / "log", "slam.launch.py", mode="stereo", params_file=patient, **sides, **SMALL):
        driven = scene.drive(8)
    assert errors_m(driven).max() < 0.02 * path_length_m(driven)


INCLUDING = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription

def generate_launch_description():
    return LaunchDescription([DeclareLaunchArgument("arena"), IncludeLaunchDescription(%r)])
"""


def test_a_launch_file_that_includes_ours_has_arguments_of_its_own(tmp_path: Path) -> None:
    own = tmp_path / "tracker.launch.py"  # even by that name
    own.write_text(INCLUDING % str(Path(get_package_share_directory("aliked_ros")) / "launch" / "tracker.launch.py"))
    command = ["ros2", "launch", str(own), "arena:=big", "model:=aliked-t16", "device:=cpu"]
    with launched(tmp_path / "log", command=command):
        wait_until(lambda: "ready: " in (tmp_path / "log").read_text(), "the tracker")


def test_a_launch_file_by_its_path_knows_its_arguments(tmp_path: Path) -> None:
    path = Path(get_package_share_directory("aliked_ros")) / "launch" / "tracker.launch.py"
    code, said = run_launch(command=["ros2", "launch", str(path), "imgae:=/camera"])
    assert code == 1
    assert "unknown launch argument imgae; did you mean image?" in said


def test_without_a_driver_the_player_is_the_camera(station: Station, tmp_path: Path, sequence: Path) -> None:
    station.subscribe(Features, "/desk/tracker/features")
    arguments = {"video_device": sequence, "driver": "player", "namespace": "desk", "frame_id": "lens"}
    with launched(tmp_path / "log", "usb_camera.launch.py", calibration="fr2", **SMALL, **arguments):
        features = station.wait_for("/desk/tracker/features", lambda message: message.num_features > 0)
    assert features.header.frame_id == "lens"
    assert ns_from_time(features.header.stamp) > START_NS, "stamped as a live camera's images are"
    assert f"camera: player drives {sequence} (it was asked for)" in (tmp_path / "log").read_text()


def test_without_any_driver_installed_auto_takes_the_player(tmp_path: Path, sequence: Path) -> None:
    with launched(tmp_path / "log", "usb_camera.launch.py", video_device=sequence, **SMALL):
        wait_until(lambda: "ready: " in (tmp_path / "log").read_text(), "the tracker")
    assert "the first installed of v4l2_camera, usb_cam, player" in (tmp_path / "log").read_text()


def test_realsense_topics_are_joined_with_depth(station: Station, tmp_path: Path, textured_image: np.ndarray) -> None:
    camera = "/camera/front"
    image = station.publisher(Image, f"{camera}/color/image_raw")
    depth = station.publisher(Image, f"{camera}/aligned_depth_to_color/image_raw")
    station.subscribe(Features, "/tracker/features")
    station.subscribe(TrackerStatus, "/tracker/status", latched=True)
    depth_m = np.full(textured_image.shape[:2], 2.0, np.float32)
    with launched(tmp_path / "log", "realsense.launch.py", camera_name="front", **SMALL):
        wait_until(lambda: bool(image.get_subscription_count() and depth.get_subscription_count()), "a subscription")
        sent = 0

        def has_depth() -> bool:
            nonlocal sent
            sent += 1
            depth.publish(depth_message(depth_m, START_NS + sent, "camera"))
            image.publish(image_message(textured_image, START_NS + sent, "camera"))
            return any(set(message.depth_m) == {2.0} for message in station.messages("/tracker/features"))

        wait_until(has_depth, "features with depth")


def test_stereo_images_of_one_moment_are_matched(station: Station, tmp_path: Path, textured_image: np.ndarray) -> None:
    cameras = [station.publisher(Image, f"/stereo/{side}/image_raw") for side in ("left", "right")]
    station.subscribe(Matches, "/tracker/matches")
    arguments = {"left": "/stereo/left", "right": "/stereo/right", "sync_slop": "0.01"}
    with launched(tmp_path / "log", "stereo.launch.py", **SMALL, **arguments):
        wait_until(lambda: all(camera.get_subscription_count() for camera in cameras), "both subscriptions")
        sent = 0

        def are_matched() -> bool:
            nonlocal sent
            sent += 1
            for camera in cameras:
                camera.publish(image_message(textured_image, START_NS + sent * 10**8, "camera"))
            found = station.messages("/tracker/matches")
            sources = [{message.source_id, message.source_id_ref} for message in found if message.num_matches]
            return {"left", "right"} in sources

        wait_until(are_matched, "matches between left and right")


def test_a_profile_reaches_the_nodes(station: Station, tmp_path: Path) -> None:
    """The tracker warns of a profile that is unfit for images, so it has read it."""
    profile = tmp_path / "small.xml"
    participant = '<participant profile_name="small" is_default_profile="true"><rtps>{}</rtps></participant>'
    transports = "<builtinTransports>DEFAULT</builtinTransports>"
    profile.write_text(
        f'<dds xmlns="http://www.eprosima.com"><profiles>{participant.format(transports)}</profiles></dds>'
    )
    log = tmp_path / "log"
    with launched(log, "tracker.launch.py", fastdds_profile=profile, **SMALL):
        wait_until(lambda: "ready: " in log.read_text(), "the tracker")
    assert f"{profile} chooses the transports DEFAULT" in log.read_text()


_STAND_IN = """#!{python}
import pathlib, signal, sys
log = pathlib.Path("{log}")
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
log.with_suffix(".new").write_text(" ".join(sys.argv))
log.with_suffix(".new").rename(log)  # whoever finds it finds it whole
signal.pause()
"""


class StandIns:
    """ROS packages that hold nothing but a program which writes down what it was started with."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix

    def add(self, package: str, executable: str) -> Path:
        """The file that will hold the arguments."""
        index = self.prefix / "share/ament_index/resource_index/packages"
        index.mkdir(parents=True, exist_ok=True)
        (index / package).touch()
        program, log = self.prefix / "lib" / package / executable, self.prefix / f"{package}.log"
        program.parent.mkdir(parents=True)
        program.write_text(_STAND_IN.format(python=sys.executable, log=str(log)))
        program.chmod(0o755)
        return log


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    prefix = tmp_path / "prefix"
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix), prepend=os.pathsep)
    return StandIns(prefix)


def test_viewers_are_started_with_our_topics(station: Station, stand_ins: StandIns, tmp_path: Path) -> None:
    station.subscribe(TrackerStatus, "/robot/tracker/status", latched=True)
    rviz, foxglove = stand_ins.add("rviz2", "rviz2"), stand_ins.add("foxglove_bridge", "foxglove_bridge")
    arguments = {
        "rviz": "true",
        "foxglove": "true",
        "namespace": "robot",
        "image": "/cam/image_raw",
        "autostart": "false",
    }
    with launched(tmp_path / "log", "tracker.launch.py", **SMALL, **arguments):
        wait_until(lambda: rviz.exists() and foxglove.exists(), "the viewers")
        station.wait_for("/robot/tracker/status")
    assert "config/rviz/tracker.rviz" in rviz.read_text()
    assert "/tracker/debug_image:=/robot/tracker/debug_image" in rviz.read_text()
    assert "/image:=/cam/image_raw" in rviz.read_text()
    assert "config/foxglove/tracker.json" in (tmp_path / "log").read_text()


def test_the_first_driver_that_is_installed_is_taken(station: Station, stand_ins: StandIns, tmp_path: Path) -> None:
    station.subscribe(TrackerStatus, "/desk/tracker/status", latched=True)
    driver = stand_ins.add("usb_cam", "usb_cam_node_exe")
    arguments = {"video_device": "/dev/video7", "namespace": "desk", "autostart": "false"}
    with launched(tmp_path / "log", "usb_camera.launch.py", **SMALL, **arguments):
        wait_until(driver.exists, "the driver")
        station.wait_for("/desk/tracker/status")
    assert "camera: usb_cam drives /dev/video7" in (tmp_path / "log").read_text()
    assert "__ns:=/desk" in driver.read_text()
