"""Texts for Foxglove and RViz over real DDS, and the shipped layouts: all that they show is published."""

from __future__ import annotations

import json
import re
import textwrap

import pytest
import yaml
from foxglove_msgs.msg import ImageAnnotations
from llava_ov_ros.msg import ActionHint, Answer
from rclpy.topic_endpoint_info import TopicEndpointTypeEnum
from visualization_msgs.msg import Marker, MarkerArray

from llava_ov_ros.node.overlays import Overlays
from llava_ov_ros.share import shipped

S = 1_000_000_000
LONG = "the blue mug beside the red book on the shelf " * 20


@pytest.fixture
def two(rig, scripted):
    """A node with two cameras whose model repeats the question."""
    return rig(cameras={"front": "raw", "side": "raw"}, load=scripted(lambda clips, question, *_: question))


def test_a_text_has_the_stamp_of_the_frame_that_it_stands_on(two):
    heard = two.listen(ImageAnnotations, "annotations")
    two.feed(count=2)
    answer = two.ask(LONG)
    texts = [one.texts for one in heard.wait_for_count(2)]
    newest = {frame.camera: frame.header.stamp for frame in answer.frames}
    assert [{one.timestamp.sec * S + one.timestamp.nanosec for one in those} for those in texts] == [
        {newest[name].sec * S + newest[name].nanosec} for name in ("front", "side")
    ]
    for those in texts:
        # Below one another, within the picture, and no more than two short paragraphs.
        below = [one.position.y for one in those]
        assert below == sorted(set(below)) and 2 < len(those) <= 8
        assert those[-1].text.endswith("…") and all(one.position.x > 0 for one in those)


def test_markers_stand_before_the_camera_until_its_picture_is_stale(two):
    heard = two.listen(MarkerArray, "markers")
    two.feed()
    answer = two.ask("what is there?")
    shown = heard.wait().markers
    assert [(one.ns, one.action, one.type) for one in shown] == [
        ("answer, front", Marker.ADD, Marker.TEXT_VIEW_FACING),
        ("answer, side", Marker.ADD, Marker.TEXT_VIEW_FACING),
    ]
    assert {(one.header.frame_id, one.text) for one in shown} == {
        (frame.header.frame_id, f"what is there?\nwhat is there? ({answer.confidence:.0%})") for frame in answer.frames
    }
    assert two.set(max_frame_age_s=0.01).successful
    assert two.ask("and now?").status == Answer.STALE
    gone = heard.wait_for_count(2)[-1].markers
    assert [(one.ns, one.action) for one in gone] == [("answer, front", Marker.DELETE), ("answer, side", Marker.DELETE)]
    # What is wrong with a request says nothing of the pictures.
    two.ask("")
    two.ask("and now?")
    assert len(heard.wait_for_count(3)) == 3


class Publisher:
    """In the place of a publisher that is heard."""

    def __init__(self):
        self.published = []
        self.publish = self.published.append

    def get_subscription_count(self):
        """One."""
        return 1


class Node:
    """In the place of a node: notes what it publishes."""

    def __init__(self):
        self.publishers = {}

    def create_publisher(self, kind, topic, depth):
        """A publisher that keeps what it publishes."""
        return self.publishers.setdefault(topic, Publisher())


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"hint": ActionHint.STEP, "action": "PickupObject", "arguments": ["mug"]}, "next: PickupObject mug"),
        ({"hint": ActionHint.DONE}, "done"),
        ({"hint": ActionHint.CANNOT_TELL}, "cannot tell"),
        ({"hint": ActionHint.UNSURE, "action": "PickupObject", "arguments": ["mug"]}, ""),
        ({"hint": ActionHint.NONE}, ""),
    ],
)
def test_a_hint_stands_before_the_camera(fields, text):
    node, hint = Node(), ActionHint(**fields)
    hint.header.frame_id = "optical"
    Overlays(node).hint(hint)
    ((marker,),) = [one.markers for one in node.publishers["~/markers"].published]
    assert (marker.ns, marker.text, marker.action) == ("hint", text, Marker.ADD if text else Marker.DELETE)
    assert marker.header == hint.header


def topics_of_foxglove():
    """Topics that config/foxglove.json shows, each with what its panel takes."""
    layout = json.loads(shipped("config/foxglove.json").read_text())
    panels, placed = layout["configById"], json.dumps(layout["layout"])
    assert set(re.findall(r'"(\w+!\w+)"', placed)) == set(panels), "every panel has a place, and every place a panel"
    for name, panel in panels.items():
        if "imageMode" in panel:
            yield panel["imageMode"]["imageTopic"], {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}
            for topic in panel["imageMode"]["annotations"]:
                yield topic, {"foxglove_msgs/msg/ImageAnnotations"}
        elif name.startswith("RawMessages!"):
            yield panel["topicPath"], None
        else:
            yield panel["topicToRender"], {"diagnostic_msgs/msg/DiagnosticArray"}


def topics_of_rviz():
    """Topics that config/llava_ov.rviz shows, each with what its display takes."""
    takes = {
        "rviz_default_plugins/Image": {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"},
        "rviz_default_plugins/MarkerArray": {"visualization_msgs/msg/MarkerArray"},
    }
    for display in yaml.safe_load(shipped("config/llava_ov.rviz").read_text())["Visualization Manager"]["Displays"]:
        if "Topic" in display:
            yield display["Topic"]["Value"], takes[display["Class"]]


@pytest.mark.parametrize("shown", [topics_of_foxglove, topics_of_rviz])
def test_all_that_a_layout_shows_is_published(rig, scripted, shown):
    robot = rig(cameras={"camera": "raw"}, load=scripted("a mug"))
    published = {
        name.removeprefix(robot.namespace): set(kinds)
        for name, kinds in robot.node.get_topic_names_and_types()
        if any(
            one.endpoint_type == TopicEndpointTypeEnum.PUBLISHER
            for one in robot.node.get_publishers_info_by_topic(name)
        )
    }
    for topic, takes in shown():
        assert topic in published, f"{topic} is not among {textwrap.shorten(str(sorted(published)), 400)}"
        assert takes is None or published[topic] <= takes, topic
