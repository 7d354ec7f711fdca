"""`llava-ov cameras`: what is published, what arrives of it, and what to do."""

from __future__ import annotations

import array
import itertools
import json
import os
import sys
import threading
from contextlib import contextmanager

import pytest

pytest.importorskip("rclpy", reason="looking at cameras needs ROS 2")

import rclpy
from ffmpeg_image_transport_msgs.msg import FFMPEGPacket
from foxglove_msgs.msg import RawImage
from rclpy.context import Context
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image

from llava_ov_ros.cli.main import main
from llava_ov_ros.fastdds import DEFAULT_SEGMENT_BYTES
from llava_ov_ros.live.camera_check import WatchedTopic, advice, watch_cameras
from llava_ov_ros.message_types import NO_THEORA, THEORA

pytestmark = pytest.mark.ros

MS = 1_000_000
ATTEMPTS = 10
NAMESPACE = f"/test_cameras_{os.getpid()}"


@contextmanager
def driver(name, prepare):
    """A node that publishes at 20 Hz, in a thread and a context of its own: `prepare(node)` gives what it does then."""
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(name, namespace=NAMESPACE, context=context)
    publish = prepare(node)
    done = threading.Event()

    def drive():
        while not done.wait(0.05):
            publish()

    thread = threading.Thread(target=drive)
    thread.start()
    yield
    done.set()
    thread.join()
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def two_cameras():
    """A raw best-effort camera and a compressed reliable one."""

    def prepare(node):
        raw = node.create_publisher(Image, "raw", QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
        compressed = node.create_publisher(CompressedImage, "jpeg/compressed", 5)
        node.create_publisher(Image, "silent", 5)

        def publish():
            image = Image(height=24, width=32, encoding="rgb8", step=96, data=bytes(24 * 96))
            image.header.stamp = node.get_clock().now().to_msg()
            raw.publish(image)
            compressed.publish(CompressedImage(header=image.header, format="jpeg", data=bytes(1000)))

        return publish

    with driver("drivers", prepare):
        yield


def listed(capsys, *topics):
    """Exit code of `llava-ov cameras`, its rows by topic and its remarks, once it has discovered these topics."""
    for _ in range(ATTEMPTS):
        code = main(["cameras", "--seconds", "3", "--json"])
        captured = capsys.readouterr()
        found = {row["topic"]: row for row in map(json.loads, captured.out.splitlines())}
        # On a busy machine discovery may take longer than the command looks.
        if found.keys() >= {f"{NAMESPACE}/{topic}" for topic in topics}:
            return code, found, captured.err
    raise AssertionError(f"{topics} were not all discovered in {ATTEMPTS} attempts, the last of which found {found}")


def test_the_table_names_type_reliability_rate_and_size(capsys, two_cameras):
    code, found, remarks = listed(capsys, "raw", "jpeg/compressed", "silent")
    raw, jpeg = found[f"{NAMESPACE}/raw"], found[f"{NAMESPACE}/jpeg/compressed"]
    assert (raw["type"], raw["reliability"], raw["picture"]) == ("sensor_msgs/msg/Image", "best_effort", "32x24 rgb8")
    assert (raw["size_bytes"], jpeg["size_bytes"]) == (24 * 96, 1000)
    assert (jpeg["type"], jpeg["reliability"]) == ("sensor_msgs/msg/CompressedImage", "reliable")
    assert 10 < raw["rate_hz"] < 21
    assert raw["delivered"] > 0.8
    assert found[f"{NAMESPACE}/silent"]["received"] == 0
    assert f"{NAMESPACE}/silent: nothing arrived" in remarks
    assert code == 1


def test_a_table_to_read(capsys, two_cameras):
    main(["cameras", "--seconds", "2"])
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["topic", "type", "publishers", "Hz", "KB", "arrived", "picture"]
    assert f"{NAMESPACE}/raw" in out


@pytest.fixture
def films(moving_pictures, encode_video):
    """A video as ffmpeg_image_transport sends it, another one in CompressedImage messages, and a Foxglove picture."""
    packets = itertools.cycle(encode_video("h264", moving_pictures(15)))

    def prepare(node):
        ffmpeg = node.create_publisher(FFMPEGPacket, "film/ffmpeg", 5)
        compressed = node.create_publisher(CompressedImage, "film/compressed", 5)
        raw = node.create_publisher(RawImage, "film/raw", 5)

        def publish():
            now, data = node.get_clock().now().to_msg(), array.array("B", next(packets))
            packet = FFMPEGPacket(width=320, height=240, encoding="hevc;yuv420p;bgr8;bgr8", data=data)
            packet.header.stamp = now
            ffmpeg.publish(packet)
            compressed.publish(CompressedImage(header=packet.header, format="h264", data=data))
            raw.publish(RawImage(timestamp=now, width=4, height=2, encoding="mono8", step=4, data=bytes(8)))

        return publish

    with driver("films", prepare):
        yield


def test_video_is_called_so(capsys, films):
    _, found, _ = listed(capsys, "film/ffmpeg", "film/compressed", "film/raw")
    assert found[f"{NAMESPACE}/film/ffmpeg"]["picture"] == "H.265 video"
    assert found[f"{NAMESPACE}/film/ffmpeg"]["type"] == "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"
    assert found[f"{NAMESPACE}/film/compressed"]["picture"] == "H.264 video"
    assert found[f"{NAMESPACE}/film/raw"]["picture"] == "4x2 mono8"
    assert all(row["stamped"] for row in found.values() if row["received"])


def test_video_without_av_names_the_extra(capsys, films, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(["cameras", "--seconds", "2"]) == 1
    out = capsys.readouterr().out
    assert f"{NAMESPACE}/film/compressed: video needs the package av" in out
    assert "pip install 'av>=17,<19'" in out


def test_theora_is_refused_by_name():
    theora = WatchedTopic("/c/theora", THEORA, "reliable", picture="Theora video", problem=NO_THEORA)
    assert advice([theora], "p.xml") == [f"/c/theora: {NO_THEORA}"]


def topic(times_ms, lost=0, size_bytes=1000):
    return WatchedTopic("/c", "sensor_msgs/msg/Image", "reliable", [ms * MS for ms in times_ms], lost, size_bytes)


def test_all_there():
    whole = topic(range(1, 1001, 100))
    assert (whole.delivered, whole.rate_hz) == (1.0, 10.0)
    assert advice([whole], "p.xml") == []


def test_gaps_in_the_stamps_are_missing_frames():
    assert topic([1, 101, 201, 301, 601, 701, 801, 901]).delivered == pytest.approx(0.8)


def test_what_the_middleware_lost_counts_where_it_is_more_than_the_gaps_show():
    assert topic([1, 1001, 2001], lost=27).delivered == pytest.approx(0.1)


def test_nothing_can_be_known_of_two_messages():
    assert topic([1, 101]).delivered is None


def test_a_large_frame_that_is_lost_points_to_the_profile():
    lines = advice([topic([1, 101, 201], lost=3, size_bytes=DEFAULT_SEGMENT_BYTES + 1)], "/x/fastdds.xml")
    assert "50% of the frames are missing" in lines[0]
    assert "512 KB shared-memory segment" in lines[0]
    assert "FASTRTPS_DEFAULT_PROFILES_FILE=/x/fastdds.xml" in lines[1]
    assert "FASTDDS_DEFAULT_PROFILES_FILE=/x/fastdds.xml" in lines[1]


def test_a_large_frame_that_arrives_is_fine():
    assert advice([topic(range(1, 1001, 100), size_bytes=3 * DEFAULT_SEGMENT_BYTES)], "p.xml") == []


def test_a_small_frame_that_is_lost_has_another_cause():
    [line] = advice([topic([1, 101, 201], lost=3)], "p.xml")
    assert "the network loses packets" in line


def test_messages_without_a_stamp_are_told():
    [line] = advice([topic([0, 0, 0])], "p.xml")
    assert "without a header stamp" in line


def test_an_empty_graph(capsys, monkeypatch, domain_of_children):
    monkeypatch.setenv("ROS_DOMAIN_ID", domain_of_children)
    assert main(["cameras", "--seconds", "1"]) == 1
    assert "No image topic was published" in capsys.readouterr().err
    assert watch_cameras(0.1) == []
