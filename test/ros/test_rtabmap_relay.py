# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The relay to rtabmap: its inputs come over DDS, its messages are stand-ins, because no wheel has rtabmap's."""

from __future__ import annotations

import array
import dataclasses
import itertools
import sys
import threading
import types
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from message_samples import make_features
from node_harness import START_NS, Station, run_node, wait_until
from policy_files import DIRECTORY, read_policy
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from aliked_msgs.msg import Features as FeaturesMsg
from aliked_ros.camera import TUM_CAMERAS, Camera
from aliked_ros.features import Features
from aliked_ros.io.messages.descriptors import DescriptorDtype
from aliked_ros.io.messages.message_fields import FrameMeta
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.conversions import features_to_message, header_of, ns_from_time
from aliked_ros.ros.image_conversions import depth_message, image_message, info_from_camera
from aliked_ros.ros.process import SpinThread

pytestmark = pytest.mark.ros

CAMERA = TUM_CAMERAS["fr1"]
PIXELS = np.arange(480 * 640, dtype=np.uint32).astype(np.uint8).reshape(480, 640)


@dataclasses.dataclass
class Point2f:
    x: float = 0.0
    y: float = 0.0


@dataclasses.dataclass
class Point3f:
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


@dataclasses.dataclass
class KeyPoint:
    pt: Point2f = dataclasses.field(default_factory=Point2f)
    size: float = 0.0
    angle: float = 0.0
    response: float = 0.0
    octave: int = 0
    class_id: int = 0


@dataclasses.dataclass
class RGBDImage:
    """The fields of rtabmap_msgs/RGBDImage that the relay may fill."""

    header: Header = dataclasses.field(default_factory=Header)
    rgb_camera_info: CameraInfo = dataclasses.field(default_factory=CameraInfo)
    depth_camera_info: CameraInfo = dataclasses.field(default_factory=CameraInfo)
    rgb: Image = dataclasses.field(default_factory=Image)
    depth: Image = dataclasses.field(default_factory=Image)
    key_points: list[KeyPoint] = dataclasses.field(default_factory=list)
    points: list[Point3f] = dataclasses.field(default_factory=list)
    descriptors: array.array[int] = dataclasses.field(default_factory=lambda: array.array("B"))


@dataclasses.dataclass
class Bench:
    """A relay in this process, what it published, and who talks to it."""

    station: Station
    published: list[RGBDImage]
    read_log: Callable[[], str] = lambda: ""
    log: str = ""

    def __post_init__(self) -> None:
        self.image = self.station.publisher(Image, "/image")
        self.depth = self.station.publisher(Image, "/depth")
        self.camera_info = self.station.publisher(CameraInfo, "/camera_info")
        self.features = self.station.publisher(FeaturesMsg, "/tracker/features")

    def calibrate(self, relay: Any, camera: Camera = CAMERA) -> None:
        self.camera_info.publish(info_from_camera(camera, START_NS, "optical"))
        wait_until(lambda: relay._info is not None and relay._info.width == camera.width, "a calibration")

    def send(self, stamp_ns: int, features: Features, *, depth: bool = True, **options: Any) -> None:
        meta = FrameMeta(stamp_ns, "optical", 0, 0, "camera")
        header = header_of(stamp_ns, "optical")
        self.features.publish(features_to_message(features, meta, header=header, **options))
        if depth:
            self.depth.publish(depth_message(np.full((480, 640), 2.0, np.float32), stamp_ns + 10**6, "optical"))
        self.image.publish(image_message(PIXELS, stamp_ns, "optical"))

    def received(self, count: int) -> list[RGBDImage]:
        wait_until(lambda: len(self.published) >= count, f"{count} images for rtabmap")
        return self.published

    def said(self, text: str) -> None:
        def is_said() -> bool:
            self.log += self.read_log()
            return text in self.log

        wait_until(is_said, text)


@pytest.fixture
def relay(ros_context: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The node with stand-ins for rtabmap's messages; a publisher of another type holds its topic's place."""
    module = types.ModuleType("rtabmap_msgs.msg")
    for kind in (Point2f, Point3f, KeyPoint, RGBDImage):
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "rtabmap_msgs", types.ModuleType("rtabmap_msgs"))
    monkeypatch.setitem(sys.modules, "rtabmap_msgs.msg", module)
    from aliked_ros.ros.rtabmap_relay import RtabmapRelayNode

    published: list[RGBDImage] = []

    class Relay(RtabmapRelayNode):  # type: ignore[misc]
        def create_publisher(self, kind: Any, topic: str, *args: Any, **options: Any) -> Any:
            publisher = super().create_publisher(Header if kind is RGBDImage else kind, topic, *args, **options)
            return types.SimpleNamespace(publish=published.append) if kind is RGBDImage else publisher

    given = [Parameter(name, value=value) for name, value in getattr(request, "param", {}).items()]
    node = Relay(context=ros_context, parameter_overrides=given)
    node.published = published
    with SpinThread([node], threading.Event()):
        yield node
    node.destroy_node()


@pytest.fixture
def bench(relay: Any, capfd: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    station = Station()
    bench = Bench(station, relay.published, lambda: capfd.readouterr().err)
    depth = [bench.depth] if relay.get_parameter("depth").value else []
    station.wait_until_heard("/rtabmap_relay", bench.image, bench.camera_info, bench.features, *depth)
    yield bench
    station.close()


def descriptors_of(message: RGBDImage) -> np.ndarray:
    """As rtabmap's uncompressData reads them: behind the elements rows, columns and CV_32FC1."""
    data = bytes(message.descriptors)
    rows, columns, code = np.frombuffer(data[-12:], "<i4").tolist()
    assert code == 5
    return np.frombuffer(zlib.decompressobj().decompress(data), "<f4").reshape(rows, columns)


def test_images_and_features_are_joined(bench: Bench, relay: Any) -> None:
    bench.calibrate(relay)
    features, depth_m = make_features(20, 64), np.full(20, 2.0, np.float32)
    depth_m[3] = np.nan
    bench.send(START_NS, features, depth_m=depth_m)
    (message,) = bench.received(1)
    assert (ns_from_time(message.header.stamp), message.header.frame_id) == (START_NS, "optical")
    assert (message.rgb.encoding, message.rgb.width, message.depth.encoding) == ("mono8", 640, "32FC1")
    assert ns_from_time(message.depth.header.stamp) == START_NS + 10**6
    assert message.rgb_camera_info.k.tolist() == CAMERA.matrix.reshape(-1).tolist()
    np.testing.assert_array_equal(descriptors_of(message), features.descriptors)
    pixels = np.array([(point.pt.x, point.pt.y) for point in message.key_points], np.float32)
    np.testing.assert_array_equal(pixels, features.keypoints_xy)
    assert [point.response for point in message.key_points] == features.scores.tolist()
    assert {(point.size, point.angle, point.octave, point.class_id) for point in message.key_points} == {(5, -1, 0, -1)}
    points = np.array([(point.x, point.y, point.z) for point in message.points])
    # rtabmap aborts where these numbers differ.
    assert len(points) == len(message.key_points) == 20
    known = np.arange(20) != 3
    np.testing.assert_allclose(CAMERA.project(points[known]), features.keypoints_xy[known], atol=1e-2)
    assert np.isnan(points[3]).all()


def test_an_image_without_features_is_not_passed_on(bench: Bench, relay: Any) -> None:
    bench.calibrate(relay)
    bench.send(START_NS, make_features(0))
    bench.said("image not passed on: the image has no features")
    bench.send(START_NS + 10**9, make_features(1))
    assert len(bench.received(1)) == 1


@pytest.mark.parametrize("relay", [{"depth": False, "rectified": True}], indirect=True)
def test_without_depth(bench: Bench, relay: Any) -> None:
    bench.calibrate(relay)
    bench.send(START_NS, make_features(4), depth=False)
    (message,) = bench.received(1)
    assert (message.depth.width, message.points, len(message.key_points)) == (0, [], 4)


def test_what_cannot_be_passed_on_is_said(bench: Bench, relay: Any) -> None:
    bench.send(START_NS, make_features(4))
    bench.said("no camera_info has come yet, which rtabmap needs; connect camera_info")
    bench.calibrate(relay)
    bench.send(START_NS + 10**9, make_features(4), descriptor_dtype=DescriptorDtype.NONE)
    bench.said("features have no descriptors, which rtabmap needs; set the tracker's descriptor_dtype")
    bench.calibrate(relay, Camera(320, 240, 250.0, 250.0, 160.0, 120.0))
    bench.send(START_NS + 2 * 10**9, make_features(4))
    bench.said("camera_info is for 320×240 pixels")
    bench.calibrate(relay)
    meta = FrameMeta(START_NS, "optical", 0, 0, "camera")
    bench.features.publish(features_to_message(make_features(4), meta, header=header_of(START_NS + 25 * 10**8, "x")))
    bench.send(START_NS + 3 * 10**9, make_features(4))
    bench.received(1)
    bench.said("features of 1 images dropped: their image or depth did not come")
    assert len(bench.published) == 1


def test_the_relay_does_what_its_policy_allows(relay: Any) -> None:
    policy = read_policy(DIRECTORY / "rtabmap_relay.policy.xml")
    queries = {
        "publish": relay.get_publisher_names_and_types_by_node,
        "subscribe": relay.get_subscriber_names_and_types_by_node,
        "reply": relay.get_service_names_and_types_by_node,
    }

    def used(verb: str) -> set[str]:
        return {name for name, _ in queries[verb]("rtabmap_relay", "/")}

    wait_until(lambda: all(used(verb) >= policy.allowed[verb] - {"/clock"} for verb in queries), "the relay's topics")
    for verb in queries:
        assert used(verb) <= policy.allowed[verb]


def test_without_rtabmap_s_messages_one_line_says_what_to_install() -> None:
    try:
        import rtabmap_msgs.msg  # noqa: F401
    except ImportError:
        done = run_node("aliked_ros.ros.rtabmap_relay", [])
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.splitlines() if line.strip()]
        assert "rtabmap_msgs cannot be imported" in line
        assert "sudo apt install ros-$ROS_DISTRO-rtabmap-msgs" in line
    else:
        pytest.skip("rtabmap_msgs is installed")


def test_real_messages_travel(tmp_path: Path) -> None:
    messages = pytest.importorskip("rtabmap_msgs.msg", reason="rtabmap_msgs is not installed")
    station = Station()
    try:
        station.subscribe(messages.RGBDImage, "/rgbd_image")
        bench = Bench(station, [])
        features = make_features(20, 64)
        with NodeProcess("aliked_ros.ros.rtabmap_relay", [], tmp_path / "relay.log"):
            used = (bench.image, bench.depth, bench.camera_info, bench.features)
            station.wait_until_heard("/rtabmap_relay", *used)
            wait_until(lambda: station.node.count_publishers("/rgbd_image") > 0, "the relay's publisher")
            bench.camera_info.publish(info_from_camera(CAMERA, START_NS, "optical"))
            stamps_ns = itertools.count(START_NS, 10**9)

            def sent_until_received() -> bool:  # the calibration may be the last to arrive
                bench.send(next(stamps_ns), features, depth_m=np.full(20, 2.0, np.float32))
                return bool(station.messages("/rgbd_image"))

            wait_until(sent_until_received, "an image for rtabmap")
            message = station.messages("/rgbd_image")[0]
        np.testing.assert_array_equal(descriptors_of(message), features.descriptors)
        pixels = np.array([(point.pt.x, point.pt.y) for point in message.key_points], np.float32)
        np.testing.assert_array_equal(pixels, features.keypoints_xy)
        assert [point.z for point in message.points] == [2.0] * 20
        assert (message.rgb.width, message.depth.encoding) == (640, "32FC1")
        assert "Traceback" not in (tmp_path / "relay.log").read_text()
    finally:
        station.close()
