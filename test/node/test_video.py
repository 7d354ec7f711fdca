"""Video over real topics: frames are those of av's own decoding, from the first key frame on."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest
from llava_ov_ros.msg import Answer
from rcl_interfaces.msg import Log

from llava_ov_ros.frames import stamp_ns
from llava_ov_ros.live.playback import LiveSession
from llava_ov_ros.live.player import staged_base
from llava_ov_ros.node import other_messages
from llava_ov_ros.node.image_messages import to_ros
from llava_ov_ros.node.messages import to_stamp
from llava_ov_ros.replay import image_topics, read_messages

S = 1_000_000_000
VIDEO = "foxglove_msgs/msg/CompressedVideo"
CAMERAS = {"front": "ffmpeg", "left": "foxglove", "right": "compressed", "rear": VIDEO}


@pytest.fixture(scope="module")
def packets(moving_pictures, encode_video):
    return {codec: encode_video(codec, moving_pictures(60)) for codec in ("h264", "h265")}


@pytest.fixture
def seen():
    """Clips that the model was last asked about, by camera."""
    return {}


@pytest.fixture
def watching(scripted, seen):
    def script(clips, *_):
        seen.update({clip.camera: clip.frames for clip in clips})
        return "yes"

    return scripted(script)


def ask_about_all(robot, stamps):
    return robot.ask(from_stamp=to_stamp(stamps[0]), to_stamp=to_stamp(stamps[-1]), max_frames=100)


@pytest.mark.parametrize(("codec", "first"), [("h264", 0), ("h265", 0), ("h264", 22)])
def test_pictures_of_every_message_type_are_those_of_avs_own_decoding(
    codec, first, rig, watching, seen, packets, decode_video
):
    robot = rig(load=watching, cameras=CAMERAS, buffer_frames=100)
    base_ns = time.time_ns() - 7 * S
    stamps = [base_ns + number * S // 10 for number in range(60)]
    for number in range(first, 60):
        for camera in robot.cameras.values():
            camera.send_packet(stamps[number], packets[codec][number], codec)
    for name in CAMERAS:
        values = robot.wait_until_received(name)
        assert (values["admitted"], values["awaiting_key_frame"]) == (("60", "0") if first == 0 else ("30", "8"))
    answer = ask_about_all(robot, stamps)
    assert answer.status == Answer.OK
    begin = 0 if first == 0 else 30
    truth = decode_video(codec, packets[codec])[begin:]
    for name in CAMERAS:
        assert [frame.stamp_ns for frame in seen[name]] == stamps[begin:]
        for frame, right in zip(seen[name], truth, strict=True):
            assert np.array_equal(frame.rgb, right)
    used = [frame for frame in answer.frames if frame.camera == "rear"]
    assert [stamp_ns(frame.header.stamp) for frame in used] == stamps[begin:]
    assert {frame.header.frame_id for frame in used} == {"optical"}


def test_without_a_key_frame_the_answer_says_what_is_waited_for(rig, watching, packets):
    robot = rig(load=watching, cameras={"front": "ffmpeg"})
    for number in range(1, 5):
        robot.cameras["front"].send_packet(time.time_ns(), packets["h264"][number])
    robot.wait_until_received("front")
    answer = robot.ask()
    assert answer.status == Answer.NO_FRAMES
    assert "4 messages received, 4 waiting for a key frame" in answer.message
    status, values = robot.diagnostic("camera front")
    assert status.level == status.ERROR
    assert "no usable frame yet (4 messages received, 4 waiting for a key frame" in status.message
    assert values["awaiting_key_frame"] == "4"


def test_a_lost_message_is_warned_of_and_waited_out(rig, watching, packets):
    robot = rig(load=watching, cameras={"front": "foxglove"})
    log = robot.listen(Log, "/rosout")
    for number in (0, 1, 3, 4, 15, 16):
        robot.cameras["front"].send_packet(time.time_ns(), packets["h264"][number])
    values = robot.wait_until_received("front")
    assert (values["admitted"], values["damaged"], values["awaiting_key_frame"]) == ("4", "1", "1")
    warning = log.wait(lambda line: line.level == Log.WARN)
    assert "frames before it are missing: its frame number is 3, that of the frame before it 1" in warning.msg


def test_an_activated_node_waits_for_a_key_frame_again(rig, watching, packets):
    robot = rig(load=watching, cameras={"front": "foxglove"})
    robot.cameras["front"].send_packet(time.time_ns(), packets["h264"][0])
    robot.wait_until_received("front")
    assert robot.transition("deactivate")
    robot.activate()
    robot.cameras["front"].send_packet(time.time_ns(), packets["h264"][1])
    values = robot.wait_until_received("front")
    assert (values["admitted"], values["awaiting_key_frame"]) == ("1", "1")


def test_without_av_configure_names_the_extra(rig, watching, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    robot = rig(load=watching, cameras={"front": "ffmpeg"}, active=False)
    assert not robot.transition("configure")
    status, _ = robot.diagnostic("model")
    assert status.message.startswith("image_transport has ffmpeg, and video needs the package av")
    assert "pip install 'av>=17,<19'" in status.message


def test_without_the_messages_configure_names_the_package(rig, watching, monkeypatch):
    robot = rig(load=watching, cameras={"front": "foxglove"}, active=False)
    imported = other_messages.importlib.import_module

    def missing(name):
        if name.startswith("foxglove_msgs"):
            raise ModuleNotFoundError(name=name)
        return imported(name)

    monkeypatch.setattr(other_messages.importlib, "import_module", missing)
    assert not robot.transition("configure")
    monkeypatch.undo()
    status, _ = robot.diagnostic("model")
    assert status.message.startswith(
        f"{VIDEO} needs the package foxglove_msgs, which is not installed: apt install ros-"
    )
    assert "-foxglove-msgs, or build it in your workspace" in status.message


@pytest.mark.parametrize("topic", ["/video", "/image/foxglove"])
def test_a_bag_is_played_to_the_node_with_its_own_types(
    topic, rig, watching, seen, packets, decode_video, write_video_bag, tmp_path
):
    bag = write_video_bag(tmp_path / "bag", topic, packets["h264"])
    (recorded,) = image_topics(bag)
    robot = rig(
        load=watching,
        cameras={},
        active=False,
        image_topics=[staged_base(recorded)],
        image_transport=[recorded.transport],
        image_qos="match",
        use_sim_time=True,
        buffer_frames=100,
    )
    with LiveSession(bag, [topic], robot.name, 8.0) as session:
        robot.start()
        session.wait_until_heard()
        session.play([], 30.0, lambda answer: None)
        robot.diagnostic("camera camera", lambda status, values: values["received"] == "60")
        stamps = [recorded.first_ns + number * S // 10 for number in range(60)]
        ask_about_all(robot, stamps)
    for frame, right, stamp in zip(seen["camera"], decode_video("h264", packets["h264"]), stamps, strict=True):
        assert frame.stamp_ns == stamp
        assert np.array_equal(frame.rgb, right)


def test_a_recorded_message_becomes_the_same_message_of_ros(packets, write_video_bag, tmp_path):
    bag = write_video_bag(tmp_path / "bag", "/video", packets["h264"][:1])
    (message,) = read_messages(bag, ["/video"])
    made = to_ros(message.message)
    assert (made.frame_id, made.format, made.data.tobytes()) == ("optical", "h264", packets["h264"][0])
    assert stamp_ns(made.timestamp) == message.time_ns
