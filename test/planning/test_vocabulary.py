"""Action vocabularies: the shipped ones, and what is said about files that cannot be used."""

from __future__ import annotations

import re

import pytest

from llava_ov_ros.planning import Step, VocabularyError, find_vocabulary, load_vocabulary
from llava_ov_ros.share import shipped

SMALL = """\
max_steps: 4
hands: 1
states: [signed, on]
classes:
  parcel: [box]
  lobby:
  lab: [laboratory]
groups:
  item: [parcel]
  room: [lobby, lab]
actions:
  DriveTo:
    arguments: {room: room}
    effects: [{go_to: room}]
    says: ["drive to {room}"]
  Deliver:
    arguments: {item: item, room: room}
    requires: [{holding: item}]
    expects: [{at: room}]
    effects:
      - put: [item, room]
      - set: [item, signed]
language:
  ignore: [the]
  details: [in]
"""


@pytest.fixture
def load(tmp_path):
    """Loads a vocabulary from its text."""

    def from_text(text):
        file = tmp_path / "robot.yaml"
        file.write_text(text)
        return load_vocabulary(file)

    return from_text


def test_a_small_one(load):
    vocabulary = load(SMALL)
    assert vocabulary.max_steps == 4
    assert vocabulary.states == ("signed", "on")
    assert vocabulary.classes == {"parcel": ("box",), "lobby": (), "lab": ("laboratory",)}
    assert vocabulary.members("room") == {"lobby", "lab"}
    assert vocabulary.members("lab") == {"lab"}
    assert vocabulary.choices(vocabulary.actions["DriveTo"].arguments[0]) == ("lobby", "lab")
    assert vocabulary.fault(Step("Deliver", ("parcel", "lab"))) is None


# What is changed in the small one, into what, in which line it is found, and what is said.
WRONG = [
    ("max_steps: 4", "max_step: 4", 1, "'max_step' is not known here; did you mean 'max_steps'?"),
    ("max_steps: 4\n", "", 1, "'max_steps' is missing"),
    ("max_steps: 4", "max_steps: many", 1, "max_steps: 'many' is no whole number"),
    ("max_steps: 4", "max_steps: 0", 1, "max_steps: '0' is no whole number from 1"),
    ("max_steps: 4", "max_steps: 4\nmax_steps: 5", 2, "'max_steps' is there twice, first in line 1"),
    ("[signed, on]", "[signed, signed]", 3, "states: the state 'signed' is there twice"),
    ("[signed, on]", "[sig ned]", 3, "'sig ned' is no name for a state"),
    ("[signed, on]", "signed", 3, "states: expected a list, not 'signed'"),
    ("  lobby:", "  parcel:", 6, "classes: 'parcel' is there twice, first in line 5"),
    ("  lobby:", "  Parcel:", 6, "'Parcel' and the class 'parcel' differ in upper and lower case only"),
    ("  lobby:", "  big lobby:", 6, "'big lobby' is no name for a class"),
    ("  lobby:", "  lobby: {in: front}", 6, "classes.lobby: expected a list, not a mapping"),
    ("[laboratory]", "[the laboratory]", 7, "'the laboratory' would be read as 'laboratory', because of language.ig"),
    ("[laboratory]", "[['lab 1']]", 7, "classes.lab: expected a word or text, not a list"),
    ("item: [parcel]", "item: [parcels]", 9, "groups.item: 'parcels' is no class and no group; did you mean 'parcel'?"),
    ("item: [parcel]", "item: []", 9, "groups.item: the group is empty"),
    ("item: [parcel]", "item: [item]", 9, "the group 'item' contains itself: item -> item"),
    ("item: [parcel]", "lab: [parcel]", 9, "groups.lab: 'lab' is a class: a group needs another name"),
    ("  DriveTo:", "  Deliver:\n", 17, "actions: 'Deliver' is there twice, first in line 12"),
    ("  DriveTo:", "  DELIVER:", 16, "'Deliver' and the action 'DELIVER' differ in upper and lower case only"),
    ("arguments: {room: room}", "argument: {room: room}", 13, "actions.DriveTo.argument: 'argument' is not known here"),
    ("arguments: {room: room}", "arguments: [room]", 13, "actions.DriveTo.arguments: expected a mapping"),
    ("arguments: {room: room}", "arguments: {room: rooms}", 13, "its type 'rooms' is no class and no group; did you"),
    ("arguments: {room: room}", "arguments: {1room: room}", 13, "'1room' is no name for an argument"),
    ("{go_to: room}", "{goto: room}", 14, "actions.DriveTo.effects: 'goto' is no effect; did you mean 'go_to'?"),
    ("{go_to: room}", "{go_to: place}", 14, "go_to: 'place' is no argument of the action and no class"),
    ("{go_to: room}", "{go_to: item}", 14, "go_to: 'item' is no argument of the action and no class"),
    ("{go_to: room}", "{go_to: [room, room]}", 14, "go_to has 2 names, expected 'go_to: place'"),
    ("{go_to: room}", "go_to", 14, "go_to has 0 names, expected 'go_to: place'"),
    ("{go_to: room}", "{go_to: room, set: room}", 14, "expected one effect, such as go_to, not 2"),
    ("{go_to: room}", "{holding: room}", 14, "'holding' is no effect; expected one of go_to"),
    ("drive to {room}", "drive to {rom}", 15, "{rom} is no argument of the action; did you mean 'room'?"),
    ("drive to {room}", "drive", 15, "the pattern 'drive' must name each argument once: room"),
    ("drive to {room}", "drive [to {room}]", 15, "must name each argument once: room"),
    ("drive to {room}", "drive (to {room}", 15, "has a '(' that is not closed by ')'"),
    ("drive to {room}", "drive to) {room}", 15, "has a ')' too many"),
    ("drive to {room}", "(drive|) to {room}", 15, "has a place without words"),
    ("drive to {room}", "drive to the {room}", 15, "'the' is never seen there, because of language.ignore"),
    (
        "{holding: item}",
        "{holding: items}",
        18,
        "holding: 'items' is no argument, class or group; did you mean 'item'?",
    ),
    ("{holding: item}", "{held: item}", 18, "actions.Deliver.requires: 'held' is no condition"),
    ("{holding: item}", "{is: [item, lost]}", 18, "is: 'lost' is no state; expected one of signed, on"),
    ("{holding: item}", "{is: [parcel, signed]}", 18, "is: 'parcel' is no argument of the action"),
    ("      - put: [item, room]", "      - put: [parcel, room]", 21, "put: 'parcel' is no argument of the action"),
    ("      - set: [item, signed]", "      - pick_up: thing", 22, "pick_up: 'thing' is no argument of the action"),
    ("      - set: [item, signed]", "      - set: [item, singed]", 22, "'singed' is no state; did you mean 'signed'?"),
    ("  ignore: [the]", "  ignore: ['(the']", 24, "language.ignore: the pattern '(the' has a '('"),
    ("  ignore: [the]", "  ignore: ['the {item}']", 24, "{item} is no argument of the action; there are none here"),
    ("  details: [in]", "  adjectives: [very big]", 25, "'very big' is more than one word"),
    ("  details: [in]", "  detail: [in]", 25, "'detail' is not known here; did you mean 'details'?"),
    (
        "language:",
        "goals:\n  DriveTo: {arguments: {item: item}, effects: [{pick_up: item}]}\nlanguage:",
        24,
        "'DriveTo' is an action: a goal needs another name",
    ),
    (
        "language:",
        "goals:\n  Visit: {arguments: {room: room}, effects: [{go_to: room}]}\nlanguage:",
        24,
        "'Visit' has no effect that lasts",
    ),
    ("language:", "goals:\n  Hold: {requires: [hand_free]}\nlanguage:", 24, "'requires' is not known here"),
    ("  details: [in]", "  states: {singed: [done]}", 25, "'singed' is no state; did you mean 'signed'?"),
    ("language:", "language: [", 25, "not YAML"),
    ("language:", "\tlanguage:", 23, "not YAML"),
]


@pytest.mark.parametrize(("old", "new", "line", "said"), WRONG)
def test_errors_name_file_line_and_rule(old, new, line, said, load):
    text = SMALL.replace(old, new, 1)
    assert text != SMALL
    with pytest.raises(VocabularyError, match=re.escape(said)) as caught:
        load(text)
    assert f"robot.yaml:{line}: " in str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing", "[]", "just text", "classes: {a: []}\nmax_steps: 1\nactions: {}"])
def test_files_that_are_no_vocabulary(text, load):
    with pytest.raises(VocabularyError, match=r"robot\.yaml:"):
        load(text)


def test_a_plan_needs_an_action_that_does_not_end_it(load):
    with pytest.raises(VocabularyError, match=r"robot\.yaml:4: actions: there must be at least one action"):
        load("max_steps: 1\nclasses: {a: []}\nactions:\n  Stop: {ends: true}\n")


def test_missing_files(tmp_path):
    with pytest.raises(VocabularyError, match=r"nothing\.yaml: No such file"):
        load_vocabulary(tmp_path / "nothing.yaml")
    with pytest.raises(
        VocabularyError, match="alfread: no such file, and no shipped vocabulary; did you mean 'alfred'"
    ):
        find_vocabulary("alfread")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VocabularyError, match="not text in UTF-8"):
        load_vocabulary(tmp_path / "binary.yaml")


def test_words_that_yaml_takes_for_something_else_are_words(load):
    """`on` is no True, `no` no False, 1.0 no number."""
    vocabulary = load(SMALL.replace("lobby:", "1.0: [no]").replace("[lobby, lab]", "[1.0, lab]"))
    assert vocabulary.classes["1.0"] == ("no",)
    assert "on" in vocabulary.states


def test_every_shipped_vocabulary_loads():
    folder = shipped("config/actions")
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    assert names == ["alfred", "delivery"]
    for name in names:
        assert load_vocabulary(find_vocabulary(name)).actions


def test_alfred(alfred):
    assert list(alfred.actions) == [
        "GotoLocation",
        "PickupObject",
        "PutObject",
        "HeatObject",
        "CoolObject",
        "CleanObject",
        "SliceObject",
        "ToggleObject",
        "NoOp",
    ]
    assert (alfred.max_steps, alfred.hands, len(alfred.classes)) == (24, 1, 80)
    assert alfred.members("place") == set(alfred.classes)
    assert alfred.movable() == alfred.members("thing")
    assert alfred.members("carrier") == alfred.members("thing") & alfred.members("receptacle")


def test_alfreds_plans_use_these_words_and_no_others(gold_rows, alfred):
    """79 of the 80 classes; kettle, which ALFRED lets be cleaned and put away, is in none of these plans."""
    words = {word for row in gold_rows for step in row["gold_plan"] for word in step[1:]} - {""}
    assert set(alfred.classes) - words == {"kettle"}
    assert words <= set(alfred.classes)
    longest = max(len([step for step in row["gold_plan"] if step != ["NoOp"]]) for row in gold_rows)
    assert (longest, alfred.max_steps) == (16, 24)
