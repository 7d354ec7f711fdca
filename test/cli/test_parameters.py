"""`llava-ov parameters`, and the committed parameters file that is made by it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from llava_ov_ros.cli.main import main
from llava_ov_ros.settings import Settings
from llava_ov_ros.share import shipped

COMMITTED = Path(__file__).resolve().parents[2] / "config" / "llava_ov.yaml"


def printed(capsys, *options):
    assert main(["parameters", *options]) == 0
    return capsys.readouterr().out


def test_the_committed_file_is_what_the_command_prints(capsys):
    assert COMMITTED.read_text() == printed(capsys, "--yaml"), "run: llava-ov parameters --yaml > config/llava_ov.yaml"


def test_the_file_holds_every_default():
    values = yaml.safe_load(COMMITTED.read_text())["/**"]["ros__parameters"]
    assert Settings(**values) == Settings()
    assert list(values) == [entry.name for entry in fields(Settings)]


@pytest.mark.ros
def test_ros_reads_the_file():
    rclpy = pytest.importorskip("rclpy", reason="the node needs ROS 2")
    from rclpy.context import Context

    context = Context()
    arguments = ["--ros-args", "--params-file", str(shipped("config/llava_ov.yaml"))]
    rclpy.init(args=arguments, context=context)
    try:
        node = rclpy.create_node("any_name", context=context, automatically_declare_parameters_from_overrides=True)
        try:
            for entry in fields(Settings):
                value = node.get_parameter(entry.name).value
                expected = getattr(Settings(), entry.name)
                assert type(value) is type(expected) or list(value) == expected
                assert value == expected or list(value) == expected
        finally:
            node.destroy_node()
    finally:
        rclpy.shutdown(context=context)


def test_markdown_has_a_row_for_each(capsys):
    lines = printed(capsys, "--markdown").splitlines()
    assert len(lines) == 2 + len(fields(Settings))
    assert {line.count(" | ") for line in lines if "---" not in line} == {5}
    assert (
        "| `clip_frames` | integer | `4` | 1 to 128 | at once | "
        "Most frames of one camera in a clip; the clip that stands for now grows up to it |" in lines
    )


def test_the_list_names_default_range_and_meaning(capsys):
    out = printed(capsys)
    for entry in fields(Settings):
        assert f"\n{entry.name} " in f"\n{out}"
    assert "(string, live, one of video, multi_image, image)" in out
