# Copyright 2026 The aliked_ros developers
# SPDX-License-Identifier: BSD-3-Clause
"""The tracker as a process of its own, over DDS: what it makes of images, good and bad, and what it can be told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("aliked_msgs.msg._features", reason="aliked_msgs is not built: source env.sh")

from diagnostic_msgs.msg import DiagnosticStatus
from node_harness import TrackerBench, running_tracker
from sensor_msgs.msg import Image

from aliked_msgs.msg import TrackerStatus
from aliked_ros import Extractor
from aliked_ros.ros.conversions import features_from_message, matches_from_message, ns_from_time, tracks_from_message
from aliked_ros.ros.image_conversions import image_message

pytestmark = pytest.mark.ros

MAX_KEYPOINTS = 300
REFUSAL_PERIOD_S = 2.5  # longer than two lines of a kind lie apart
LIMITS: dict[str, Any] = {"precision": "fp32", "max_keypoints": MAX_KEYPOINTS, "score_threshold": 0.1}


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackerBench]:
    directory = tmp_path_factory.mktemp("tracker")
    with running_tracker(
        directory,
        process_every_frame=True,
        source_id="front",
        warmup_width=320,
        warmup_height=240,
        **LIMITS,
    ) as bench:
        yield bench


@pytest.fixture(scope="module")
def images(textured_image: np.ndarray) -> list[np.ndarray]:
    """A camera that moves two pixels per frame over a scene with many corners, (240, 320, 3) RGB."""
    scene = cv2.resize(textured_image, (360, 270), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(scene[10 : 10 + 240, 2 * step : 2 * step + 320]) for step in range(6)]


def test_features_equal_those_of_the_api(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    extractor = Extractor.from_pretrained("aliked-t16", device="cpu", **LIMITS)
    for image in images[:2]:
        expected = extractor(image)
        message = features_from_message(tracker.track(image))
        assert len(expected) > 100
        np.testing.assert_array_equal(message.features.keypoints_xy, expected.keypoints_xy)
        np.testing.assert_array_equal(message.features.scores, expected.scores)
        np.testing.assert_array_equal(message.features.descriptors, expected.descriptors)
        assert (message.features.image_width, message.features.image_height) == (320, 240)
        assert message.meta.model == "aliked-t16"
        assert message.meta.weights_sha256 == extractor.info.weights_sha256


def test_headers_are_passed_on_verbatim(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    stamp_ns = tracker.next_stamp_ns() + 123_456_789
    tracker.send_image(images[0], stamp_ns=stamp_ns, frame_id="rig/left_optical")
    for name in ("features", "tracks"):
        message = tracker.received(name, stamp_ns)
        assert message.header.frame_id == "rig/left_optical"
        assert message.source_id == "front"
    for _ in range(4):  # the clock goes on from there
        tracker.next_stamp_ns()


def test_features_matches_and_tracks_belong_together(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    tracker.reset()
    sent = [tracker.track(image) for image in images]
    stamps = [ns_from_time(message.header.stamp) for message in sent]
    assert [message.frame_seq for message in sent] == list(range(sent[0].frame_seq, sent[0].frame_seq + len(sent)))
    assert len({message.epoch for message in sent}) == 1
    tracks = [tracks_from_message(tracker.received("tracks", stamp_ns)) for stamp_ns in stamps]
    for index in range(1, len(sent)):
        message = tracker.received("matches", stamps[index])
        matches = matches_from_message(
            message, num_features=sent[index].num_features, num_features_ref=sent[index - 1].num_features
        )
        assert (matches.stamp_ref_ns, matches.frame_seq_ref) == (stamps[index - 1], sent[index - 1].frame_seq)
        features, reference = (features_from_message(sent[i]).features for i in (index, index - 1))
        np.testing.assert_array_equal(matches.matches.xy, features.keypoints_xy[matches.matches.indices])
        np.testing.assert_array_equal(matches.matches.xy_ref, reference.keypoints_xy[matches.matches.indices_ref])
        moved = np.median(matches.matches.xy - matches.matches.xy_ref, axis=0)
        np.testing.assert_allclose(moved, [-2.0, 0.0], atol=0.2)
    for features, message in zip(sent, tracks, strict=True):
        ids = features_from_message(features).track_ids
        assert ids is not None
        np.testing.assert_array_equal(ids[message.tracks.feature_indices], message.tracks.ids)
    oldest = tracks[-1].tracks
    assert (oldest.ages == len(images)).sum() > 50, "most of the scene was seen in every image"
    first = tracks[0].tracks
    moved = dict(zip(first.ids.tolist(), first.xy, strict=True))
    shifts = [xy - moved[i] for i, xy in zip(oldest.ids.tolist(), oldest.xy, strict=True) if i in moved]
    np.testing.assert_allclose(np.median(shifts, axis=0), [-10.0, 0.0], atol=0.5)


def test_no_matches_are_sent_for_the_first_image_of_an_epoch(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    tracker.reset()
    first, second = tracker.track(images[0]), tracker.track(images[1])
    tracker.received("matches", ns_from_time(second.header.stamp))
    stamps = [ns_from_time(message.header.stamp) for message in tracker.station.messages("/tracker/matches")]
    assert ns_from_time(first.header.stamp) not in stamps


def test_reset_starts_a_new_epoch(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    before = tracker.track(images[0])
    assert tracker.reset().success
    after = tracker.track(images[1])
    assert after.epoch == before.epoch + 1
    assert after.frame_seq == before.frame_seq + 1, "frames are counted on"
    tracks = tracks_from_message(tracker.received("tracks", ns_from_time(after.header.stamp))).tracks
    assert sorted(tracks.ids) == list(range(len(tracks.ids)))
    assert set(tracks.ages) == {1}


def test_time_that_jumps_back_starts_a_new_epoch(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    before = tracker.track(images[0])
    early_ns = ns_from_time(before.header.stamp) - 500_000_000
    after = tracker.track(images[1], stamp_ns=early_ns)
    assert after.epoch == before.epoch + 1
    tracks = tracks_from_message(tracker.received("tracks", early_ns)).tracks
    assert set(tracks.ages) == {1}
    assert "time jumped back by 0.500 s" in tracker.log_text()


def test_another_image_size_starts_a_new_epoch(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    before = tracker.track(images[0])
    small = tracker.track(np.ascontiguousarray(images[0][:201, :250]))
    again = tracker.track(images[0])
    assert [small.epoch, again.epoch] == [before.epoch + 1, before.epoch + 2]
    assert (small.image_width, small.image_height) == (250, 201)
    assert "image size changed from 320×240 to 250×201" in tracker.log_text()


def test_another_encoding_changes_nothing(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    colour = tracker.track(images[0])
    message = image_message(np.ascontiguousarray(images[0][..., ::-1]), tracker.next_stamp_ns(), "camera")
    message.encoding = "bgr8"
    tracker.send(message)
    swapped = tracker.received("features", ns_from_time(message.header.stamp))
    assert swapped.epoch == colour.epoch
    np.testing.assert_array_equal(swapped.xy, colour.xy)
    grey = tracker.track(np.ascontiguousarray(images[0][..., 1]))
    assert grey.epoch == colour.epoch


def test_padded_rows_change_nothing(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    plain = tracker.track(images[0])
    padded = np.full((240, 1000), 0xAB, np.uint8)
    padded[:, :960] = images[0].reshape(240, 960)
    message = image_message(images[0], tracker.next_stamp_ns(), "camera")
    message.step, message.data = 1000, padded.tobytes()
    message.is_bigendian = 1  # means nothing for 8 bits
    tracker.send(message)
    features = tracker.received("features", ns_from_time(message.header.stamp))
    np.testing.assert_array_equal(features.xy, plain.xy)


def test_a_blank_image_has_no_features(tracker: TrackerBench) -> None:
    features = tracker.track(np.full((240, 320, 3), 128, np.uint8))
    assert (features.num_features, len(features.xy), len(features.descriptors)) == (0, 0, 0)


def bad(**changes: Any) -> Callable[[Image], Image]:
    """Makes a good image bad by other values of some fields; a callable gets the old value."""

    def change(message: Image) -> Image:
        for name, value in changes.items():
            setattr(message, name, value(getattr(message, name)) if callable(value) else value)
        return message

    return change


BAD_IMAGES = {
    "step too small": bad(step=100),
    "step zero": bad(step=0),
    "data cut off": bad(data=lambda data: data[:-1]),
    "data too long": bad(data=lambda data: data + data[:5]),
    "no data": bad(data=lambda data: data[:0]),
    "unknown encoding": bad(encoding="rgb9"),
    "no encoding": bad(encoding=""),
    "0x0": bad(width=0, height=0, step=0, data=lambda data: data[:0]),
    "1x1": bad(width=1, height=1, step=3, data=lambda data: data[:3]),
    "huge size": bad(width=2**32 - 1, height=2**32 - 1),
    "16-bit": bad(encoding="mono16", width=320, step=960),
    "16-bit colour": bad(encoding="rgb16"),
    "16-bit big-endian": bad(encoding="mono16", is_bigendian=1),
    "float": bad(encoding="32FC1"),
    "float colour": bad(encoding="32FC3"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_is_refused_and_the_node_lives_on(
    tracker: TrackerBench, images: list[np.ndarray], name: str
) -> None:
    good = tracker.track(images[0])
    received, processed, dropped, refused = tracker.counters()
    tracker.send(BAD_IMAGES[name](image_message(images[0], tracker.next_stamp_ns(), "camera")))
    tracker.status(lambda status: status.refused == refused + 1)
    assert tracker.counters() == (received + 1, processed, dropped, refused + 1)
    after = tracker.track(images[1])
    assert after.epoch == good.epoch, "what cannot be used changes nothing"
    assert tracker.received("matches", ns_from_time(after.header.stamp)).frame_seq_ref == good.frame_seq


def test_refusals_of_a_kind_are_one_line(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    time.sleep(REFUSAL_PERIOD_S)  # an earlier line of this kind would silence these
    _, _, _, refused = tracker.counters()
    for _ in range(20):
        message = image_message(images[0], tracker.next_stamp_ns(), "camera")
        message.encoding = "yuv_of_a_kind"
        tracker.send(message)
    tracker.status(lambda status: status.refused == refused + 20)
    lines = [line for line in tracker.log_text().splitlines() if "yuv_of_a_kind" in line]
    assert 1 <= len(lines) < 20
    assert all(line.count("[ERROR]") == 1 for line in lines)


def test_diagnostics_tell_what_happens(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    message = image_message(images[0], tracker.next_stamp_ns(), "camera")
    message.encoding = "rgb_for_diagnostics"
    tracker.send(message)

    def of_refusal(array: Any) -> bool:
        return "rgb_for_diagnostics" in array.status[0].message

    status = tracker.station.wait_for("/diagnostics", of_refusal).status[0]
    assert status.level == DiagnosticStatus.WARN
    assert status.name == "tracker: images"
    values = {pair.key: pair.value for pair in status.values}
    assert "rgb_for_diagnostics" in values["last_refusal"]
    assert (values["device"], values["model"], values["precision"]) == ("cpu", "aliked-t16", "fp32")
    counters = {name: int(values[name]) for name in ("received", "processed", "dropped", "refused")}
    assert counters["received"] >= counters["processed"] + counters["dropped"] + counters["refused"] > 0
    assert float(values["latency_ms_p50"]) > 0


def test_status_describes_the_last_image(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    features = tracker.track(images[2])
    tracker.counters()
    status = tracker.status(lambda status: status.num_features == features.num_features)
    assert status.state == TrackerStatus.STATE_RUNNING
    assert (status.device, status.model, status.precision) == ("cpu", "aliked-t16", "fp32")
    assert status.header.frame_id == "camera"
    parts = (status.preprocess_ms, status.inference_ms, status.match_ms, status.publish_ms)
    assert all(part > 0 for part in parts)
    assert status.latency_ms > sum(parts) * 0.99
    assert status.mean_track_age >= 1


def test_limits_change_while_it_runs(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    assert tracker.track(images[0]).num_features > 50
    assert tracker.station.set_parameters("/tracker", max_keypoints=50).successful
    assert tracker.track(images[0]).num_features == 50
    result = tracker.station.set_parameters("/tracker", max_keypoints=MAX_KEYPOINTS, descriptor_dtype="float16")
    assert result.successful
    features = tracker.track(images[0])
    assert features.num_features > 50
    assert features.descriptor_dtype == features.DESCRIPTOR_FLOAT16
    assert len(features.descriptors) == features.num_features * features.descriptor_dim * 2
    assert tracker.station.set_parameters("/tracker", descriptor_dtype="float32").successful


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"descriptor_dtype": "float64"}, "descriptor_dtype must be one of none, float32, float16, int8"),
        ({"score_threshold": 1.5}, "out of range"),
        ({"max_keypoints": 0}, "out of range"),
        ({"max_keypoints": "many"}, "type"),
        ({"model": "aliked-n16"}, "cannot change while the node is configured"),
        ({"max_keypoints": 20, "verification__geometry": "affine"}, "geometry must be one of"),
        ({"no_such_parameter": 1}, "declared"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_wrong_parameters_are_rejected_as_a_whole(
    tracker: TrackerBench, images: list[np.ndarray], values: dict[str, Any], reason: str
) -> None:
    before = tracker.track(images[0])
    result = tracker.station.set_parameters("/tracker", **values)
    assert not result.successful
    assert reason in result.reason
    after = tracker.track(images[0])
    assert (after.num_features, after.descriptor_dtype) == (before.num_features, before.descriptor_dtype)


def test_geometric_verification_by_parameter(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    assert tracker.station.set_parameters("/tracker", verification__geometry="homography").successful
    tracker.track(images[0])
    stamp_ns = ns_from_time(tracker.track(images[1]).header.stamp)
    matches = matches_from_message(tracker.received("matches", stamp_ns)).matches
    assert matches.model is not None
    assert matches.inliers is not None
    shift = np.array([[1, 0, -2], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(matches.model.matrix / matches.model.matrix[2, 2], shift, atol=0.2)
    assert tracker.station.set_parameters("/tracker", verification__geometry="none").successful


def test_essential_geometry_without_a_calibration_goes_unverified(
    tracker: TrackerBench, images: list[np.ndarray]
) -> None:
    assert tracker.station.set_parameters("/tracker", verification__geometry="essential").successful
    tracker.track(images[0])
    stamp_ns = ns_from_time(tracker.track(images[1]).header.stamp)
    matches = matches_from_message(tracker.received("matches", stamp_ns)).matches
    assert len(matches) > 50
    assert (matches.model, matches.inliers) == (None, None)
    warning = "matches are not verified: geometry essential needs the calibration of the camera"
    assert tracker.log_text().count(warning) == 1
    assert tracker.station.set_parameters("/tracker", verification__geometry="none").successful


def test_the_debug_image_is_there_for_who_looks(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    topic = "/tracker/debug_image"
    subscription = tracker.station.subscribe(Image, topic)
    try:
        for _ in range(50):  # until the tracker knows of the subscription
            tracker.track(images[0])
            if tracker.station.messages(topic):
                break
        picture = tracker.station.wait_for(topic)
    finally:
        tracker.station.node.destroy_subscription(subscription)
    assert (picture.width, picture.height, picture.encoding) == (320, 240, "rgb8")
    drawn = np.frombuffer(picture.data, np.uint8).reshape(240, 320, 3)
    share = np.mean(np.any(drawn != images[0], axis=2))
    assert 0.02 < share < 0.9, "tracks and text are drawn on the image"
    assert tracker.received("features", ns_from_time(picture.header.stamp)).header == picture.header


def test_disabled_takes_no_images(tracker: TrackerBench, images: list[np.ndarray]) -> None:
    before = tracker.track(images[0])
    counters = tracker.counters()
    assert tracker.enable(False).success
    tracker.status(lambda status: status.state == TrackerStatus.STATE_DISABLED)
    tracker.send_image(images[1])
    assert tracker.enable(False).message == "as it was"
    assert tracker.counters() == counters
    assert tracker.enable(True).success
    tracker.wait_until_connected()
    after = tracker.track(images[2])
    assert after.epoch == before.epoch + 1, "what was tracked before the pause is history"
    assert after.frame_seq == before.frame_seq + 1
    assert tracker.counters()[0] == counters[0] + 1


def test_counters_add_up(tracker: TrackerBench) -> None:
    received, processed, dropped, refused = tracker.counters()
    assert received == processed + dropped + refused
    assert processed == len(tracker.station.messages("/tracker/features"))
    assert dropped == 0
