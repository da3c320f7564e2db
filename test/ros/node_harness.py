# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Talks to nodes that run as processes of their own, over DDS, as their users do."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.srv import GetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from aliked_msgs.msg import Features, Matches, TrackerStatus, Tracks
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.conversions import ns_from_time
from aliked_ros.ros.image_conversions import image_message
from aliked_ros.ros.process import SpinThread

TIMEOUT_S = 60.0  # of a machine that is busy with other things
_ASKED_AGAIN_AFTER_S = 5.0
EXIT_WITHIN_S = 2.0  # of a signal, see docs/faults.md
_EXIT_ATTEMPTS = 3
_SHOWN_LINES = 20
START_NS = 1_000_000_000_000_000_000
PERIOD_NS = 33_333_333


class Station:
    """A node of the tests with an executor: keeps every message it gets, in order, by topic.

    It has a context of its own, and with it a participant that has met nobody. One that had met the nodes of an earlier
    test would believe those that were killed to be alive, for 20 s (Fast DDS, "lease duration"), and send them what is
    meant for their successors.
    """

    def __init__(self, name: str = "station") -> None:
        context = Context()
        rclpy.init(args=[], context=context)
        self.node = Node(name, context=context)
        self.logs: list[Path] = []  # of the nodes it talks to; their ends are shown when it waits in vain
        self._messages: dict[str, list[Any]] = {}
        self._changed = threading.Condition()
        self._spinning = ExitStack()
        self._spinning.callback(rclpy.shutdown, context=context)
        self._spinning.callback(self.node.destroy_node)
        self._spinning.enter_context(SpinThread([self.node], threading.Event()))

    def close(self) -> None:
        self._spinning.close()

    def subscribe(self, kind: Any, topic: str, *, depth: int = 100, latched: bool = False) -> Any:
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        profile = QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=durability)
        self._messages.setdefault(topic, [])
        return self.node.create_subscription(kind, topic, lambda message: self._keep(topic, message), profile)

    def publisher(self, kind: Any, topic: str) -> Any:
        return self.node.create_publisher(kind, topic, QoSProfile(depth=100))

    def messages(self, topic: str) -> list[Any]:
        with self._changed:
            return list(self._messages[topic])

    def wait_for(self, topic: str, condition: Callable[[Any], bool] = lambda message: True) -> Any:
        """The first message kept for which the condition holds."""
        found = self.comes(topic, condition, TIMEOUT_S)
        assert found is not None, f"nothing fitting among {len(self.messages(topic))} on {topic}{self._last_words()}"
        return found

    def comes(self, topic: str, condition: Callable[[Any], bool], within_s: float) -> Any:
        """The first message kept for which the condition holds; ``None`` if it does not come in time."""
        found: list[Any] = []

        def matches() -> bool:
            found[:] = [message for message in self._messages[topic] if condition(message)]
            return bool(found)

        with self._changed:
            self._changed.wait_for(matches, within_s)
        return found[0] if found else None

    def wait_until_heard(self, node: str, *publishers: Any) -> None:
        """Waits until a node subscribes to what is published here, and knows who publishes it."""
        for publisher in publishers:
            wait_until(lambda used=publisher: used.get_subscription_count() > 0, f"a reader of {publisher.topic_name}")
        self._wait_until_known(node)

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """What a node's service answers, asked once."""
        with self._client(kind, name) as client:
            self._wait_until_known(name.rpartition("/")[0])
            answer = self._answer(client, request, TIMEOUT_S)
        assert answer is not None, f"no answer from {name}{self._last_words()}"
        return answer

    def _wait_until_known(self, node: str) -> None:
        """Waits until a node knows every publisher and client that this one has.

        That a publisher knows its reader does not mean that the reader knows the publisher, and DDS does not tell. But
        a node hears of another's publishers and clients in the order in which they were made. It is asked again while
        there is no answer: to a client that it does not know after 100 ms, it sends none (rmw_fastrtps).
        """
        with self._client(GetParameters, f"{node}/get_parameters") as client:
            for _ in range(round(TIMEOUT_S / _ASKED_AGAIN_AFTER_S)):
                if self._answer(client, GetParameters.Request(), _ASKED_AGAIN_AFTER_S) is not None:
                    return
        raise AssertionError(f"no answer from {node}{self._last_words()}")

    @contextmanager
    def _client(self, kind: Any, name: str) -> Iterator[Any]:
        client = self.node.create_client(kind, name)
        try:
            assert client.wait_for_service(TIMEOUT_S), f"no service {name}{self._last_words()}"
            yield client
        finally:
            self.node.destroy_client(client)

    def _answer(self, client: Any, request: Any, within_s: float) -> Any:
        """What is answered; ``None`` where nothing is in time."""
        answers: queue.Queue[Any] = queue.Queue()
        client.call_async(request).add_done_callback(answers.put)
        with suppress(queue.Empty):
            return answers.get(timeout=within_s).result()
        return None

    def set_parameters(self, node: str, **values: Any) -> Any:
        """Sets all or none; a double underscore stands for the dot of a prefix."""
        parameters: list[ParameterMsg] = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in values.items()
        ]
        request = SetParametersAtomically.Request(parameters=parameters)
        return self.call(SetParametersAtomically, f"{node}/set_parameters_atomically", request).result

    def _keep(self, topic: str, message: Any) -> None:
        with self._changed:
            self._messages[topic].append(message)
            self._changed.notify_all()

    def _last_words(self) -> str:
        ends = ["\n".join(log.read_text(encoding="utf-8").splitlines()[-_SHOWN_LINES:]) for log in self.logs]
        return "".join(f"\n{log}:\n{end}" for log, end in zip(self.logs, ends, strict=True))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.02)


def elapsed_s(act: Callable[[], object]) -> float:
    """How long a call takes, in seconds."""
    started_at_s = time.monotonic()
    act()
    return time.monotonic() - started_at_s


def require_exit_in_time(attempt: Callable[[Path], float], directory: Path, within_s: float = EXIT_WITHIN_S) -> None:
    """Fails unless a process ends in time after a signal, in one attempt of three.

    A machine that is busy with other things delays an exit now and then; an exit that has to be forced, or a wait that
    nothing ends, is late in every attempt. Whatever else an attempt asserts must hold in each.

    Args:
        attempt: starts a process, which may write to the folder given, ends it by a signal and returns how long that
            took, in seconds.
        directory: gets a folder for each attempt.
        within_s: the requirement, in seconds.
    """
    taken_s: list[float] = []
    for number in range(_EXIT_ATTEMPTS):
        own = directory / f"attempt_{number}"
        own.mkdir()
        taken_s.append(attempt(own))
        if taken_s[-1] <= within_s:
            return
    listed = ", ".join(f"{seconds:.2f}" for seconds in taken_s)
    raise AssertionError(f"an exit took {listed} s, which should take at most {within_s:.2f}")


class TrackerBench:
    """A tracker in a process of its own, and everything to feed and watch it."""

    def __init__(self, station: Station, log: Path, compressed: bool = False) -> None:
        self.station = station
        self.log = log
        station.logs.append(log)
        self.name = "/tracker"
        self.process: NodeProcess | None = None  # where it is known
        for kind, topic in ((Features, "features"), (Matches, "matches"), (Tracks, "tracks")):
            station.subscribe(kind, f"/tracker/{topic}")
        station.subscribe(DiagnosticArray, "/diagnostics")
        kind, topic = (CompressedImage, "/image/compressed") if compressed else (Image, "/image")
        self.image = station.publisher(kind, topic)
        self.camera_info = station.publisher(CameraInfo, "/camera_info")
        # The last: whoever has sent us its status knows the subscriptions before it.
        station.subscribe(TrackerStatus, "/tracker/status", latched=True)
        self._stamp_ns = START_NS

    def wait_until_ready(self) -> None:
        self.status(lambda status: status.state in (TrackerStatus.STATE_IDLE, TrackerStatus.STATE_RUNNING))
        self.wait_until_connected()

    def wait_until_connected(self) -> None:
        """Waits until the tracker takes images."""
        self.station.wait_until_heard(self.name, self.image)

    def next_stamp_ns(self) -> int:
        self._stamp_ns += PERIOD_NS
        return self._stamp_ns

    def status(self, condition: Callable[[Any], bool] = lambda status: True) -> Any:
        """The last status for which the condition holds."""
        topic = "/tracker/status"
        self.station.wait_for(topic, condition)
        return [message for message in self.station.messages(topic) if condition(message)][-1]

    def counters(self) -> tuple[int, int, int, int]:
        """Received, processed, dropped and refused, once nothing is under way."""
        wait_until(lambda: _in_flight(self.station.messages("/tracker/status")[-1]) == 0, "an idle tracker")
        status = self.station.messages("/tracker/status")[-1]
        return status.received, status.processed, status.dropped, status.refused

    def send(self, message: Any) -> Any:
        self.image.publish(message)
        return message

    def send_image(self, image: np.ndarray, *, stamp_ns: int | None = None, frame_id: str = "camera") -> int:
        """Publishes an image and returns its stamp."""
        stamp_ns = self.next_stamp_ns() if stamp_ns is None else stamp_ns
        self.send(image_message(image, stamp_ns, frame_id))
        return stamp_ns

    def received(self, name: str, stamp_ns: int) -> Any:
        """The features, matches or tracks of the image with this stamp."""
        return self.station.wait_for(f"/tracker/{name}", has_stamp(stamp_ns))

    def track(self, image: np.ndarray, **options: Any) -> Any:
        """Publishes an image and returns its features, once its tracks and status have come too."""
        stamp_ns = self.send_image(image, **options)
        features = self.received("features", stamp_ns)
        self.received("tracks", stamp_ns)
        self.status(lambda status: status.processed > features.frame_seq)
        return features

    def reset(self) -> Any:
        return self.station.call(Trigger, f"{self.name}/reset", Trigger.Request())

    def enable(self, yes: bool) -> Any:
        return self.station.call(SetBool, f"{self.name}/enable", SetBool.Request(data=yes))

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8")


def has_stamp(stamp_ns: int) -> Callable[[Any], bool]:
    """Whether a message is of the image with this stamp."""
    return lambda message: ns_from_time(message.header.stamp) == stamp_ns


def _in_flight(status: Any) -> int:
    return int(status.received - status.processed - status.dropped - status.refused)


def parameter_arguments(**parameters: Any) -> list[str]:
    """ROS arguments that set parameters; a double underscore stands for the dot of a prefix."""

    def text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    pairs = [f"{name.replace('__', '.')}:={text(value)}" for name, value in parameters.items()]
    return [word for pair in pairs for word in ("-p", pair)]


@contextmanager
def running_tracker(
    directory: Path,
    *,
    module: str = "aliked_ros.ros.tracker",
    environment: Mapping[str, str] | None = None,
    **parameters: Any,
) -> Iterator[TrackerBench]:
    """A tracker that is ready; leaving ends it by SIGINT and makes sure that it ends well."""
    station = Station()
    try:
        bench = TrackerBench(station, directory / "tracker.log", parameters.get("image_transport") == "compressed")
        arguments = parameter_arguments(**{"model": "aliked-t16", "device": "cpu", "precision": "fp32", **parameters})
        with NodeProcess(module, arguments, bench.log, environment) as process:
            bench.process = process
            bench.wait_until_ready()
            yield bench
        assert "Traceback" not in bench.log_text()
    finally:
        station.close()


@contextmanager
def started(log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process whose output goes to a file; ended by force unless it has ended before."""
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, *command], stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()
    assert "KeyboardInterrupt" not in log.read_text()


def run_node(module: str, ros_arguments: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a node to its end."""
    return subprocess.run(
        [sys.executable, "-m", module, "--ros-args", *ros_arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, **environment},
        check=False,
    )
