"""A suite's file: what it may say, and that everything wrong with it is said at once, with file, line and field."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from llava_ov_ros.evaluation.suite.suite_file import SCHEMA, CameraTopic, SuiteError, read_suite
from llava_ov_ros.share import shipped


@pytest.fixture
def written(tmp_path):
    """Writes a suite's text to a file."""

    def write(text: str) -> Path:
        path = tmp_path / "suite.yaml"
        path.write_text(text)
        return path

    return write


def problems(path: Path) -> list[str]:
    with pytest.raises(SuiteError) as caught:
        read_suite(path)
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


def test_the_schema_is_one():
    Draft202012Validator.check_schema(json.loads(SCHEMA.read_text()))


def test_the_shipped_suite_is_one():
    suite = read_suite(shipped("examples/suite.yaml"))
    assert suite.model.model == "rooms"
    assert suite.bags[0].topics == (CameraTopic("/camera/image_raw/compressed"),)
    assert suite.folder == shipped("examples")


def test_the_suites_in_the_documentation_are_ones(written):
    document = Path(__file__).resolve().parents[3] / "docs" / "evaluation.md"
    blocks = re.findall(r"^```yaml\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)
    whole, of_server = blocks
    assert len(read_suite(written(whole)).bags[0].questions) == 3
    # How a suite names a server, instead of its model.
    suite = read_suite(written(f"name: s\nbags: [{{bag: a}}]\n{of_server}"))
    assert (suite.model.model, suite.server.model, suite.server.image_format) == (
        "http://robot-server:8000/v1",
        "ov-7b",
        "png",
    )


def test_defaults_and_the_model_of_the_command_line(written):
    suite = read_suite(written("name: s\nbags: [{bag: a}]\n"), model="other")
    assert (suite.model.model, suite.model.prompts, suite.model.threads) == ("other", "plain", 1)
    assert (suite.clip.frames, suite.clip.window_s, suite.clip.rate_hz) == (4, None, 2.0)
    assert (suite.metrics, suite.seed, suite.bags[0].patterns) == (None, 0, ("a",))


def test_topics_of_the_suite_hold_for_bags_without_their_own(written):
    text = "name: s\ntopics: [/a]\nbags:\n- bag: x\n- bag: y\n  topics: [{topic: /b, rotate_deg: 90}]\n"
    first, second = read_suite(written(text)).bags
    assert first.topics == (CameraTopic("/a"),)
    assert second.topics == (CameraTopic("/b", 90),)


def test_json_is_a_suite_too(tmp_path):
    path = tmp_path / "suite.json"
    path.write_text(json.dumps({"name": "s", "bags": [{"bag": "a"}]}))
    assert read_suite(path).name == "s"


def test_everything_wrong_is_said_at_once_with_its_line(written):
    text = """\
name: s
modle: rooms
clip:
  window_s: -1
bags:
  - bag: a
    questions:
      - ask: What?
        at: 3
        kind: yesno
      - at_s: 1
    timelines:
      - ask: What?
        stable: [[0, 1]]
"""
    found = problems(written(text))
    assert found == [
        "2: modle: is not known here: did you mean 'mode'?",
        "4: clip.window_s: is -1: it must be at least 0",
        "9: bags[0].questions[0].at: is not known here: did you mean 'at_s'?",
        "10: bags[0].questions[0].kind: is \"yesno\": did you mean 'yes_no'?",
        "11: bags[0].questions[1]: 'ask' is missing",
        "14: bags[0].timelines[0].stable[0]: has 2 members: it must have at least 3",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1: is empty, expected object"),
        ("name: s", "1: 'bags' is missing"),
        ("name: 3\nbags: [{bag: a}]", "1: name: is 3, expected string: quote it"),
        ("name: s\nbags: []", "2: bags: has 0 members: it must have at least 1"),
        ("name: s\nbags: [{bag: ''}]", "2: bags[0].bag: is blank"),
        ("name: s\nname: t\nbags: [{bag: a}]", "2: name: is there twice"),
        ("name: s\nbags: [{bag: a}]\nclip: {window_s: .nan}", "3: clip.window_s: is no finite number"),
        ("name: s\nbags: [{bag: a}]\nclip: {window_s: .inf}", "3: clip.window_s: is Infinity"),
        ("name: [", "not YAML"),
        ("name: s\nbags:\n\t- a", "3: not YAML: found a tab: YAML wants blanks"),
        ("name: s\n  bags: [a]", "2: not YAML: mapping values are not allowed here: look at the indentation"),
        (
            "name: s\nbags:\n  - a\n - b",
            "4: not YAML: expected <block end>, but found '<block sequence start>': look",
        ),
        ("name: s\nbags: [a\nseed: 1", "3: not YAML: expected ',' or ']', but got ':': look for a bracket"),
        ("name: 's\nbags: []", "2: not YAML: found unexpected end of stream: look for a quote"),
        ("name: s\nsecret\nbags: []", "3: not YAML: could not find expected ':': look at the indentation"),
    ],
)
def test_one_thing_wrong(written, text, problem):
    assert problem in problems(written(text))[0]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SuiteError, match=r"none\.yaml: No such file"):
        read_suite(tmp_path / "none.yaml")


def test_aliases_that_stand_for_more_than_memory_holds(tmp_path):
    # Each line stands for ten of the one before: 10 to the power of 12 values, in 600 bytes.
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(SuiteError, match=r"bomb\.yaml: its aliases repeat more than 100000 values"):
        read_suite(path)
    merged = ["a0: &a0 {x0: 1, x1: 1}"]
    merged += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 12)]
    path.write_text("\n".join(merged))
    with pytest.raises(SuiteError, match="its aliases repeat more than"):
        read_suite(path)
    path.write_text("name: small\nbags: &bags [*bags]\n")
    with pytest.raises(SuiteError, match=r"bomb\.yaml:2: what an alias stands for contains the alias itself"):
        read_suite(path)


def test_aliases_as_people_write_them(written):
    text = """
name: small
bags:
  - {bag: one, questions: &asked [{ask: "What is there?", at_s: 2}, {ask: "Where is it?", at_s: 3}]}
  - {bag: two, questions: *asked}
"""
    first, second = read_suite(written(text)).bags
    assert first.questions == second.questions
    assert len(first.questions) == 2
