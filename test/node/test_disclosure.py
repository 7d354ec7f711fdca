"""Parameters that name a file show nothing of a file that is something else: whoever sets them may not read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from llava_ov_ros.msg import Answer
from rcl_interfaces.msg import Log

KEY = "sk-live-4eC39HqLyjWDarjtT1zdp7dc"
WORD = KEY.partition("-")[2].replace("-", "")
FILES = {
    "one line": KEY,
    "one line in quotes": f'"{KEY}"',
    "lines": f"# the robot's key\n{KEY}\n{KEY}\n",
    "of an environment": f"export API_KEY={KEY}\nexport USER=robot\n",
    "key and value": f"api_key: {KEY}\n",
    "value and key": f"{KEY}: robot\n",
    "several keys": f"user: robot\n{KEY}: {KEY}\n",
    "one of the right keys": f"actions: {KEY}\nname: {KEY}\n{KEY}: 1\n",
    "a list": f"- {KEY}\n- {KEY}\n",
    "in braces": json.dumps({"auths": {"registry": {"auth": KEY}}}),
    "an alias": f"key: *{WORD}\n",
    "an anchor twice": f"- &{WORD} 1\n- &{WORD} 2\n",
    "a tag": f"key: !{WORD} 1\n",
    "a handle": f"key: !{WORD}!x 1\n",
    "a directive": f"%TAG !{WORD}! a\n%TAG !{WORD}! b\n--- 1\n",
    "no number": f"version: !!int {KEY}\n",
    "no date": f"version: !!timestamp {KEY}\n",
    "no truth": f"version: !!bool {KEY}\n",
    "no base64": f"version: !!binary {KEY}=\n",
    "unclosed": f'key: "{KEY}',
    "a tabulator": f"key:\n\t{KEY}\n",
    "a character that YAML does not have": f"{KEY}\0{KEY}",
    "a private key": f"-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n",
    "an ini file": f"[default]\naws_secret_access_key = {KEY}\n",
    "a password file": f"root:{KEY}:19000:0:99999:7:::\n",
}


@pytest.fixture
def planted(tmp_path):
    """The files, by a name each, of which no error may show anything; with the bytes that are no UTF-8."""
    folder = tmp_path / "files"
    folder.mkdir()
    for number, content in enumerate(FILES.values()):
        (folder / f"file_{number}").write_text(content)
    (folder / "latin").write_bytes(KEY.encode() + b"\xe9" + KEY.encode())
    # Many a file has a name and a version, as a set of prompts does.
    (folder / "half.yaml").write_text(f"name: half\n{KEY}: {KEY}\nversion: {KEY}\nclasses: {KEY}\n")
    return folder


def shows_the_key(text: str) -> bool:
    """Whether any part of the key that would be worth something is in a text."""
    return any(part in text for part in (KEY[8:], WORD, KEY[:16]))


@pytest.mark.parametrize("parameter", ["actions", "prompts", "model"])
def test_a_parameter_set_from_the_graph_discloses_no_file(rig, planted, parameter):
    robot = rig(active=False)
    log = robot.listen(Log, "/rosout")
    for number, file in enumerate(sorted(planted.iterdir())):
        value = file
        if parameter == "model":
            # What the parameter can name is a directory.
            value = planted.parent / f"model_{number}"
            value.mkdir()
            (value / "config.json").symlink_to(file)
        assert robot.set(**{parameter: str(value)}).successful
        assert not robot.transition("configure")
        error = log.wait(lambda line, v=str(value): line.level == Log.ERROR and v in line.msg)
        status, _ = robot.diagnostic("model", lambda status, values, v=str(value): v in status.message)
        assert not shows_the_key(error.msg), error.msg
        assert status.message == error.msg
    answer, plan = robot.ask(), robot.plan("put the mug on the desk")
    assert (answer.status, plan.status) == (Answer.INACTIVE, Answer.INACTIVE)
    shown = [line.msg for line in log.messages] + [str(message) for message in robot.diagnostics.messages]
    shown += [str(answer), str(plan)]
    assert not [text for text in shown if shows_the_key(text)]


@pytest.mark.parametrize(
    ("parameter", "content"),
    [
        ("actions", "max_steps: 4\nclasses: {%s: }\nactions: {%s: }\nstates: [%s 1]\n"),
        ("actions", "max_steps: 4\nclasses: {mug: [%s]}\nactions: {Go: {says: ['(%s']}}\n"),
        ("prompts", "version: 1\nname: %s\nyes_no: [a, b]\nnumbers: [a]\nchange: a\n"),
        ("prompts", "yes_no: [a, b]\nnumbers: [a]\n%s: 1\n"),
        ("prompts", "version: 1\nname: long\nyes_no: [a, b]\nnumbers: [a]\nchange: a\nplanning: {%s: a}\n"),
        ("prompts", "version: 1\nname: long\nyes_no: %s\nnumbers: [a]\nchange: a\n"),
    ],
)
def test_an_error_about_a_file_of_the_right_kind_quotes_little(rig, tmp_path, parameter, content):
    file = tmp_path / "long.yaml"
    file.write_text(content.replace("%s", "x" * 500))
    robot = rig(active=False, **{parameter: str(file)})
    log = robot.listen(Log, "/rosout")
    assert not robot.transition("configure")
    error = log.wait(lambda line: line.level == Log.ERROR).msg
    assert str(file) in error
    assert "x" * 70 in error, "enough to find it"
    assert "x" * 81 not in error


def test_a_model_directory_that_is_none_is_not_quoted(rig, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"architectures": [KEY * 20]}))
    robot = rig(active=False, model=str(model))
    log = robot.listen(Log, "/rosout")
    assert not robot.transition("configure")
    assert log.wait(lambda line: line.level == Log.ERROR).msg.count(KEY) <= 80 / len(KEY)


def test_the_test_would_see_a_key(tmp_path: Path):
    assert all(shows_the_key(content) for content in FILES.values())
