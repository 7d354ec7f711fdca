"""Pictures that are not due are not deserialised, and do not wake the node's executor; the others are as before."""

from __future__ import annotations

import threading
import time

import pytest
from llava_ov_ros.msg import Answer
from rcl_interfaces.msg import Log
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from llava_ov_ros.frames import stamp_ns
from llava_ov_ros.node import camera_subscriptions
from llava_ov_ros.node.camera_thread import CameraGroup
from llava_ov_ros.node.messages import to_stamp

S = 1_000_000_000
PIXELS = bytes(range(48))


@pytest.fixture
def yes(scripted):
    return scripted(lambda *_: "yes")


@pytest.fixture
def deserialised(monkeypatch):
    """The types of the messages that the node has deserialised, in order."""
    kinds = []

    def noting(data, kind):
        kinds.append(kind)
        return deserialize_message(data, kind)

    monkeypatch.setattr(camera_subscriptions, "deserialize_message", noting)
    return kinds


@pytest.mark.parametrize(("transport", "kind"), [("raw", Image), ("compressed", CompressedImage)])
def test_only_the_pictures_that_are_due_are_deserialised(transport, kind, rig, yes, deserialised):
    robot = rig(load=yes, cameras={"front": transport}, admission_rate_hz=2.0)
    base_ns = time.time_ns() - 4 * S
    stamps = [base_ns + number * S // 30 for number in range(90)]
    for stamp in stamps:
        robot.cameras["front"].send(stamp)
    values = robot.wait_until_received("front")
    assert (values["received"], values["admitted"], values["not_due"]) == ("90", "6", "84")
    assert deserialised == [kind] * 6
    answer = robot.ask(window_s=10.0, max_frames=32)
    assert [stamp_ns(frame.header.stamp) for frame in answer.frames] == stamps[::15]


def test_a_video_in_compressed_images_is_deserialised_whole(rig, yes, deserialised, moving_pictures, encode_video):
    robot = rig(load=yes, cameras={"front": "compressed"}, admission_rate_hz=2.0)
    base_ns = time.time_ns() - 4 * S
    for number, packet in enumerate(encode_video("h264", moving_pictures(30))):
        robot.cameras["front"].send_packet(base_ns + number * S // 10, packet)
    values = robot.wait_until_received("front")
    assert (values["malformed"], values["damaged"], values["admitted"]) == ("0", "0", "6")
    assert len(deserialised) == 30


def test_bytes_that_are_no_message_are_counted_and_warned_of(rig, yes, deserialised):
    robot = rig(load=yes, admission_rate_hz=2.0)
    log = robot.listen(Log, "/rosout")
    base_ns = time.time_ns() - 4 * S

    def raw(stamp):
        header = Header(stamp=to_stamp(stamp), frame_id="camera")
        return serialize_message(Image(header=header, height=4, width=4, encoding="rgb8", step=12, data=PIXELS))

    front = robot.cameras["front"]
    broken = [
        # Due, and its pixels are missing.
        raw(base_ns)[:-40],
        # No stamp can be read: cut off, parameter lists, big-endian by its own word.
        raw(base_ns)[:9],
        b"\x00\x02" + raw(base_ns)[2:],
        b"\x00\x00" + raw(base_ns)[2:],
        b"\xff\xff\xff\xff",
    ]
    for data in broken:
        front.publisher.publish(data)
    # Of those that are not due, the rest is nobody's business: the stamp is in order.
    front.publisher.publish(raw(base_ns + S))
    front.publisher.publish(raw(base_ns + S + 1)[:-40])
    front.publisher.publish(raw(base_ns + S + S // 2))
    front.sent += len(broken) + 3
    values = robot.wait_until_received("front")
    counted = {key: values[key] for key in ("malformed", "admitted", "not_due", "future_stamps")}
    # By its own word, the big-endian one is stamped in another century.
    assert int(counted["malformed"]) + int(counted["future_stamps"]) == len(broken)
    assert (counted["admitted"], counted["not_due"]) == ("2", "1")
    warning = log.wait(lambda line: line.level == Log.WARN and "deserialised" in line.msg)
    assert "camera 'front', encoding 'sensor_msgs/msg/Image': the message cannot be deserialised" in warning.msg
    assert robot.ask().status == Answer.OK


def test_every_frame_is_taken_as_a_whole_if_all_are_due(rig, yes, deserialised):
    robot = rig(load=yes, admission_rate_hz=0.0)
    robot.feed(count=5, period_s=0.01)
    assert robot.wait_until_received("front")["admitted"] == "5"
    assert deserialised == []


def threads_of_cameras():
    return sorted(thread.name for thread in threading.enumerate() if thread.name in ("llava_ov_front", "llava_ov_side"))


def test_each_camera_has_a_thread_while_the_node_is_active(rig, yes):
    robot = rig(load=yes, cameras={"front": "raw", "side": "compressed"})
    assert threads_of_cameras() == ["llava_ov_front", "llava_ov_side"]
    # The executor of the node waits for none of them: not for their pictures, nor for their events.
    topics = {camera.topic for camera in robot.cameras.values()}
    assert topics.isdisjoint(subscription.topic_name for subscription in robot.live.subscriptions)
    assert not any(isinstance(waitable.callback_group, CameraGroup) for waitable in robot.live.waitables)
    assert all(robot.node.count_subscribers(topic) == 1 for topic in topics)
    assert robot.transition("deactivate")
    assert threads_of_cameras() == []
    robot.activate()
    assert threads_of_cameras() == ["llava_ov_front", "llava_ov_side"]
    robot.feed(count=2)
    assert robot.ask(window_s=5.0).status == Answer.OK


def test_a_publisher_that_cannot_be_heard_is_still_warned_of(rig, yes, wait_until):
    # The subscription stays reliable, since the node looks for publishers of another kind with its diagnostics only.
    robot = rig(load=yes, image_qos="match")
    log = robot.listen(Log, "/rosout")
    front = robot.cameras["front"]
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    robot.node.create_publisher(Image, front.topic, qos)
    warning = log.wait(lambda line: "incompatible QoS" in line.msg and line.name.endswith("llava_ov"))
    assert front.topic in warning.msg
    wait_until(lambda: robot.node.count_publishers(front.topic) == 2, "the second publisher")
    robot.feed(count=2)
    assert robot.ask(window_s=5.0).status == Answer.OK
    assert threads_of_cameras() == ["llava_ov_front"]
