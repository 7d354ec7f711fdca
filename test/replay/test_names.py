"""Cameras get short, different names from their topics."""

from __future__ import annotations

import pytest

from llava_ov_ros.replay import camera_names


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("/spot/camera/hand_color/image", "hand_color"),
        ("/camera/image_raw/compressed", "camera"),
        ("/camera/image_raw", "camera"),
        ("/camera/depth/image_rect_raw/compressedDepth", "depth"),
        ("/usb_cam/image_raw", "usb_cam"),
        ("/image_raw", "camera"),
        ("/front", "front"),
        ("camera/image", "camera"),
        ("/device_0/sensor_1/Color_0/image/data", "Color_0"),
        ("/left/compressed_image", "left"),
        ("/data", "data"),
    ],
)
def test_name_of_one_topic(topic, name):
    assert camera_names([topic]) == {topic: name}


def test_equal_names_get_what_stands_before_them():
    names = camera_names(["/left/color/image_raw", "/right/color/image_raw", "/spot/hand/image"])
    assert list(names.values()) == ["left_color", "right_color", "hand"]


def test_topics_of_two_realsense_cameras_are_told_apart_by_stream_and_device():
    topics = [
        f"/device_{d}/sensor_{s}/{name}/image/data" for d in (0, 1) for s, name in ((0, "Depth_0"), (1, "Color_0"))
    ]
    assert list(camera_names(topics[:2]).values()) == ["Depth_0", "Color_0"]
    assert list(camera_names(topics).values()) == [
        "device_0_sensor_0_Depth_0",
        "device_0_sensor_1_Color_0",
        "device_1_sensor_0_Depth_0",
        "device_1_sensor_1_Color_0",
    ]


def test_several_topics_of_one_camera_are_told_apart_by_what_stands_behind_it():
    names = camera_names(["/stereo/left/image_raw", "/stereo/left/image_rect", "/stereo/right/image_raw"])
    assert list(names.values()) == ["stereo_left_image_raw", "stereo_left_image_rect", "right"]


@pytest.mark.parametrize(
    "topics",
    [
        ["/camera/image_raw", "/camera/image_raw/compressed", "/camera/image_rect"],
        ["/a/b/image", "/b/image"],
        ["/image", "/image_raw", "/camera"],
        ["/a/b_c/image", "/a_b/c/image", "/x/c/image"],
        ["/front/image", "front/image"],
        ["/left/image", "/left/image_raw", "/left_image"],
    ],
)
def test_names_are_always_different(topics):
    assert len(set(camera_names(topics).values())) == len(topics)
