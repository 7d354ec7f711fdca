"""Vocabularies are made ready for reading when they are loaded, at a cost that grows with them and no faster."""

from __future__ import annotations

import re
import sys

import pytest

from llava_ov_ros.planning import load_vocabulary, read_plan
from llava_ov_ros.planning.read.clauses import patterns_of
from llava_ov_ros.planning.read.matching import lexicon, matches
from llava_ov_ros.planning.read.phrases import parse_phrase


@pytest.fixture
def write(tmp_path):
    """Writes a vocabulary of so many classes and actions; its path."""

    def written(classes, actions):
        lines = ["max_steps: 4", "classes:"]
        lines += [f"  thing{number:04}: [thing number {number}]" for number in range(classes)]
        lines += ["groups:", f"  things: [{', '.join(f'thing{number:04}' for number in range(classes))}]", "actions:"]
        for number in range(actions):
            lines += [
                f"  Act{number:02}:",
                "    arguments: {object: things, place: things}",
                "    says:",
                f'      - "(put{number}|set{number}) {{object}} (in|on) {{place}}"',
                f'      - "use{number} {{object}} at {{place}}"',
            ]
        file = tmp_path / f"{classes}_{actions}.yaml"
        file.write_text("\n".join(lines) + "\n")
        return file

    return written


def calls_of(function, *arguments):
    """How many functions are called, those written in C included."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function(*arguments)
    finally:
        sys.setprofile(before)
    return calls


def test_the_first_reading_compiles_nothing(write, monkeypatch):
    re.purge()
    vocabulary = load_vocabulary(write(30, 3))
    compiled = []
    # For the reading alone: pytest compiles patterns too, before it undoes what a test has changed.
    with monkeypatch.context() as changed:
        changed.setattr(re._compiler, "compile", lambda pattern, flags=0: compiled.append(pattern))
        reading = read_plan("1. put2 thing number 7 in thing0009\n2. Act01 thing0001 thing0002\n3. dance", vocabulary)
    assert reading.plan.line == "Act02 thing0007 thing0009; Act01 thing0001 thing0002"
    assert compiled == []


def test_the_work_of_getting_ready_grows_as_the_vocabulary_does(write):
    vocabularies = [load_vocabulary(write(*size)) for size in ((200, 5), (400, 10), (800, 20))]
    small, double, fourfold = (calls_of(patterns_of.__wrapped__, vocabulary) for vocabulary in vocabularies)
    assert double <= 2.2 * small
    assert fourfold <= 2.2 * double


def test_the_work_of_a_reading_does_not_grow_with_classes_that_are_not_named(write):
    text = "put2 thing0001 in thing0009; use1 thing0003 at nothing; thing0004 put2"
    few, many = (calls_of(read_plan, text, load_vocabulary(write(classes, 5))) for classes in (20, 2000))
    assert many == few


def test_an_argument_can_be_named_in_each_of_several_alternatives(tmp_path):
    file = tmp_path / "robot.yaml"
    file.write_text(
        "max_steps: 4\nclasses: {mug: [], desk: []}\nactions:\n  Put:\n    arguments: {object: mug, place: desk}\n"
        '    says: ["(put {object} on {place}|fill {place} by {object})", "(lay {object}|move {object}) at {place}"]\n'
    )
    vocabulary = load_vocabulary(file)
    for text in ("put mug on desk", "fill desk by mug", "move mug at desk", "Put(mug, desk)", "Put mug at desk"):
        assert read_plan(text, vocabulary).plan.line == "Put mug desk", text


def found(pattern, text, names=("table", "table lamp", "red", "red mug"), adjectives=("red", "big")):
    """Every way to read a text: the words that are taken, and what the argument is called."""
    known = lexicon({name: (name,) for name in names}, frozenset(adjectives))
    ways = matches(parse_phrase(pattern), tuple(text.split()), 0, known)
    return [(match.end, match.names.get("object")) for match in ways]


@pytest.mark.parametrize(
    ("pattern", "text", "ways"),
    [
        ("take {object}", "take table lamp", [(3, "table lamp"), (2, "table")]),
        ("take {object} lamp", "take table lamp", [(3, "table")]),
        ("take {object}", "take big red mug", [(4, "red mug"), (3, "red")]),
        ("take {object}", "take red red", [(3, "red"), (2, "red")]),
        ("take [the] {object}", "take the table", [(3, "table")]),
        ("take [the|the big] {object}", "take the big table", [(4, "table"), (4, "table")]),
        ("(take|take up) [now]", "take up now", [(1, None), (3, None), (2, None)]),
        ("take {object}", "take chair", []),
        ("take {object}", "take", []),
        ("take {object}", "", []),
    ],
)
def test_matches_come_in_the_order_in_which_a_regular_expression_would_find_them(pattern, text, ways):
    assert found(pattern, text) == ways


@pytest.mark.parametrize(
    ("pattern", "text", "ways"),
    [
        ("拿起 {object}", "拿 起 马 克 杯", [(5, "马 克 杯"), (3, "马")]),
        ("拿起 {object}", "拿 起 红 色 马 克 杯", [(7, "马 克 杯"), (5, "马")]),
        ("拿起 {object}", "拿 起 大 红 色 杯", [(6, "杯")]),
        ("拿起 {object}", "拿 起 红 杯", []),
        ("拿起 {object} 杯", "拿 起 马 克 杯", []),
        ("(把|将) {object} (拿 起 来|拿起)", "把 杯 拿 起 来", [(5, "杯"), (4, "杯")]),
        ("take {object}", "take dark red mug", [(4, "mug")]),
        ("take {object}", "take dark mug", []),
    ],
)
def test_names_and_adjectives_can_be_several_words_or_han_characters(pattern, text, ways):
    assert found(pattern, text, ("马", "马 克 杯", "杯", "mug"), ("红 色", "大", "dark red")) == ways


def test_arguments_can_be_led_by_names_of_several_words(tmp_path):
    file = tmp_path / "robot.yaml"
    file.write_text(
        "max_steps: 4\nclasses: {mug: [], desk: []}\nactions:\n"
        "  Put: {arguments: {the_object: mug, 目的地: desk}}\n  Wait: {arguments: {until_when: desk}}\n"
    )
    vocabulary = load_vocabulary(file)
    for text in ("Put(the_object=mug, 目的地=desk)", "Put(目的地: desk, the_object: mug)", "Put the object mug desk"):
        assert read_plan(text, vocabulary).plan.line == "Put mug desk", text
    (skipped,) = read_plan("Wait(until_when=noon)", vocabulary).skipped
    assert skipped.detail == "'noon' is no class of the vocabulary"
