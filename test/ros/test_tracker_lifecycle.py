# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The tracker as a managed node: every transition, again and again, and after failures."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")
pytest.importorskip("lifecycle_msgs", reason="lifecycle_msgs is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_harness import (
    EXIT_WITHIN_S,
    Station,
    TrackerBench,
    elapsed_s,
    parameter_arguments,
    require_exit_in_time,
    wait_until,
)
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy

from aliked_msgs.msg import TrackerStatus
from aliked_ros.errors import WeightsError
from aliked_ros.ros.child import NodeProcess
from aliked_ros.ros.tracker import TrackerNode

pytestmark = pytest.mark.ros


def change(station: Station, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(station.call(ChangeState, "/tracker/change_state", request).success)


def state(station: Station) -> int:
    return int(station.call(GetState, "/tracker/get_state", GetState.Request()).current_state.id)


@contextmanager
def unconfigured(directory: Path, **parameters: Any) -> Iterator[TrackerBench]:
    station = Station()
    try:
        bench = TrackerBench(station, directory / "tracker.log")
        values = {"model": "aliked-t16", "device": "cpu", "precision": "fp32", "autostart": False, **parameters}
        with NodeProcess("aliked_ros.ros.tracker", parameter_arguments(**values), bench.log):
            yield bench
        assert "Traceback" not in bench.log_text()
    finally:
        station.close()


def test_every_transition_again_and_again(tmp_path: Path, textured_image: np.ndarray) -> None:
    with unconfigured(tmp_path, process_every_frame=True) as tracker:
        station, stamps = tracker.station, []
        assert state(station) == State.PRIMARY_STATE_UNCONFIGURED
        assert not tracker.reset().success, "nothing to reset yet"
        for _ in range(2):
            assert change(station, Transition.TRANSITION_CONFIGURE)
            assert state(station) == State.PRIMARY_STATE_INACTIVE
            assert tracker.image.get_subscription_count() == 0
            for _ in range(2):
                assert change(station, Transition.TRANSITION_ACTIVATE)
                tracker.wait_until_connected()
                wait_until(lambda: station.node.count_publishers("/tracker/features") == 1, "the features' publisher")
                time.sleep(0.3)  # that we know the new publishers does not mean that they know us
                stamps.append(tracker.send_image(textured_image))
                features = tracker.received("features", stamps[-1])
                assert features.num_features > 0
                # Ids are unique in an epoch, and no number is used again, whatever was between.
                assert (features.epoch, features.frame_seq) == (len(stamps) - 1, len(stamps) - 1)
                assert change(station, Transition.TRANSITION_DEACTIVATE)
                wait_until(lambda: tracker.image.get_subscription_count() == 0, "the end of the subscription")
            assert change(station, Transition.TRANSITION_CLEANUP)
            wait_until(lambda: station.node.count_publishers("/tracker/features") == 0, "no publisher of features")
        assert tracker.counters() == (4, 4, 0, 0)
        assert change(station, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)


def test_a_failed_configuration_can_be_mended(tmp_path: Path) -> None:
    with unconfigured(tmp_path, weights="/no/such/file") as tracker:
        station = tracker.station
        assert not change(station, Transition.TRANSITION_CONFIGURE)
        assert state(station) == State.PRIMARY_STATE_UNCONFIGURED
        wait_until(lambda: "/no/such/file: no such weights file" in tracker.log_text(), "the reason")
        assert station.set_parameters("/tracker", weights="").successful
        assert change(station, Transition.TRANSITION_CONFIGURE)
        refusal = station.set_parameters("/tracker", weights="/other")
        assert not refusal.successful
        assert "deactivate it and clean it up first" in refusal.reason
        assert not station.set_parameters("/tracker", autostart=True).successful, "said at the start, once"
        assert change(station, Transition.TRANSITION_CLEANUP)
        assert station.set_parameters("/tracker", model="aliked-n16").successful
        assert change(station, Transition.TRANSITION_CONFIGURE)


def test_diagnostics_go_on_while_a_service_has_it_configured(tmp_path: Path) -> None:
    with unconfigured(tmp_path) as tracker:
        diagnosed(tracker)
        assert change(tracker.station, Transition.TRANSITION_CONFIGURE)
        assert diagnosed(tracker)[0] == "inactive"
        told = [(array.status[0].message, array.status[0].level) for array in tracker.station.messages("/diagnostics")]
        assert ("loading the network", DiagnosticStatus.OK) in told


def test_the_images_qos_follows_what_is_changed_between_configurations(
    tmp_path: Path, textured_image: np.ndarray
) -> None:
    with unconfigured(tmp_path) as tracker:
        for every in (False, True, False):
            assert tracker.station.set_parameters("/tracker", process_every_frame=every).successful
            assert change(tracker.station, Transition.TRANSITION_CONFIGURE)
            assert change(tracker.station, Transition.TRANSITION_ACTIVATE)
            tracker.wait_until_connected()
            (info,) = tracker.station.node.get_subscriptions_info_by_topic("/image")
            expected = ReliabilityPolicy.RELIABLE if every else ReliabilityPolicy.BEST_EFFORT
            assert info.qos_profile.reliability == expected
            assert tracker.track(textured_image).num_features > 0
            assert change(tracker.station, Transition.TRANSITION_DEACTIVATE)
            assert change(tracker.station, Transition.TRANSITION_CLEANUP)


def diagnosed(tracker: TrackerBench) -> tuple[str, bytes, int]:
    """The next two /diagnostics's message and level, with the state of ~/status then."""
    count = len(tracker.station.messages("/diagnostics"))
    wait_until(lambda: len(tracker.station.messages("/diagnostics")) >= count + 2, "two more diagnostics")
    status = tracker.station.messages("/diagnostics")[-1].status[0]
    return status.message, status.level, tracker.station.messages("/tracker/status")[-1].state


def test_diagnostics_are_true_in_every_state(tmp_path: Path) -> None:
    ok, error, is_in = DiagnosticStatus.OK, DiagnosticStatus.ERROR, TrackerStatus
    with unconfigured(tmp_path, weights="/no/such/file") as tracker:
        station = tracker.station
        assert diagnosed(tracker) == ("not configured", ok, is_in.STATE_STARTING)
        assert not change(station, Transition.TRANSITION_CONFIGURE)
        message, level, status = diagnosed(tracker)
        assert message.startswith("not configured: /no/such/file: no such weights file")
        assert (level, status) == (error, is_in.STATE_ERROR)
        assert station.set_parameters("/tracker", weights="").successful
        tracker.enable(False)
        for transition, expected in (
            (Transition.TRANSITION_CONFIGURE, ("inactive", ok, is_in.STATE_DISABLED)),
            (Transition.TRANSITION_ACTIVATE, ("disabled by ~/enable", ok, is_in.STATE_DISABLED)),
            (Transition.TRANSITION_DEACTIVATE, ("inactive", ok, is_in.STATE_DISABLED)),
            (Transition.TRANSITION_ACTIVATE, ("disabled by ~/enable", ok, is_in.STATE_DISABLED)),
        ):
            assert change(station, transition)
            assert diagnosed(tracker) == expected
        assert tracker.enable(True).success
        assert diagnosed(tracker) == ("waiting for images", ok, is_in.STATE_IDLE)
        for transition, expected in (
            (Transition.TRANSITION_DEACTIVATE, ("inactive", ok, is_in.STATE_DISABLED)),
            (Transition.TRANSITION_CLEANUP, ("not configured", ok, is_in.STATE_STARTING)),
            (Transition.TRANSITION_UNCONFIGURED_SHUTDOWN, ("shut down", ok, is_in.STATE_DISABLED)),
        ):
            assert change(station, transition)
            assert diagnosed(tracker) == expected
        answer = tracker.enable(False)
        assert not answer.success
        assert "the node is shut down" in answer.message


def test_what_is_disabled_before_activation_stays_so(tmp_path: Path) -> None:
    with unconfigured(tmp_path) as tracker:
        assert "when the node is active" in tracker.enable(False).message
        assert change(tracker.station, Transition.TRANSITION_CONFIGURE)
        assert change(tracker.station, Transition.TRANSITION_ACTIVATE)
        assert tracker.image.get_subscription_count() == 0
        assert tracker.enable(True).success
        tracker.wait_until_connected()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("transitions", "expected"),
    [
        (0, State.PRIMARY_STATE_UNCONFIGURED),
        (1, State.PRIMARY_STATE_INACTIVE),
        (2, State.PRIMARY_STATE_ACTIVE),
        (3, State.PRIMARY_STATE_INACTIVE),
        (4, State.PRIMARY_STATE_UNCONFIGURED),
        (5, State.PRIMARY_STATE_FINALIZED),
    ],
    ids=["unconfigured", "inactive", "active", "deactivated", "cleaned up", "finalized"],
)
def test_signals_end_it_in_every_state_within_two_seconds(
    tmp_path: Path, number: signal.Signals, transitions: int, expected: int
) -> None:
    sequence = (
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    )
    arguments = parameter_arguments(model="aliked-t16", autostart=False)

    def attempt(directory: Path) -> float:
        station, log = Station(), directory / "tracker.log"
        try:
            with NodeProcess("aliked_ros.ros.tracker", arguments, log) as process:
                for transition in sequence[:transitions]:
                    assert change(station, transition)
                assert state(station) == expected
                taken_s = elapsed_s(lambda: process.stop(number))
        finally:
            station.close()
        assert "Traceback" not in log.read_text()
        return taken_s

    require_exit_in_time(attempt, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_while_a_service_has_it_configured(
    tmp_path: Path, import_lock_s: float, number: signal.Signals
) -> None:
    arguments = [*parameter_arguments(model="aliked-t16", autostart=False), "--log-level", "tracker:=debug"]

    def attempt(directory: Path) -> float:
        station, log = Station(), directory / "tracker.log"
        client = station.node.create_client(ChangeState, "/tracker/change_state")
        try:
            with NodeProcess("aliked_ros.ros.tracker", arguments, log) as process:
                wait_until(client.service_is_ready, "the service")
                client.call_async(ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
                wait_until(lambda: "loading the network" in log.read_text(), "the transition's begin")
                taken_s = elapsed_s(lambda: process.stop(number))
        finally:
            station.node.destroy_client(client)
            station.close()
        assert "Traceback" not in log.read_text()
        return taken_s

    require_exit_in_time(attempt, tmp_path, EXIT_WITHIN_S + import_lock_s)


def test_a_calibration_that_cannot_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    with unconfigured(tmp_path, calibration="/no/such.yaml") as tracker:
        station = tracker.station
        assert not change(station, Transition.TRANSITION_CONFIGURE)
        wait_until(lambda: "/no/such.yaml: cannot be read" in tracker.log_text(), "the reason")
        assert station.set_parameters("/tracker", calibration="fr2").successful
        assert change(station, Transition.TRANSITION_CONFIGURE)
        wait_until(lambda: station.node.count_publishers("/tracker/features") == 1, "the one publisher of features")


def test_cleanup_gives_memory_back(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (720, 1280), np.uint8)
    with unconfigured(tmp_path, model="aliked-n16", process_every_frame=True) as tracker:
        assert change(tracker.station, Transition.TRANSITION_CONFIGURE)
        assert change(tracker.station, Transition.TRANSITION_ACTIVATE)
        tracker.wait_until_connected()
        tracker.track(image)
        active_mb = resident_mb(tracker)
        assert change(tracker.station, Transition.TRANSITION_DEACTIVATE)
        assert change(tracker.station, Transition.TRANSITION_CLEANUP)
        assert resident_mb(tracker) < active_mb - 30


def resident_mb(tracker: TrackerBench) -> float:
    """What the next /diagnostics but one tells."""
    diagnosed(tracker)
    values = tracker.station.messages("/diagnostics")[-1].status[0].values
    return float(next(pair.value for pair in values if pair.key == "rss_mb"))


@contextmanager
def node_here(context: Any, **parameters: Any) -> Iterator[TrackerNode]:
    """A tracker in this process, which nobody spins."""
    values = {"model": "aliked-t16", "device": "cpu", "warmup_width": 0, **parameters}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = TrackerNode(context=context, parameter_overrides=overrides)
    try:
        yield node
    finally:
        node.close()


def test_a_lost_device_does_not_hinder_another_configuration(ros_context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "empty_cache", lost)
    with node_here(ros_context) as node:
        for _ in range(2):
            assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
            assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS


def test_a_configuration_that_fails_late_leaves_nothing_behind(ros_context: Any, monkeypatch: Any) -> None:
    bad = {"cameras": ["left", "right"], "qos_overrides./tracker/right/debug_image.publisher.depth": 0}

    def left() -> tuple[set[str], int]:
        threads = sum(thread.name == "debug view" for thread in threading.enumerate())
        return {publisher.topic_name for publisher in node.publishers}, threads

    with node_here(ros_context, **bad) as node:
        before = left()
        for _ in range(2):
            assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
            assert left() == before


def test_who_manages_the_node_before_its_autostart_keeps_it(ros_context: Any, capfd: Any) -> None:
    with node_here(ros_context) as node:
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        node.start()
        assert "autostart is over: somebody else manages this node" in capfd.readouterr().err
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS


def test_a_failed_start_is_told_by_its_caller_and_the_next_failure_by_the_node(ros_context: Any, capfd: Any) -> None:
    with node_here(ros_context, weights="/no/such/file") as node:
        with pytest.raises(WeightsError, match="no such weights file"):
            node.start()
        assert "no such weights file" not in capfd.readouterr().err
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert "no such weights file" in capfd.readouterr().err
