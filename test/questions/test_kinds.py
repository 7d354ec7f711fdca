"""Typed answers: how each kind is put, what comes back, and the shipped model's yes and no."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from llava_ov_ros.evaluation.rooms.accuracy import trials
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.onevision import Ask, Choice, Generated, load_engine
from llava_ov_ros.questions import Query, Request, Result, answer_together
from llava_ov_ros.questions.kinds import (
    PHRASE_TOKENS,
    AnswerValue,
    SceneAnswer,
    SceneQuestion,
    read_answer,
    shape,
)
from llava_ov_ros.questions.prompts import Kind, find_prompts, load_prompts
from llava_ov_ros.rooms.world import COLOURS

PLAIN, ONEVISION = (load_prompts(find_prompts(name)) for name in ("plain", "llava_onevision"))
SHORT = "\nAnswer the question using a single word or phrase."
SHADES = ("red", "green", "dark blue")


def chosen(texts: tuple[str, ...], best: int) -> Generated:
    """As the engine answers a question with choices: one has half of the probability."""
    others = 0.5 / (len(texts) - 1)
    choices = tuple(Choice(text, -1.0, 0.5 if index == best else others) for index, text in enumerate(texts))
    return Generated(texts[best], (1,), (0.9,), "stop", 10, 0.1, 0.1, choices=choices)


def said(text: str, finish: Any = "stop") -> Generated:
    return Generated(text, (1, 2), (0.5, 0.5), finish, 10, 0.1, 0.3)


@pytest.mark.parametrize(
    ("question", "prompt", "choices"),
    [
        (SceneQuestion(Kind.TEXT, "What is it?"), "What is it?", None),
        (SceneQuestion(Kind.PHRASE, "Where?"), "Where?", None),
        (SceneQuestion(Kind.YES_NO, "Is it?"), "Is it?", ("yes", "no", "cannot tell")),
        (SceneQuestion(Kind.CHANGE), "Is anything different?", ("yes", "no", "cannot tell")),
        (SceneQuestion(Kind.CHANGE, "Moved?"), "Moved?", ("yes", "no", "cannot tell")),
        (SceneQuestion(Kind.CHOICE, "Which?", SHADES), "Which?", (*SHADES, "cannot tell")),
        (SceneQuestion(Kind.CHOICE, "Which?", ("a", "cannot tell", "b")), "Which?", ("a", "b", "cannot tell")),
        (SceneQuestion(Kind.COUNT, "How many?"), "How many?", (*PLAIN.numbers, "cannot tell")),
    ],
)
def test_plain_prompts_add_nothing(question: SceneQuestion, prompt: str, choices: tuple[str, ...] | None) -> None:
    shaped = shape(question, PLAIN)
    assert (shaped.prompt, shaped.choices) == (prompt, choices)


@pytest.mark.parametrize(
    ("question", "prompt", "choices"),
    [
        (SceneQuestion(Kind.TEXT, "What is it?"), "What is it?", None),
        (SceneQuestion(Kind.PHRASE, "Where?"), "Where?" + SHORT, None),
        (SceneQuestion(Kind.YES_NO, "Is it?"), "Is it?" + SHORT, ("Yes", "No")),
        (SceneQuestion(Kind.CHANGE), ONEVISION.change + SHORT, ("Yes", "No")),
        (SceneQuestion(Kind.COUNT, "How many?"), "How many?" + SHORT, ONEVISION.numbers),
        (
            SceneQuestion(Kind.CHOICE, "Which {choices}?", SHADES),
            "Which {choices}?\nA. red\nB. green\nC. dark blue\n"
            "Answer with the option's letter from the given choices directly.",
            ("A", "B", "C"),
        ),
    ],
)
def test_onevisions_prompts(question: SceneQuestion, prompt: str, choices: tuple[str, ...] | None) -> None:
    shaped = shape(question, ONEVISION)
    assert (shaped.prompt, shaped.choices) == (prompt, choices)


def test_a_phrase_is_short() -> None:
    assert shape(SceneQuestion(Kind.PHRASE, "?"), PLAIN, 64).max_new_tokens == PHRASE_TOKENS
    assert shape(SceneQuestion(Kind.PHRASE, "?"), PLAIN, 4).max_new_tokens == 4
    assert shape(SceneQuestion(Kind.TEXT, "?"), PLAIN, 64).max_new_tokens == 64


def test_more_choices_than_letters() -> None:
    question = SceneQuestion(Kind.CHOICE, "Which?", tuple(f"place {number}" for number in range(27)))
    assert len(shape(question, PLAIN).options) == 28
    with pytest.raises(ValueError, match="there are 27 choices"):
        shape(question, ONEVISION)


@pytest.mark.parametrize(
    ("question", "prompts", "best", "text", "value"),
    [
        (SceneQuestion(Kind.YES_NO, "?"), PLAIN, 0, "yes", True),
        (SceneQuestion(Kind.YES_NO, "?"), PLAIN, 1, "no", False),
        (SceneQuestion(Kind.YES_NO, "?"), PLAIN, 2, "cannot tell", None),
        (SceneQuestion(Kind.CHANGE), ONEVISION, 0, "Yes", True),
        (SceneQuestion(Kind.COUNT, "?"), PLAIN, 3, "three", 3),
        (SceneQuestion(Kind.COUNT, "?"), ONEVISION, 0, "0", 0),
        (SceneQuestion(Kind.CHOICE, "?", SHADES), PLAIN, 2, "dark blue", "dark blue"),
        (SceneQuestion(Kind.CHOICE, "?", SHADES), ONEVISION, 1, "green", "green"),
    ],
)
def test_what_a_choice_means(question: SceneQuestion, prompts: Any, best: int, text: str, value: AnswerValue) -> None:
    shaped = shape(question, prompts)
    assert shaped.choices is not None
    answer = read_answer(shaped, chosen(shaped.choices, best))
    assert (answer.text, answer.value, answer.confidence) == (text, value, 0.5)
    assert type(answer.value) is type(value)
    assert answer.probabilities is not None
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.probabilities[text] == 0.5
    if question.choices:
        assert set(answer.probabilities) - {"cannot tell"} == set(question.choices), "by the choices, not their letters"


def test_what_text_means() -> None:
    shaped = shape(SceneQuestion(Kind.PHRASE, "?"), PLAIN)
    answer = read_answer(shaped, said("on the desk"))
    assert (answer.text, answer.value, answer.probabilities) == ("on the desk", "on the desk", None)
    assert answer.confidence == pytest.approx(0.5), "the geometric mean"
    assert read_answer(shaped, said(" cannot tell")).value is None
    assert read_answer(shaped, said("on the", "length")).value == "on the"
    assert read_answer(shaped, said("on", "cancelled")).value is None
    assert read_answer(shaped, said("on", "cancelled")).text == "on"
    assert read_answer(shape(SceneQuestion(Kind.TEXT, "?"), ONEVISION), said("cannot tell")).value == "cannot tell"


def test_a_cancelled_choice_has_no_value() -> None:
    answer = read_answer(shape(SceneQuestion(Kind.YES_NO, "?"), PLAIN), Generated("", (), (), "deadline", 0, 0, 0))
    assert (answer.text, answer.value, answer.confidence, answer.probabilities) == ("", None, 0, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Kind.YES_NO, " "), "a question of kind yes_no needs a text"),
        ((Kind.COUNT, "?", ("1", "2")), "a question of kind count has no choices of its own"),
        ((Kind.CHOICE, "?"), "give at least two"),
        ((Kind.CHOICE, "?", ("a",)), "give at least two"),
        ((Kind.CHOICE, "?", ("a", "b", "a")), "choice 3 is 'a'"),
        ((Kind.CHOICE, "?", ("a", "")), "choice 2 is ''"),
    ],
)
def test_questions_that_cannot_be(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneQuestion(*arguments)


def test_the_shipped_model_is_asked_all_kinds_at_once(capsys: Any) -> None:
    engine = load_engine("rooms", device="cpu")
    kinds = {"presence": Kind.YES_NO, "counting": Kind.COUNT, "colour": Kind.CHOICE, "where": Kind.PHRASE}
    # Right answers of each kind, and right answers where the same question is answered freely.
    typed, freely, counts = (dict.fromkeys(kinds, 0) for _ in range(3))
    for trial in trials(seed=11, each=40, categories=tuple(kinds)):
        pictures = trial.frames()
        clip = Clip("camera", tuple(Frame("camera", n * 10**9, "optical", rgb) for n, rgb in enumerate(pictures)))
        questions = [
            SceneQuestion(kinds[asked.category], asked.text, tuple(COLOURS) if asked.category == "colour" else ())
            for asked in trial.asked
        ]
        plain_query = Query("", (clip.camera,), clips=(clip,))
        said: dict[int, str] = {}
        results: dict[int, Result] = {}
        requests = [
            Request(
                plain_query.put_as(shape(question, PLAIN)),
                partial(results.__setitem__, number),
                on_text=lambda piece, n=number, said=said: said.update({n: said.get(n, "") + piece}),
            )
            for number, question in enumerate(questions)
        ]
        answer_together(requests, engine, lambda query: query.clips)
        free = engine.answer_many([clip], [Ask(asked.text) for asked in trial.asked])
        for number, asked in enumerate(trial.asked):
            answer = results[number].scene
            assert isinstance(answer, SceneAnswer)
            assert answer.generated.clips == (clip,)
            if answer.kind == Kind.PHRASE:
                assert answer.text == said[number] == free[number].text
            else:
                assert number not in said, "what is chosen is not streamed"
                assert answer.probabilities is not None
                assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-12)
                assert answer.confidence == max(answer.probabilities.values()) == answer.probabilities[answer.text]
            counts[asked.category] += 1
            typed[asked.category] += answer.text == asked.gold
            freely[asked.category] += free[number].text == asked.gold
    with capsys.disabled():
        print(
            "\nright answers typed, free, of: " + ", ".join(f"{k} {typed[k]}, {freely[k]}, {counts[k]}" for k in kinds)
        )
    assert typed["presence"] > counts["presence"] / 2
    for kind in kinds:
        assert typed[kind] >= freely[kind] - 0.05 * counts[kind], "to choose is no worse than to speak"
