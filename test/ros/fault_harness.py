# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of faults share: images at a rate, whatever becomes of them, and a subscriber that is stuck."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from node_harness import TrackerBench, wait_until

from aliked_ros.ros.image_conversions import image_message


@contextmanager
def publishing(tracker: TrackerBench, image: np.ndarray, rate_hz: float) -> Iterator[None]:
    """Publishes the image with ever later stamps at about this rate from a thread of its own."""
    message, stop = image_message(image, 0, "camera"), threading.Event()

    def publish() -> None:
        while not stop.wait(1 / rate_hz):
            stamp_ns = tracker.next_stamp_ns()
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
            tracker.send(message)

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


_SETTLE_S = 0.5  # that others know of it does not mean that the publisher does
_SUBSCRIBER = """
import sys, rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from aliked_msgs.msg import Features
rclpy.init()
node = rclpy.create_node("stuck")
kind = {"Image": Image, "Features": Features}[sys.argv[1]]
node.create_subscription(kind, sys.argv[2], lambda message: None, QoSProfile(depth=5))
while node.count_publishers(sys.argv[2]) == 0:
    rclpy.spin_once(node, timeout_sec=0.05)
print("subscribed", flush=True)
rclpy.spin(node)
"""


@contextmanager
def stuck_subscriber(kind: str, topic: str, directory: Path, is_known: Callable[[], bool]) -> Iterator[None]:
    """A reliable subscriber whose process is stopped once it knows the publisher.

    Args:
        kind: of the messages, Image or Features.
        topic: that it subscribes to.
        directory: gets what the process prints.
        is_known: whether it is seen from outside.
    """
    log = directory / "stuck.log"
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", _SUBSCRIBER, kind, topic], stdout=file, stderr=file)
    try:
        wait_until(lambda: "subscribed" in log.read_text(), "the subscription")
        wait_until(is_known, "a graph with the subscription")
        time.sleep(_SETTLE_S)
        process.send_signal(signal.SIGSTOP)
        yield
    finally:
        process.kill()
        process.wait()
