"""Questions and their times, from a file and from the command line's words."""

from __future__ import annotations

import json

import pytest

from llava_ov_ros.replay import QuestionsError, TimedQuestion, ask_at, read_questions

S = 1_000_000_000


def test_reads_what_a_file_says_and_leaves_the_rest_alone(tmp_path):
    file = tmp_path / "truth.json"
    file.write_text(
        json.dumps(
            {
                "topic": "/camera/image_raw",
                "questions": [
                    {"ask": "What colour is the mug?", "truth": "red", "kind": "colour", "at_s": 4.4, "window_s": 3},
                    {"ask": "几个杯子？", "at_s": 0},
                ],
                "events": [],
            }
        )
    )
    assert read_questions(file) == (
        TimedQuestion("What colour is the mug?", 4_400_000_000, 3 * S, "red", "colour"),
        TimedQuestion("几个杯子？", 0),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"truth\.json: not JSON"),
        ("[]", r'truth\.json: expected \{"questions"'),
        ('{"questions": []}', "at least one question"),
        ('{"questions": ["mug?"]}', r"truth\.json, question 1: expected an object with ask, at_s.*'mug\?'"),
        ('{"questions": [{"ask": "a", "at_s": 1}, {"at_s": 1}]}', "question 2: ask is missing"),
        ('{"questions": [{"ask": " ", "at_s": 1}]}', "question 1: ask is ' '"),
        ('{"questions": [{"ask": "a"}]}', "question 1: at_s is missing"),
        ('{"questions": [{"ask": "a", "at_s": null}]}', "question 1: at_s is None, expected seconds"),
        ('{"questions": [{"ask": "a", "at_s": -1}]}', "at_s is -1"),
        ('{"questions": [{"ask": "a", "at_s": "1"}]}', "at_s is '1'"),
        ('{"questions": [{"ask": "a", "at_s": true}]}', "at_s is True"),
        ('{"questions": [{"ask": "a", "at_s": NaN}]}', "at_s is nan"),
        ('{"questions": [{"ask": "a", "at_s": 1, "window_s": []}]}', r"window_s is \[\]"),
        ('{"questions": [{"ask": "a", "at_s": 1, "truth": 2}]}', "truth is 2, expected text"),
        ('{"questions": [{"ask": "a", "at_s": 1, "kind": null}]}', "kind is None, expected text"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, content, message):
    file = tmp_path / "truth.json"
    file.write_text(content)
    with pytest.raises(QuestionsError, match=message):
        read_questions(file)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(QuestionsError, match=r"nothing\.json: No such file"):
        read_questions(tmp_path / "nothing.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(QuestionsError, match=r"binary\.json: not JSON"):
        read_questions(tmp_path / "binary.json")


def test_numbers_without_bounds(tmp_path):
    file = tmp_path / "questions.json"
    for digits, message in ((5000, "not JSON"), (4000, r"at_s is 9{60}\.\.\., expected seconds, 0 to 1,000,000,000")):
        file.write_text(f'{{"questions": [{{"ask": "What?", "at_s": {"9" * digits}}}]}}')
        with pytest.raises(QuestionsError, match=message):
            read_questions(file)


def test_without_a_time_each_is_asked_once_at_the_end():
    assert ask_at(["a", "b"], duration_ns=7 * S) == (TimedQuestion("a", 7 * S), TimedQuestion("b", 7 * S))


def test_a_period_starts_after_one_period_and_ends_with_the_recording():
    asked = ask_at(["a"], duration_ns=7_500_000_000, every_s=2.5)
    assert [question.at_ns for question in asked] == [2_500_000_000, 5 * S, 7_500_000_000]
    assert [question.at_ns for question in ask_at(["a"], duration_ns=S, every_s=2)] == [S]


def test_times_are_sorted_and_joined_with_a_period():
    asked = ask_at(["a", "b"], duration_ns=4 * S, every_s=2, at_s=[3, 2])
    assert [(question.ask, question.at_ns // S) for question in asked] == [
        ("a", 2),
        ("b", 2),
        ("a", 3),
        ("b", 3),
        ("a", 4),
        ("b", 4),
    ]


def test_unusable_words_and_times():
    with pytest.raises(QuestionsError, match="a question is empty"):
        ask_at([" "], duration_ns=S)
    with pytest.raises(QuestionsError, match="a time to ask at is -1"):
        ask_at(["a"], duration_ns=S, at_s=[-1])
    with pytest.raises(QuestionsError, match="the period is 0 s"):
        ask_at(["a"], duration_ns=S, every_s=0)
