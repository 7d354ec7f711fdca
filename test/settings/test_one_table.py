"""What means the same as a parameter has the parameter's default, its range and its choices, wherever it stands."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from llava_ov_ros.cli.main import make_parser
from llava_ov_ros.evaluation.suite import suite_file
from llava_ov_ros.evaluation.suite.suite_file import ClipSettings, ModelSettings, PlanningSettings
from llava_ov_ros.frames import AdmissionSettings, CameraSettings, GrowthSettings
from llava_ov_ros.frames.camera_settings import camera_settings, growth_settings, recording_settings
from llava_ov_ros.frames.decode_options import RECORDED_PIXELS
from llava_ov_ros.planning import PlanOptions
from llava_ov_ros.questions import Query
from llava_ov_ros.remote import RemoteSettings
from llava_ov_ros.replay import ReplaySettings
from llava_ov_ros.settings import DEFAULTS, ParameterError, Settings, check_together, parameter
from llava_ov_ros.settings.allowed_values import CERTIFIED

# Field of a suite's file, and of its schema, by parameter.
IN_SUITES = {
    "clip": {
        "frames": "clip_frames",
        "rate_hz": "admission_rate_hz",
        "max_age_s": "max_frame_age_s",
        "frozen_after_s": "frozen_after_s",
    },
    "server": {
        "model": "remote_model",
        "image_px": "remote_image_px",
        "image_format": "remote_image_format",
        "jpeg_quality": "remote_jpeg_quality",
        "requests": "remote_requests",
        "connect_s": "remote_connect_s",
        "silence_s": "remote_silence_s",
        "retries": "remote_retries",
        "key_file": "remote_key_file",
        "ca_file": "remote_ca_file",
    },
    "planning": {"decoding": "plan_decoding", "repairs": "plan_repairs", "grounding": "plan_grounding"},
    "": {
        "model": "model",
        "device": "device",
        "dtype": "dtype",
        "prompts": "prompts",
        "actions": "actions",
        "mode": "visual_mode",
        "max_new_tokens": "max_new_tokens",
    },
}
# Option of a command by parameter.
OF_CLIPS = {
    "frames": "clip_frames",
    "rate_hz": "admission_rate_hz",
    "max_age": "max_frame_age_s",
    "frozen_after": "frozen_after_s",
    "model": "model",
    "device": "device",
    "dtype": "dtype",
    "mode": "visual_mode",
}
IN_COMMANDS = {
    ("replay", "bag"): OF_CLIPS | {"max_new_tokens": "max_new_tokens", "deadline": "deadline_s"},
    ("plan", "bag", "--goal", "a goal"): OF_CLIPS
    | {"actions": "actions", "prompts": "prompts", "decoding": "plan_decoding", "repairs": "plan_repairs"},
    ("demo",): {"model": "model"},
}


def test_cameras_and_their_growing_clips():
    assert CameraSettings(decode=camera_settings(DEFAULTS, 0).decode) == camera_settings(DEFAULTS, 0)
    assert GrowthSettings() == growth_settings(DEFAULTS)
    assert AdmissionSettings() == camera_settings(DEFAULTS, 0).admission


def test_a_camera_of_a_recording_is_that_of_a_node_but_for_what_is_kept_and_how_large_pictures_are():
    live = camera_settings(DEFAULTS, 0)
    recorded = recording_settings(kept_frames=1000, kept_bytes=2**40)
    assert replace(recorded, decode=live.decode, kept_frames=None, kept_bytes=None) == live
    assert recording_settings(kept_frames=1).kept_frames == DEFAULTS.buffer_frames


@pytest.mark.parametrize("frames", [1, 2, 50, 128])
def test_so_many_frames_grow_as_on_a_node_that_allows_them(frames):
    recorded = recording_settings(max_frames=frames)
    node = Settings(
        clip_frames=frames, clip_min_frames=recorded.growth.min_frames, buffer_frames=recorded.buffer_frames
    )
    check_together(node)
    assert (growth_settings(node), camera_settings(node, 0).buffer_frames) == (recorded.growth, recorded.buffer_frames)


def test_the_simulation_is_always_a_judge():
    with pytest.raises(ParameterError, match="simulation must be one of them"):
        check_together(Settings(plan_validators=["pddl"]))
    with pytest.raises(ParameterError, match="allowed are simulation, pddl"):
        Settings(plan_validators=["simulation", "me"])


def test_pictures_of_recordings_may_be_larger_than_those_of_a_network():
    decode = recording_settings().decode
    assert decode.max_pixels == RECORDED_PIXELS > DEFAULTS.max_image_pixels
    assert (decode.rotate_deg, decode.value_range, decode.on_damaged) == (0, "default", DEFAULTS.on_damaged)


def test_queries_replays_and_plans():
    query, replayed = Query("?", ("front",)), ReplaySettings()
    assert query.growing
    assert (query.max_frames, query.max_new_tokens) == (DEFAULTS.clip_frames, DEFAULTS.max_new_tokens)
    # A deadline is for who waits: the node sets it, a replay has none.
    assert (query.mode, query.deadline_s) == (DEFAULTS.visual_mode, math.inf)
    assert replayed == ReplaySettings(
        DEFAULTS.visual_mode,
        None,
        DEFAULTS.clip_frames,
        DEFAULTS.max_new_tokens,
        DEFAULTS.max_frame_age_ns,
        DEFAULTS.frozen_after_ns,
    )
    assert PlanOptions() == PlanOptions(DEFAULTS.plan_decoding, DEFAULTS.plan_repairs, DEFAULTS.plan_grounding)


@pytest.mark.parametrize("section", IN_SUITES)
def test_suites_and_their_schema(section):
    schema = json.loads(suite_file.SCHEMA.read_text())["properties"]
    schema = schema[section]["properties"] if section else schema
    values = {
        "clip": ClipSettings(),
        "planning": PlanningSettings(),
        "server": RemoteSettings(),
        "": ModelSettings(),
    }[section]
    for name, its_parameter in IN_SUITES[section].items():
        rule, default = parameter(its_parameter), getattr(DEFAULTS, its_parameter)
        assert (getattr(values, name), schema[name]["default"]) == (default, default), name
        if rule.choices:
            # Suites measure the model, not the planner.
            assert tuple(schema[name]["enum"]) == tuple(one for one in rule.choices if one != CERTIFIED)
        if rule.low is not None:
            assert schema[name]["maximum"] == rule.high
            assert schema[name].get("minimum", 0) <= rule.low


def test_a_suite_has_all_that_a_server_is_asked_with():
    schema = json.loads(suite_file.SCHEMA.read_text())["properties"]["server"]["properties"]
    # That of a suite's clips.
    assert schema.keys() | {"clip_frames"} == {field.name for field in fields(RemoteSettings)}
    assert schema.keys() == {field.removeprefix("remote_") for field in IN_SUITES["server"].values()}
    assert {f"remote_{name}" for name in schema} == {
        one.name for one in fields(Settings) if one.name.startswith("remote_")
    }


def test_a_suite_and_a_command_have_no_window_by_default():
    assert ClipSettings().window_s is None
    assert all(getattr(options(*command), "window", None) is None for command in IN_COMMANDS)


@pytest.mark.parametrize("command", IN_COMMANDS, ids=lambda command: command[0])
def test_options_of_commands(command):
    given = options(*command)
    for option, its_parameter in IN_COMMANDS[command].items():
        assert getattr(given, option) == getattr(DEFAULTS, its_parameter), option


def options(*arguments):
    return make_parser().parse_args(arguments)


def test_every_default_is_allowed():
    assert Settings() == DEFAULTS


def test_the_table_is_listed_where_there_is_no_ros():
    code = (
        "import sys; sys.modules['rclpy'] = None\n"
        "from llava_ov_ros.cli.main import main; code = main(['parameters', '--yaml'])\n"
        "heavy = {'numpy', 'cv2', 'torch', 'llava_ov_ros.frames', 'llava_ov_ros.node'} & set(sys.modules)\n"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    committed = Path(__file__).resolve().parents[2] / "config" / "llava_ov.yaml"
    assert done.stdout == committed.read_text()
