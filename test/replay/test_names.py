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
    ],
)
def test_name_of_one_topic(topic, name):
    assert camera_names([topic]) == {topic: name}


def test_equal_names_get_what_stands_before_them():
    names = camera_names(["/left/color/image_raw", "/right/color/image_raw", "/spot/hand/image"])
    assert list(names.values()) == ["left_color", "right_color", "hand"]


@pytest.mark.parametrize(
    "topics",
    [
        ["/camera/image_raw", "/camera/image_raw/compressed", "/camera/image_rect"],
        ["/a/b/image", "/b/image"],
        ["/image", "/image_raw", "/camera"],
        ["/a/b_c/image", "/a_b/c/image", "/x/c/image"],
    ],
)
def test_names_are_always_different(topics):
    assert len(set(camera_names(topics).values())) == len(topics)
