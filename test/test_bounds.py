"""Numbers that count something are whole and large enough, at every place where one is given."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import yaml

from llava_ov_ros.bounds import check_whole
from llava_ov_ros.cli.main import main
from llava_ov_ros.evaluation.benchmarks import interleave_run as interleave
from llava_ov_ros.evaluation.benchmarks.lmms_eval_prompt import longest_answer
from llava_ov_ros.evaluation.suite.suite_file import SuiteError, read_suite
from llava_ov_ros.onevision import Ask, EngineSettings
from llava_ov_ros.planning import PlanOptions
from llava_ov_ros.questions import Kind, Query, SceneQuestion, find_prompts, load_prompts, shape
from llava_ov_ros.replay import ReplaySettings


def shaped(longest):
    return shape(SceneQuestion(Kind.TEXT, "What?"), load_prompts(find_prompts("plain")), longest)


ENTRIES = {
    "Ask": lambda value: Ask("What?", value),
    "Ask with choices": lambda value: Ask("What?", value, choices=("yes", "no")),
    "Query": lambda value: Query("What?", ("front",), max_new_tokens=value),
    "ReplaySettings": lambda value: ReplaySettings(max_new_tokens=value),
    "shape": shaped,
    "interleave": lambda value: interleave.run(None, [], "nowhere", max_new_tokens=value),
    "lmms-eval": lambda value: longest_answer({"max_new_tokens": value}),
}


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("entry", ENTRIES)
def test_an_answer_has_at_least_one_token(entry, value):
    with pytest.raises(ValueError, match=f"max_new_tokens is {value}: give a whole number from 1"):
        ENTRIES[entry](value)


@pytest.mark.parametrize("value", [1.5, 2.0, True, "8", Fraction(3)])
def test_a_count_is_a_whole_number(value):
    with pytest.raises(ValueError, match=r"max_new_tokens is .*: give a whole number from 1"):
        Ask("What?", value)


def test_numbers_of_numpy_count_too():
    check_whole("frames", np.int64(3), 1)


def test_lmms_eval_without_a_number_gets_the_default():
    assert longest_answer({}) == longest_answer({"max_new_tokens": None}) == 1024
    assert longest_answer({"max_new_tokens": "16"}) == 16


@pytest.mark.parametrize(
    ("made", "name", "value", "least"),
    [
        (EngineSettings, "batch", 0, 1),
        (EngineSettings, "batch", -4, 1),
        (EngineSettings, "tower_batch", 0, 1),
        (EngineSettings, "clip_frames", 0, 1),
        (EngineSettings, "cameras", 0, 1),
        (EngineSettings, "pictures", -1, 0),
        (EngineSettings, "feature_bytes", -1, 0),
        (EngineSettings, "prefix_bytes", -1, 0),
        (ReplaySettings, "max_frames", 0, 1),
        (ReplaySettings, "window_ns", -1, 0),
        (PlanOptions, "repairs", -1, 0),
    ],
)
def test_other_numbers_are_bounded_too(made, name, value, least):
    with pytest.raises(ValueError, match=f"{name} is {value}: give a whole number from {least}"):
        made(**{name: value})


@pytest.mark.parametrize("value", ["0", "-3", "2.5"])
def test_the_command_line_refuses_it_as_wrong_usage(capsys, value):
    with pytest.raises(SystemExit) as left:
        main(["replay", "bag", "--ask", "What?", f"--max-new-tokens={value}"])
    assert left.value.code == 2
    assert "argument --max-new-tokens: " in capsys.readouterr().err


@pytest.mark.parametrize(("value", "said"), [(0, "is 0: it must be at least 1"), (64.0, "is 64.0, expected integer")])
def test_a_suite_names_line_and_field(tmp_path, value, said):
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump({"name": "s", "bags": [{"bag": "b"}], "max_new_tokens": value}))
    with pytest.raises(SuiteError) as raised:
        read_suite(path)
    (problem,) = raised.value.problems
    assert problem == f"{path}:4: max_new_tokens {said}" or problem.endswith(f"max_new_tokens: {said}")
