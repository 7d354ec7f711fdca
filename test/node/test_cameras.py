"""Camera messages over real topics: two transports at once, unusable pictures, odd stamps, reliability."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from llava_ov_ros.msg import Answer
from rcl_interfaces.msg import Log
from rclpy.qos import ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from llava_ov_ros.frames import (
    AdmissionSettings,
    Camera,
    CameraSettings,
    DecodeOptions,
    GrowthSettings,
    stamp_ns,
)
from llava_ov_ros.node.messages import to_stamp

S = 1_000_000_000


@pytest.fixture
def yes(scripted):
    return scripted(lambda *_: "yes")


def test_two_cameras_at_once(rig):
    robot = rig(cameras={"front": "raw", "side": "compressed"})
    front = robot.feed("front", count=3)
    side = robot.feed("side", count=2, period_s=0.3)
    answer = robot.ask("Which object moved?")
    assert answer.status == Answer.OK
    assert [(frame.camera, stamp_ns(frame.header.stamp)) for frame in answer.frames] == [
        *(("front", stamp) for stamp in front),
        *(("side", stamp) for stamp in side),
    ]
    assert stamp_ns(answer.header.stamp) == max(front + side)
    assert answer.header.frame_id == answer.frames[-1].header.frame_id
    for name in robot.cameras:
        status, values = robot.diagnostic(f"camera {name}")
        assert (status.level, status.message) == (status.OK, "frames come in")
        assert (status.hardware_id, values["publishers"]) == (robot.cameras[name].topic, "1")


@pytest.mark.parametrize(("on_damaged", "frames"), [("refuse", 1), ("use", 2)])
def test_damaged_pictures_are_refused_or_used_and_warned_of(on_damaged, frames, rig, yes):
    robot = rig(load=yes, cameras={"side": "compressed"}, on_damaged=on_damaged, admission_rate_hz=0.0)
    log = robot.listen(Log, "/rosout")
    side = robot.cameras["side"]
    pixels = np.random.default_rng(2).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    whole = cv2.imencode(".jpg", pixels)[1].tobytes()
    base_ns = time.time_ns() - S
    side.send(base_ns, data=whole)
    # As a driver gives it that lost the end of a transfer.
    side.send(base_ns + S // 10, data=whole[: len(whole) // 2] + b"\xff\xd9")
    values = robot.wait_until_received("side")
    assert (values["received"], values["damaged"], values["malformed"]) == ("2", "1", "0")
    assert values["admitted"] == str(frames)
    status, _ = robot.diagnostic("camera side")
    assert status.level == status.WARN
    assert status.message.startswith("1 damaged pictures in the last 30 s, the last: camera 'side'")
    warning = log.wait(lambda line: line.level == Log.WARN)
    assert "camera 'side'" in warning.msg
    assert "the JPEG is damaged: its data end before its picture is complete" in warning.msg
    assert len(robot.ask(window_s=5.0).frames) == frames


def test_malformed_pictures_are_counted_and_warned_of_once_and_good_ones_go_on(rig, yes):
    robot = rig(load=yes, cameras={"front": "raw", "side": "compressed"})
    log = robot.listen(Log, "/rosout")
    front, side = robot.cameras.values()
    base_ns = time.time_ns() - S
    broken = [
        {"step": 1},
        {"height": 0},
        {"width": 4_000_000_000},
        {"encoding": "rgb99"},
        {"encoding": ""},
        {"data": b""},
        {"height": 49},
    ]
    for i, fields in enumerate(broken):
        front.send(base_ns + i, **fields)
    for i, data in enumerate((b"", b"no jpeg", b"\xff\xd8\xff\xe0" + b"\0" * 60)):
        side.send(base_ns + i, data=data)
    stamps = robot.feed(count=2, period_s=0.1)
    values = robot.wait_until_received("front")
    assert (values["malformed"], values["admitted"], values["received"]) == ("7", "2", "9")
    status, values = robot.diagnostic("camera side")
    assert (values["malformed"], values["admitted"]) == ("3", "2")
    assert status.level == status.WARN
    assert status.message.startswith("3 malformed messages in the last 30 s, the last: camera 'side'")
    answer = robot.ask(window_s=1.0)
    assert [stamp_ns(frame.header.stamp) for frame in answer.frames] == 2 * stamps
    # Ten broken pictures within five seconds: one warning for each camera.
    marker = "parameter clip_frames changed"
    robot.live.get_logger().info(marker)
    log.wait(lambda line: line.msg == marker)
    warnings = [line.msg for line in log.messages if line.level == Log.WARN and line.name.endswith("llava_ov")]
    assert len([line for line in warnings if "'front'" in line]) == 1
    assert len([line for line in warnings if "'side'" in line]) == 1
    assert "step is 1" in next(line for line in warnings if "'front'" in line)


def test_zero_stamps_take_the_time_of_arrival(rig, yes):
    robot = rig(load=yes)
    before_ns = time.time_ns()
    for _ in range(3):
        robot.cameras["front"].send(0)
        robot.wait_until_received("front")
    answer = robot.ask()
    stamps = [stamp_ns(frame.stamp_used) for frame in answer.frames]
    assert len(stamps) == 3
    assert {stamp_ns(frame.header.stamp) for frame in answer.frames} == {0}
    assert before_ns <= stamps[0] < stamps[1] < stamps[2] <= time.time_ns()
    status, values = robot.diagnostic("camera front")
    assert (status.level, values["zero_stamps"]) == (status.WARN, "3")
    assert "3 zero (time of arrival used)" in status.message


def test_16_bit_pictures_are_shown_in_ranges_and_what_shows_nothing_is_told(rig, yes):
    robot = rig(
        load=yes,
        cameras={"depth": "raw", "thermal": "raw", "plain": "raw"},
        value_range=["auto", "28815..31315", "default"],
        clip_frames=3,
        clip_min_frames=2,
    )
    base_ns = time.time_ns() - 9 * S
    rng = np.random.default_rng(5)
    offline = Camera(
        "depth",
        CameraSettings(
            decode=DecodeOptions(value_range="auto"),
            admission=AdmissionSettings(rate_hz=0.0),
            growth=GrowthSettings(max_frames=3, min_frames=2, spacing_ns=0),
        ),
    )
    for number, top in enumerate((2000, 4000, 9000, 20000)):
        picture = rng.integers(300, top, (48, 64), dtype=np.uint16)
        fields = {"encoding": "16UC1", "step": 128, "data": picture.tobytes()}
        for name in ("depth", "plain"):
            robot.cameras[name].send(base_ns + number * S, **fields)
        warm = rng.integers(29315, 29715, (48, 64), dtype=np.uint16)
        robot.cameras["thermal"].send(base_ns + number * S, **{**fields, "data": warm.tobytes()})
        header = Header(stamp=to_stamp(base_ns + number * S))
        offline.offer(Image(header=header, height=48, width=64, **fields), base_ns + number * S)
        robot.wait_until_received("depth")
        answer = robot.ask(cameras=["depth"])
        shown = [str(frame.value_range) for frame in offline.growing_clip().frames]
        assert [frame.value_range for frame in answer.frames] == shown
        assert len(set(shown)) == 1
        assert answer.message == ""
    values = robot.wait_until_received("depth")
    assert (values["shown_anew"], values["blank"], values["value_range"]) == ("1", "0", shown[0])
    black, white = map(int, shown[0].split(".."))
    assert 8800 < black < 9000
    assert 300 <= white < 500
    for name, value_range in (("thermal", "28815..31315"), ("plain", "10000..300")):
        robot.wait_until_received(name)
        answer = robot.ask(cameras=[name])
        assert (answer.message, {frame.value_range for frame in answer.frames}) == ("", {value_range})
    # The lens is covered: a warning, and a remark on every answer that rests on it.
    dark = {"encoding": "16UC1", "step": 128, "data": np.full((48, 64), 12, np.uint16).tobytes()}
    for name in robot.cameras:
        robot.cameras[name].send(base_ns + 8 * S, **dark)
        robot.wait_until_received(name)
        status, values = robot.diagnostic(f"camera {name}", lambda status, values: values["blank"] == "1")
        assert status.level == status.WARN
        assert f"camera '{name}', in the last 30 s: next to nothing is to be seen in 1 pictures" in status.message
        assert "look at value_range, the exposure and the lens" in status.message
        answer = robot.ask(cameras=[name], window_s=60.0)
        assert (answer.status, answer.text) == (Answer.OK, "yes")
        assert answer.message.startswith(f"camera '{name}': 1 of 3 frames used show next to nothing: the")
        assert "one grey level" in answer.message


REMEDY = "set stamp_source: arrival for this camera"
BOOT_NS = 1234 * S
"""A camera's clock that counts since boot."""


def test_a_camera_that_stamps_since_boot_is_stale_by_its_header_and_answered_by_arrival(rig, yes):
    robot = rig(load=yes, cameras={"front": "raw", "side": "compressed"}, stamp_source=["header", "arrival"])
    before_ns = time.time_ns()
    for i in range(3):
        for camera in robot.cameras.values():
            camera.send(BOOT_NS + i * S)
    for name in robot.cameras:
        assert robot.wait_until_received(name)["admitted"] == "3"
    refused = robot.ask(cameras=["front"])
    assert (refused.status, list(refused.frames)) == (Answer.STALE, [])
    assert "s old when it arrived: probably its driver stamps by another clock than the node's" in refused.message
    assert REMEDY in refused.message
    status, _ = robot.diagnostic("camera front")
    assert status.level == status.ERROR
    assert REMEDY in status.message
    answer = robot.ask(cameras=["side"])
    assert answer.status == Answer.OK
    assert [stamp_ns(frame.header.stamp) for frame in answer.frames] == [BOOT_NS + i * S for i in range(3)]
    used = [stamp_ns(frame.stamp_used) for frame in answer.frames]
    assert before_ns <= used[0] < used[1] < used[2] <= stamp_ns(answer.answered_at)
    assert answer.header == answer.frames[-1].header
    status, values = robot.diagnostic("camera side")
    assert (status.level, status.message) == (status.OK, "frames come in")
    # Not 1.7 billion seconds, and rounded to milliseconds.
    assert 0.0 <= float(values["age_s"]) <= (time.time_ns() - used[-1]) / S + 0.001
    # A past range is one of the times used.
    past = {"from_stamp": answer.frames[0].stamp_used, "to_stamp": answer.frames[1].stamp_used}
    ranged = robot.ask(cameras=["side"], **past)
    assert list(ranged.frames) == list(answer.frames)[:2]


def test_a_camera_that_stamps_in_the_future_is_answered_by_arrival(rig, yes):
    robot = rig(load=yes, cameras={"front": "raw", "side": "raw"}, stamp_source=["header", "arrival"])
    stamp = time.time_ns() + 3600 * S
    for name, camera in robot.cameras.items():
        camera.send(stamp)
        robot.wait_until_received(name)
    refused = robot.ask(cameras=["front"])
    assert refused.status == Answer.NO_FRAMES
    assert REMEDY in refused.message
    answer = robot.ask(cameras=["side"])
    assert (answer.status, stamp_ns(answer.header.stamp)) == (Answer.OK, stamp)
    assert stamp_ns(answer.frames[0].stamp_used) < stamp


def test_a_camera_by_arrival_that_falls_silent_is_stale_without_a_word_of_its_clock(rig, yes):
    robot = rig(load=yes, stamp_source=["arrival"], max_frame_age_s=0.5)
    robot.cameras["front"].send(BOOT_NS)
    robot.wait_until_received("front")
    robot.diagnostic("camera front", lambda status, values: status.message.startswith("stale"))
    answer = robot.ask()
    assert answer.status == Answer.STALE
    assert "stamp_source" not in answer.message


def test_a_camera_by_arrival_that_repeats_a_picture_is_frozen(rig, yes):
    robot = rig(load=yes, stamp_source=["arrival"], frozen_after_s=0.05)
    front = robot.cameras["front"]
    picture = front.picture()
    # The camera's own clock stands.
    front.send(BOOT_NS, picture)
    robot.wait_until_received("front")
    front.send(BOOT_NS, picture)
    robot.wait_until_received("front")
    assert robot.ask().status == Answer.FROZEN


def test_stamps_of_the_future_are_refused_and_said(rig, yes):
    robot = rig(load=yes)
    log = robot.listen(Log, "/rosout")
    for i in range(3):
        robot.cameras["front"].send(time.time_ns() + (3600 + i) * S)
    stamps = robot.feed(count=2)
    status, values = robot.diagnostic("camera front")
    assert (status.level, values["future_stamps"], values["admitted"]) == (status.WARN, "3", "2")
    assert "3 in the future" in status.message
    warning = log.wait(lambda line: line.level == Log.WARN)
    assert "stamped in the future (parameter future_tolerance_s)" in warning.msg
    assert REMEDY in warning.msg
    assert [stamp_ns(frame.header.stamp) for frame in robot.ask().frames] == stamps


def test_a_looped_recording_starts_the_buffer_anew(rig, yes):
    robot = rig(load=yes)
    newest_ns = time.time_ns()
    robot.feed(count=5, period_s=1.0, newest_ns=newest_ns)
    stamps = robot.feed(count=3, period_s=1.0, newest_ns=newest_ns - 2 * S)
    status, values = robot.diagnostic("camera front")
    assert (status.level, values["jumps_back"]) == (status.WARN, "1")
    assert "1 jumps back (buffer begun anew)" in status.message
    assert [stamp_ns(frame.header.stamp) for frame in robot.ask().frames] == stamps


def test_a_stamp_that_comes_twice_is_out_of_order(rig, yes):
    robot = rig(load=yes)
    stamp = robot.feed(count=1)[0]
    robot.cameras["front"].send(stamp)
    assert robot.wait_until_received("front")["out_of_order"] == "1"
    assert len(robot.ask().frames) == 1


def test_a_picture_of_one_pixel_is_a_picture(rig):
    robot = rig()
    robot.cameras["front"].send(time.time_ns(), robot.cameras["front"].picture()[:1, :1])
    robot.wait_until_received("front")
    assert robot.ask().status == Answer.OK


def reliabilities(robot):
    """Of the node's subscriptions to its camera."""
    infos = robot.node.get_subscriptions_info_by_topic(robot.cameras["front"].topic)
    return [info.qos_profile.reliability for info in infos]


def test_a_best_effort_camera_is_heard_whatever_image_qos_says(rig, yes):
    for image_qos in ("sensor_data", "match"):
        robot = rig(load=yes, reliable=False, image_qos=image_qos)
        robot.feed(count=2)
        assert robot.ask().status == Answer.OK
        assert reliabilities(robot) == [ReliabilityPolicy.BEST_EFFORT]


def test_the_default_subscription_never_makes_a_camera_wait(rig, yes):
    assert reliabilities(rig(load=yes)) == [ReliabilityPolicy.BEST_EFFORT]


def test_image_qos_match_is_as_reliable_as_the_publisher(rig, yes):
    robot = rig(load=yes, image_qos="match")
    assert reliabilities(robot) == [ReliabilityPolicy.RELIABLE]
    robot.feed(count=2)
    assert robot.ask().status == Answer.OK


def test_a_camera_without_a_publisher_is_said(rig, yes):
    robot = rig(load=yes)
    robot.node.destroy_publisher(robot.cameras["front"].publisher)
    status, _ = robot.diagnostic("camera front", lambda status, values: values["publishers"] == "0")
    assert (status.level, status.message) == (status.ERROR, f"nobody publishes {robot.cameras['front'].topic}")


def test_an_inactive_node_says_who_publishes_and_an_active_one_what_it_is_connected_to(rig, yes):
    robot = rig(load=yes, active=False, image_qos="match")
    camera = robot.cameras["front"].topic
    assert robot.transition("configure")
    status, values = robot.diagnostic("camera front", lambda status, values: values["publishers"] == "1")
    assert (status.level, status.message, status.hardware_id) == (status.OK, "not active", camera)
    assert values["publisher_nodes"] == robot.node.get_fully_qualified_name()
    assert (values["matched"], values["reliability"]) == ("0", "")
    robot.activate()
    _, values = robot.diagnostic("camera front")
    assert (values["publishers"], values["matched"], values["reliability"]) == ("1", "1", "reliable")
    assert robot.transition("deactivate")
    status, values = robot.diagnostic("camera front", lambda status, values: values["matched"] == "0")
    assert (status.message, values["publishers"], values["reliability"]) == ("not active", "1", "")


def test_image_qos_match_follows_publishers_that_come_and_go_while_the_node_is_active(rig, peer, yes):
    robot = rig(load=yes, cameras={}, image_topics=["late/image_raw"], image_transport=["raw"], image_qos="match")
    topic = f"{robot.namespace}/late/image_raw"
    stranger = peer(cameras={}).node

    def settled(count, reliability):
        return lambda status, values: (
            (values["publishers"], values["matched"], values["reliability"]) == (str(count), str(count), reliability)
        )

    status, _ = robot.diagnostic("camera camera", settled(0, "best_effort"))
    assert (status.level, status.message) == (status.ERROR, f"nobody publishes {topic}")
    camera = stranger.create_publisher(Image, topic, 10)
    robot.diagnostic("camera camera", settled(1, "reliable"))
    robot.diagnostic(
        "camera camera", lambda _, values: values["publisher_nodes"] == stranger.get_fully_qualified_name()
    )
    stranger.destroy_publisher(camera)
    robot.diagnostic("camera camera", settled(0, "reliable"))
    stranger.create_publisher(Image, topic, qos_profile_sensor_data)
    robot.diagnostic("camera camera", settled(1, "best_effort"))


def test_a_topic_of_another_type_is_said(rig, peer, yes):
    robot = rig(load=yes, cameras={}, image_topics=["front/image_raw"], image_transport=["raw"])
    topic = f"{robot.namespace}/front/image_raw"
    peer(cameras={}).node.create_publisher(CompressedImage, topic, 10)
    status, values = robot.diagnostic("camera camera", lambda status, values: values["publishers"] == "1")
    assert (status.level, values["matched"]) == (status.ERROR, "0")
    assert status.message.startswith(f"{topic} is published, but not as sensor_msgs/msg/Image (image_transport)")


@pytest.mark.parametrize("transport", ["raw", "compressed", "compressedDepth"])
@pytest.mark.parametrize("topic", ["front/image_raw", "/front/image_raw"])
def test_who_remaps_a_cameras_topic_moves_all_its_transports(rig, yes, transport, topic):
    robot = rig(
        load=yes, cameras={"other": transport}, image_topics=[topic], remap={topic: "other/image_raw"}, active=False
    )
    assert robot.transition("configure")
    status, _ = robot.diagnostic("camera other")
    suffix = "" if transport == "raw" else f"/{transport}"
    assert status.hardware_id == f"{robot.namespace}/other/image_raw{suffix}"
    robot.activate()
    robot.feed("other", count=2)
    assert robot.ask().status == Answer.OK


def test_a_remapping_of_one_transport_moves_that_alone(rig, yes):
    rule = {"front/image_raw/compressed": "other/image_raw/compressed"}
    robot = rig(load=yes, cameras={"other": "compressed"}, image_topics=["front/image_raw"], remap=rule)
    robot.feed("other", count=2)
    assert robot.ask().status == Answer.OK


def test_two_cameras_whose_topics_are_exchanged_by_remapping(rig, yes):
    rules = {"front/image_raw": "side/image_raw", "side/image_raw": "front/image_raw"}
    cameras = {"front": "raw", "side": "compressed"}
    robot = rig(load=yes, cameras=cameras, remap=rules, active=False)
    assert robot.transition("configure")
    topics = {name: robot.diagnostic(f"camera {name}")[0].hardware_id for name in robot.cameras}
    assert topics == {
        "front": f"{robot.namespace}/side/image_raw",
        "side": f"{robot.namespace}/front/image_raw/compressed",
    }


def test_a_topic_that_is_remapped_to_one_with_its_transport_fails_configure(rig, yes):
    rule = {"/front/image_raw": "/other/image_raw/compressed"}
    robot = rig(load=yes, image_topics=["/front/image_raw"], image_transport=["compressed"], remap=rule, active=False)
    assert not robot.transition("configure")
    status, _ = robot.diagnostic("model")
    assert status.message == (
        "image_topics has '/front/image_raw', remapped to '/other/image_raw/compressed', with image_transport "
        "compressed, which appends /compressed itself: name the topic without it, '/other/image_raw'"
    )
