"""Steps in the model's own words: what is numbered is one, and whatever else stands there is said, never guessed."""

from __future__ import annotations

import pytest

from llava_ov_ros.onevision import Generated
from llava_ov_ros.planning import GoalTextError, decompose_ask, read_decomposition
from llava_ov_ros.planning.model.decompose import MOST_SENTENCES
from llava_ov_ros.questions.prompts import find_prompts, load_prompts

PLAIN, ONEVISION, ALFRED = (load_prompts(find_prompts(name)) for name in ("plain", "llava_onevision", "alfred"))
GOAL = "tidy up the office"


def told(text: str, finish: str = "stop", prompts=PLAIN):
    end = 0.5 if finish == "stop" else None
    return read_decomposition(
        Generated(text, (1, 2), (0.5, 1.0), finish, 9, 0.1, 0.2, end_probability=end),  # type: ignore[arg-type]
        GOAL,
        prompts,
    )


@pytest.mark.parametrize("prompts", [PLAIN, ONEVISION, ALFRED], ids=lambda prompts: prompts.name)
def test_it_is_asked_as_published(prompts) -> None:
    ask = decompose_ask(f" {GOAL}. ", prompts)
    assert ask.prompt == f"High-Level Task: {GOAL}\n\nLow-Level Action Steps:"
    assert (ask.grammar, ask.choices, ask.before) == (None, None, ())
    with pytest.raises(GoalTextError, match="goal is empty"):
        decompose_ask(" ", prompts)


def test_a_published_answer() -> None:
    result = told("1. go to the cabinet\n2. open it\n3. take the files")
    assert result.sentences == ("go to the cabinet", "open it", "take the files")
    assert (result.unread, result.cannot_tell, result.goal) == ((), False, GOAL)
    assert result.probability == pytest.approx(0.25)
    assert result.confidence == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("High-Level Task: tidy up\n\nLow-Level Action Steps:\n1. go\n2. stop", ("go", "stop")),
        ("**Low-Level Action Steps:**\n\n1) go\n\n2) stop.\n", ("go", "stop.")),
        ("Step 1: go left\nStep 2: stop", ("go left", "stop")),
        ("1. go left 2. move 2.5 m on 3. stop", ("go left", "move 2.5 m on", "stop")),
        ("1. go to room 2.\n2. stop", ("go to room 2.", "stop")),
        ("1. 去柜子那里\n2. 打开它", ("去柜子那里", "打开它")),
        ("1、去柜子那里。2、打开它。", ("去柜子那里。", "打开它。")),
        ("一、去柜子那里\n二、打开它", ("去柜子那里", "打开它")),
        ("第一步：去柜子那里；第二步：打开它", ("去柜子那里；", "打开它")),
        ("（1）去二楼\n（2）拿2.5米长的绳子", ("去二楼", "拿2.5米长的绳子")),
        ("步骤１：去柜子那里\n步骤２：打开它", ("去柜子那里", "打开它")),
    ],
)
def test_forms_that_are_read(text: str, sentences: tuple[str, ...]) -> None:
    result = told(text)
    assert (result.sentences, result.unread) == (sentences, ())


@pytest.mark.parametrize(
    ("text", "sentences", "unread"),
    [
        ("", (), ()),
        ("Sure! Here you go:\n1. go", ("go",), "'Sure! Here you go:' is no step with the number 1"),
        ("go to the cabinet", (), "'go to the cabinet' is no step with the number 1"),
        ("1. go\n3. stop", ("go",), "'3. stop' is no step with the number 2"),
        ("1. go\n1. stop", ("go",), "'1. stop' is no step with the number 2"),
        ("1. go\nThat is all.", ("go",), "'That is all.' is no step with the number 2"),
        ("1.\n2. go", (), "'1.' is no step with the number 1"),
        ("1. 2. go", (), "'1. 2. go' has no text for the step 1"),
        ("\x00\ufffd{}[]", (), "is no step with the number 1"),
    ],
)
def test_whatever_else_stands_there_is_said(text: str, sentences: tuple[str, ...], unread: str) -> None:
    result = told(text)
    assert result.sentences == sentences
    assert unread in "; ".join(result.unread) if unread else result.unread == ()


def test_headings_are_those_of_the_set_of_prompts() -> None:
    chinese = load_prompts(find_prompts("zh"))
    result = told("高层任务：整理办公室\n\n**低层动作步骤：**\n1、去柜子那里\n2、打开它", prompts=chinese)
    assert (result.sentences, result.unread) == (("去柜子那里", "打开它"), ())
    assert told("无法判断。", prompts=chinese).cannot_tell
    assert told("High-Level Task: go\n1. go", prompts=chinese).unread == (
        "'High-Level Task: go' is no step with the number 1",
    )


def test_there_are_fewer_than_ten() -> None:
    lines = [f"{number}. do it" for number in range(1, 13)]
    for text in ("\n".join(lines), " ".join(lines)):
        result = told(text)
        assert result.sentences == ("do it",) * MOST_SENTENCES
        assert "'10. do it" in result.unread[0]


def test_what_was_cut_off_is_no_step() -> None:
    result = told("1. go to the cabinet\n2. open the dra", "length")
    assert result.sentences == ("go to the cabinet",)
    assert result.unread == ("'2. open the dra' was cut off",)


def test_cannot_tell_is_a_refusal() -> None:
    result = told("Cannot tell.")
    assert (result.cannot_tell, result.sentences, result.unread) == (True, (), ())
    assert not told("Cannot tell.", prompts=ONEVISION).cannot_tell
