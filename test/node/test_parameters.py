"""Parameters: every one described and used, bad values refused with a reason, live ones live."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from rcl_interfaces.msg import ParameterType
from rclpy.exceptions import ParameterException
from rclpy.parameter import Parameter, parameter_value_to_python

import llava_ov_ros.settings.parameters as parameters_module
from llava_ov_ros.frames import camera_settings
from llava_ov_ros.node import ros_parameters
from llava_ov_ros.node.node import LlavaOvNode
from llava_ov_ros.node.ros_parameters import descriptor
from llava_ov_ros.settings import ParameterError, Settings, about

NUMBERS = [entry for entry in fields(Settings) if about(entry).low is not None]
LIVE = [entry.name for entry in fields(Settings) if about(entry).live]


@pytest.fixture
def robot(rig, scripted):
    return rig(load=scripted(lambda *_: "an answer"))


def test_every_parameter_is_described(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), active=False)
    described = {message.name: message for message in robot.describe()}
    assert {entry.name for entry in fields(Settings)} <= described.keys()
    for entry in fields(Settings):
        message, rule = described[entry.name], about(entry)
        assert len(message.description) > 15, entry.name
        if rule.choices:
            assert all(str(choice) in message.additional_constraints for choice in rule.choices)
        if rule.low is not None:
            (bounds,) = message.integer_range or message.floating_point_range
            assert (bounds.from_value, bounds.to_value) == (rule.low, rule.high)
        if entry.type in ("int", "float"):
            assert rule.low is not None, f"{entry.name} has no range"
        if entry.name.endswith(("_s", "_hz", "_m", "_mb", "_deg")):
            assert entry.type == "float" or "Megabytes" in message.description or "turn" in message.description


def test_ranges_are_floats_where_the_message_wants_floats():
    """A message of rclpy takes an int for a float without a word, and the process aborts in C."""
    for entry in fields(Settings):
        for bounds in descriptor(entry).floating_point_range:
            assert type(bounds.from_value) is type(bounds.to_value) is float, entry.name


def test_the_defaults_are_the_tables(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), active=False)
    names = [entry.name for entry in fields(Settings) if entry.name not in robot.parameters]
    values = [parameter_value_to_python(value) for value in robot.outcome(robot.get_later(*names)).values]
    defaults = Settings()
    assert dict(zip(names, map(plain, values), strict=True)) == {name: getattr(defaults, name) for name in names}


def plain(value):
    return value if isinstance(value, (str, bool, int, float)) else list(value)


def test_every_parameter_is_read_somewhere():
    """Its name stands in the code of the node or of its cameras, outside the table that declares it."""
    table = Path(parameters_module.__file__).read_text()
    code = "\n".join(path.read_text() for path in Path(ros_parameters.__file__).parent.glob("*.py"))
    code += Path(camera_settings.__file__).read_text() + table[table.index("def __post_init__") :]
    assert [entry.name for entry in fields(Settings) if f"{entry.name}" not in code] == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"max_new_token": 5}, "unknown parameter max_new_token; `llava-ov parameters` lists those that there are"),
        ({"image_topics": ["/a b"]}, "image_topics has '/a b': Invalid topic name"),
        ({"image_transport": ["draco"]}, "image_transport is 'draco': allowed are raw, compressed, compressedDepth"),
        ({"image_transport": ["theora"]}, "image_transport has 'theora': Theora is not decoded: publish compressed"),
        ({"stamp_source": ["driver"]}, "stamp_source is 'driver': allowed are header, arrival"),
        ({"value_range": ["12 bit"]}, "value_range is '12 bit': allowed are default, auto, or the values shown"),
        ({"rotations_deg": [45]}, "rotations_deg is 45: allowed are 0, 90, 180, 270"),
        ({"visual_mode": "film"}, "visual_mode is 'film'"),
        ({"max_new_tokens": 0}, "out of range. Min: 1, Max: 4096"),
        ({"deadline_s": -1.0}, "out of range"),
        ({"deadline_s": 0}, "out of range"),
        ({"deadline_s": True}, "expecting type 'DOUBLE'"),
    ],
)
def test_a_bad_value_at_start_is_refused_with_a_reason(rig, given, reason):
    with pytest.raises((ParameterError, ParameterException)) as error:
        rig(active=False, **given)
    assert reason in str(error.value)


TOGETHER = [
    ({"image_topics": ["/a", "/b"]}, "image_topics has 2 entries and cameras 1: give one topic per camera"),
    ({"image_transport": ["raw", "raw"]}, "image_transport has 2 entries: give one for all cameras, or one for each"),
    (
        {"image_topics": ["/c/image_raw/compressed"], "image_transport": ["compressed"]},
        "image_topics has '/c/image_raw/compressed' with image_transport compressed, which appends /compressed itself: "
        "name the topic without it, '/c/image_raw'",
    ),
    ({"stamp_source": ["header", "arrival"]}, "stamp_source has 2 entries: give one for all cameras, or one for each"),
    ({"rotations_deg": [0, 90, 0]}, "give one for all cameras, or one for each of the 1"),
    ({"clip_frames": 1}, "clip_min_frames 2, clip_frames 1 and buffer_frames 32 must not become less in this order"),
    ({"value_range": ["auto", "default"]}, "value_range has 2 entries: give one for all cameras, or one for each"),
    ({"admission_rate_hz": 0.1, "max_frame_age_s": 2.0}, "every answer would be STALE"),
]
"""Values that are allowed each by itself, and do not fit together."""


@pytest.mark.parametrize(("given", "reason"), TOGETHER, ids=lambda value: str(value))
def test_values_that_do_not_fit_together_fail_configure_with_a_reason_and_can_be_mended(rig, scripted, given, reason):
    robot = rig(load=scripted(lambda *_: "an answer"), active=False)
    before = {name: robot.live.get_parameter(name).value for name in given}
    for name, value in given.items():
        assert robot.set(**{name: value}).successful
    assert not robot.transition("configure")
    status, _ = robot.diagnostic("model")
    assert status.level == status.ERROR
    assert reason in status.message
    for name, value in before.items():
        assert robot.set(**{name: plain(value)}).successful
    assert robot.transition("configure")


def test_given_at_start_they_fail_configure_too(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), active=False, image_topics=["/a", "/b"])
    assert not robot.transition("configure")
    assert "give one topic per camera" in robot.diagnostic("model")[0].message


def test_a_configured_node_refuses_at_once_what_would_not_fit_together(robot):
    for values, reason in (
        ({"clip_frames": 1}, "must not become less in this order: change them together"),
        ({"clip_min_frames": 5}, "must not become less in this order"),
    ):
        result = robot.set(**values)
        assert not result.successful
        assert reason in result.reason
    assert robot.set(clip_frames=1, clip_min_frames=1).successful
    robot.feed(count=3)
    assert len(robot.ask().frames) == 1


def load_file(robot, path):
    """Set parameters as `ros2 param load` does: those of the file, one after the other; reasons of those refused."""
    results = robot.outcome(robot.load_later(path)).results
    return [result.reason for result in results if not result.successful]


def test_the_number_of_cameras_changes_by_param_set_and_param_load(rig, scripted, tmp_path):
    robot = rig(load=scripted(lambda *_: "an answer"), cameras={"front": "raw", "side": "raw"}, active=False)
    topics = robot.parameters["image_topics"]
    # As with `ros2 param set`: to one camera, a parameter at a time.
    for name, value in (("cameras", ["side"]), ("image_topics", topics[1:]), ("image_transport", ["raw"])):
        assert robot.set(**{name: value}).successful
    assert robot.transition("configure")
    robot.diagnostic("camera side")
    assert robot.transition("cleanup")
    # And back to two from a file, whose doubles are written as people do.
    file = tmp_path / "two.yaml"
    values = {"cameras": ["front", "side"], "image_topics": topics, "max_frame_age_s": 60, "deadline_s": 5}
    file.write_text(yaml.safe_dump({robot.name: {"ros__parameters": values}}))
    assert load_file(robot, file) == []
    robot.start()
    robot.feed(count=2)
    assert {frame.camera for frame in robot.ask().frames} == {"front", "side"}


def test_whole_numbers_are_doubles_at_start_and_when_set(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), deadline_s=5, admission_rate_hz=0, diagnostics_period_s=0.1)
    assert robot.set(max_frame_age_s=7).successful
    values = robot.outcome(robot.get_later("deadline_s", "admission_rate_hz", "max_frame_age_s")).values
    assert [parameter_value_to_python(value) for value in values] == [5.0, 0.0, 7.0]
    assert {value.type for value in values} == {ParameterType.PARAMETER_DOUBLE}
    # What is no number stays refused, and so does a double for a whole number.
    for given in ({"deadline_s": True}, {"deadline_s": "5"}, {"clip_frames": 3.0}):
        assert "Wrong parameter type" in robot.set(**given).reason
    assert "deadline_s out of range" in robot.set(deadline_s=0).reason
    robot.feed(count=2)
    assert robot.ask().status == 0


def test_a_node_that_is_refused_leaves_the_graph_at_once(peer, wait_until):
    """Not when its memory is collected, which can hang: the traceback that is kept here keeps it from that."""
    beside = peer()

    def names():
        return beside.node.get_node_names_and_namespaces()

    seen = wait_until(names, "the graph")
    with pytest.raises(ParameterError) as error:
        LlavaOvNode(
            context=beside.context, namespace=beside.namespace, parameter_overrides=[Parameter("clip_frame", value=1)]
        )
    assert error.tb is not None
    wait_until(lambda: names() == seen, "the end of the refused node")


@pytest.mark.parametrize("names", [["front", "front"], ["front", ""], []])
def test_every_camera_needs_a_name_of_its_own(names):
    with pytest.raises(ParameterError, match="give each camera a name of its own"):
        Settings(cameras=names, image_topics=["/a"] * len(names))


def test_an_empty_list_means_no_standing_questions(rig, scripted):
    """As in a YAML file, where it has no type; rclpy's own parameters cannot be made so."""
    robot = rig(load=scripted(lambda *_: "an answer"), active=False, standing_questions=[""])
    assert robot.live._configuration.now.settings.questions() == []


@pytest.mark.parametrize("entry", NUMBERS, ids=lambda entry: entry.name)
def test_a_number_out_of_range_is_refused(entry):
    rule, kind = about(entry), int if entry.type == "int" else float
    for value in (kind(rule.low - 1), kind(rule.high * 2 + 1), float("nan")):
        with pytest.raises(ParameterError, match=f"{entry.name} is .*: allowed is"):
            Settings(**{entry.name: value})


def test_values_out_of_range_are_refused_at_run_time(robot):
    for values, reason in (
        ({"clip_frames": 0}, "clip_frames out of range"),
        ({"deadline_s": 0.0}, "deadline_s out of range"),
        ({"deadline_s": float("nan")}, "deadline_s"),
        ({"visual_mode": "film"}, "visual_mode is 'film': allowed are video, multi_image, image"),
        ({"queue_policy": "wait"}, "queue_policy is 'wait': allowed are reject, drop_oldest"),
        ({"max_new_tokens": "many"}, "Wrong parameter type"),
        ({"no_such": 1}, "undeclared parameter"),
    ):
        result = robot.set(**values)
        assert not result.successful
        assert reason in result.reason
    robot.feed(count=2)
    assert robot.ask().status == 0


def test_all_or_none_of_several_values_is_set(robot):
    assert not robot.set(clip_frames=2, visual_mode="film").successful
    values = robot.outcome(robot.get_later("clip_frames", "visual_mode")).values
    assert (values[0].integer_value, values[1].string_value) == (4, "video")
    robot.feed(count=4)
    assert len(robot.ask().frames) == 4


def test_live_parameters_take_effect_at_once(robot):
    stamps = robot.feed(count=4, period_s=0.5)
    assert len(robot.ask().frames) == 4
    assert robot.set(clip_frames=2).successful
    assert len(robot.ask().frames) == 2
    assert robot.set(clip_frames=4, clip_window_s=0.6).successful
    assert len(robot.ask().frames) == 2
    assert stamps


def test_those_that_are_not_live_are_refused_until_cleaned_up(robot):
    for values in ({"queue_size": 3}, {"cameras": ["other"]}, {"model": "elsewhere"}, {"admission_rate_hz": 3.0}):
        result = robot.set(**values)
        assert not result.successful
        (name,) = values
        assert result.reason == f"{name} takes effect at configure: deactivate and clean up the node, then set it"
    # The value that it has already is no change.
    assert robot.set(queue_size=8).successful
    assert robot.transition("deactivate")
    assert not robot.set(queue_size=3).successful
    assert robot.transition("cleanup")
    assert robot.set(queue_size=3, cameras=["nose"]).successful
    assert robot.transition("configure")
    assert robot.transition("activate")
    assert robot.diagnostic("queue")[1]["size"] == "3"
    assert robot.diagnostic("camera nose")[0].hardware_id == robot.cameras["front"].topic


def test_the_period_of_the_diagnostics_changes_in_every_state(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), active=False, diagnostics_period_s=60.0)
    assert robot.set(diagnostics_period_s=0.1).successful
    robot.diagnostics.wait_for_count(3)


def test_the_model_parameters_reach_the_loader(rig, scripted):
    seen = []

    def load(settings):
        seen.append((settings.model, settings.device, settings.dtype, settings.attention))
        return scripted(lambda *_: "an answer")(settings)

    rig(load=load, model="a/b", device="cpu", dtype="bfloat16", attention="eager")
    assert seen == [("a/b", "cpu", "bfloat16", "eager")]


def test_the_camera_parameters_reach_the_frames(rig, scripted):
    shapes = []

    def look(clips, question, on_text, should_stop):
        shapes.extend(frame.rgb.shape for clip in clips for frame in clip.frames)
        return "an answer"

    robot = rig(
        load=scripted(look),
        rotations_deg=[90],
        max_image_pixels=64 * 48,
        buffer_frames=3,
        clip_frames=3,
        admission_rate_hz=1.0,
        clip_window_s=60.0,
    )
    robot.feed(count=9, period_s=0.5)
    robot.cameras["front"].send(robot.feed(count=1)[0] + 1, height=96, data=b"\0" * (96 * 64 * 3))
    values = robot.wait_until_received("front")
    assert len(robot.ask().frames) == 3
    assert set(shapes) == {(64, 48, 3)}
    assert values["buffered_frames"] == "3"
    assert int(values["not_due"]) >= 4


def test_admission_by_change_and_sharpness(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), admission_min_change=200.0, admission_min_sharpness=0.001)
    robot.feed(count=3)
    values = robot.wait_until_received("front")
    assert (values["admitted"], values["unchanged"]) == ("1", "2")
