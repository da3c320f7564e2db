# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""Features recorded from a raw subscription over DDS: the file holds what was published, byte for byte."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

import rclpy
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from message_samples import META, assert_same, make_features
from rclpy.executors import SingleThreadedExecutor

from aliked_msgs.msg import Features
from aliked_ros.io.bags.feature_recorder import FeatureRecorder
from aliked_ros.io.messages import ros_types
from aliked_ros.io.messages.message_fields import features_fields, features_from_fields
from aliked_ros.ros.conversions import features_to_message

pytestmark = pytest.mark.ros


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, SingleThreadedExecutor]]:
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=1 + os.getpid() % 100)
    made = rclpy.create_node("recording_test", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(made)
    yield made, executor
    executor.shutdown()
    made.destroy_node()
    rclpy.shutdown(context=context)


def test_a_raw_subscription_is_recorded_byte_for_byte(node: Any, tmp_path: Path) -> None:
    subscriber, executor = node
    received: list[bytes] = []
    subscriber.create_subscription(Features, "/tracker/features", received.append, 50, raw=True)
    publisher = subscriber.create_publisher(Features, "/tracker/features", 50)
    deadline = time.monotonic() + 20
    while publisher.get_subscription_count() == 0 and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)
    samples = [make_features(count, 64, sigma=count > 0, seed=count) for count in (0, 1, 2, 3, 500)]
    for features in samples:
        publisher.publish(features_to_message(features, META))
    while len(received) < len(samples) and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)
    expected = [bytes(ros_types.serialize(features_fields(f, META), ros_types.FEATURES_TYPE)) for f in samples]
    assert [len(data) for data in received] == [len(data) for data in expected]

    path = tmp_path / "features.mcap"
    with FeatureRecorder(path) as recorder:
        for index, data in enumerate(received):
            recorder.write_cdr("/tracker/features", ros_types.FEATURES_TYPE, data, index)
    with path.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        contents = [content for _, _, _, content in reader.iter_decoded_messages()]
    assert len(contents) == len(samples)
    for content, features in zip(contents, samples, strict=True):
        assert_same(features_from_fields(content).features, features)
