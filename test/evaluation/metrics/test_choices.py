"""Answers that are yes or no, a number, or a choice."""

from __future__ import annotations

import pytest

from llava_ov_ros.evaluation.metrics import choice, count, yes_no
from llava_ov_ros.evaluation.metrics.choices import chosen

# prediction, gold, score: by the first four characters, as MME has it.
YES_NO = [
    ("yes", "yes", 1),
    ("Yes.", "yes", 1),
    ("YES, it is", "Yes", 1),
    ("No", "no", 1),
    ("no, it is not", "No.", 1),
    ("yes", "no", 0),
    ("no", "yes", 0),
    (" yes", "yes", 1),
    ("\nno", "no", 1),
    ("", "no", 0),
    ("", "yes", 0),
    (".", "yes", 0),
    ("Not sure", "no", 1),
    ("I think yes", "yes", 0),
    ("the answer is yes", "yes", 0),
    ("maybe", "no", 0),
    ("(yes)", "yes", 1),
    ('"no"', "no", 1),
    ("是", "yes", 1),
    ("A: yes", "yes", 0),
]
CHOICES = ["the red mug", "the blue mug", "a plate"]
# text, index of the choice
CHOSEN = [
    ("the red mug", 0),
    ("The red mug.", 0),
    ("A", 0),
    ("(B)", 1),
    ("b.", 1),
    ("Answer: B", 1),
    ("B. the blue mug", 1),
    ("(B) the blue mug", 1),
    ("B: the blue mug", 1),
    ("A. the blue mug", None),
    ("The answer is: C", 2),
    ("a plate", 2),
    ("D", None),
    ("", None),
    (".", None),
    ("mug", None),
    ("plate", None),
    ("the red mug or a plate", None),
]


@pytest.mark.parametrize(("prediction", "gold", "expected"), YES_NO)
def test_yes_no(prediction, gold, expected):
    assert yes_no(prediction, gold) == expected


def test_count_compares_numbers_not_words():
    assert count("There are two chairs.", "2") == 1
    assert count("three", "2") == 0
    assert count("I cannot tell", "2") == 0
    assert count("twenty-one", "21") == 1
    assert count("twenty-one", "20") == 0
    assert count("minus 2", "2") == 0


def test_an_endless_number_is_a_wrong_answer_and_no_right_one():
    assert count("9" * 5000, "3") == 0
    assert count("0" * 5000 + "3", "3") == 1
    with pytest.raises(ValueError, match=r"the right answer is '9{60}\.\.\.': expected a whole number of at most 15"):
        count("3", "9" * 5000)


@pytest.mark.parametrize(("text", "expected"), CHOSEN)
def test_chosen(text, expected):
    assert chosen(text, CHOICES) == expected


def test_choice():
    assert choice("B", "the blue mug", CHOICES) == 1
    assert choice("the blue mug", "B", CHOICES) == 1
    assert choice("A", "the blue mug", CHOICES) == 0
    assert choice("no idea", "the blue mug", CHOICES) == 0


def test_a_letter_can_be_a_choice_by_itself():
    assert choice("B", "B", ["B", "A"]) == 1
    assert choice("A", "B", ["B", "A"]) == 0


@pytest.mark.parametrize(
    ("metric", "gold"), [(yes_no, "maybe"), (count, "many"), (lambda said, gold: choice(said, gold, CHOICES), "a fork")]
)
def test_a_right_answer_of_another_kind_is_an_error(metric, gold):
    with pytest.raises(ValueError, match="the right answer is"):
        metric("yes", gold)
