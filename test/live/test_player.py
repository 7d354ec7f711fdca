"""Names of the topics that a recording is played on."""

import pytest

from llava_ov_ros.live.player import staged_base, staged_name
from llava_ov_ros.replay import ImageTopic


@pytest.mark.parametrize(
    ("name", "transport", "base"),
    [
        ("/a/raw", "raw", "/a/raw"),
        ("a/raw", "raw", "/a/raw"),
        ("/a/image/compressed", "compressed", "/a/image"),
        ("a/image/compressedDepth", "compressedDepth", "/a/image"),
        ("/a/image/ffmpeg", "ffmpeg", "/a/image"),
        ("/a/image/foxglove", "foxglove", "/a/image"),
        ("/a/video", "foxglove_msgs/msg/CompressedVideo", "/a/video"),
        ("/a/jpeg", "sensor_msgs/msg/CompressedImage", "/a/jpeg"),
    ],
)
def test_a_topic_is_staged_under_its_base_and_its_transport(name, transport, base):
    topic = ImageTopic(name, "", transport, 0, 0, 0, stamped=True)
    assert staged_base(topic) == base
    assert staged_base(topic, "/room") == f"/room{base}"
    assert staged_name(topic, "/room") == f"/room/{name.lstrip('/')}"
