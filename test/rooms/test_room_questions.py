"""Questions about rendered rooms: their answers are true, and what training never shows it never shows."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

import pytest

from llava_ov_ros.rooms.room_questions import CANNOT_TELL, CATEGORIES, NUMBERS, OPPOSITE, questions, which_way
from llava_ov_ros.rooms.takes import make_take
from llava_ov_ros.rooms.world import COLOURS, KINDS, RECEPTACLES, is_held_out, plural

PLACES = "|".join(RECEPTACLES)
NAME = rf"(?:({'|'.join(COLOURS)}) )?({'|'.join(KINDS)})"


@pytest.fixture(scope="module")
def asked():
    """(take, question) of many takes."""
    pairs = []
    for seed in range(1200):
        rng = Random(seed)
        take = make_take(rng, rng.choice((1, 4)))
        pairs += [(take, question) for question in questions(take, rng, each=2)]
    return pairs


def seen(take):
    """(kind, colour, receptacle or None when inside something) of all that the last picture shows."""
    return [
        (take.room.things[i].kind, take.room.things[i].colour, None if s.inside is not None else s.receptacle)
        for i, s in take.moments[-1].spots.items()
    ]


def of_kind(asked, kind):
    return [(take, question) for take, question in asked if question.category == kind]


def test_every_kind_is_asked_and_no_answer_prevails(asked):
    counts = Counter(question.category for _, question in asked)
    assert counts.keys() == set(CATEGORIES)
    for kind in set(CATEGORIES) - {"cannot_tell"}:
        answers = Counter(question.gold for _, question in of_kind(asked, kind))
        assert answers.most_common(1)[0][1] / counts[kind] < 0.65, (kind, answers.most_common(2))


def test_colours_are_those_of_the_things(asked):
    for take, question in of_kind(asked, "colour"):
        kind = next(k for k in KINDS if re.search(rf"\b{k}\b", question.text))
        place = re.search(rf"(?:on|in) the ({PLACES})", question.text)
        colours = {c for k, c, p in seen(take) if k == kind and (place is None or p == place[1])}
        assert colours == {question.gold}, question


def test_presence_is_what_the_picture_shows(asked):
    for take, question in of_kind(asked, "presence"):
        found = re.fullmatch(rf"(?:Is there|Do you see) an? {NAME}(?: (?:on|in) the ({PLACES}|room))?\?", question.text)
        assert found, question.text
        colour, kind, place = found.groups()
        there = any(k == kind and colour in (None, c) and place in (None, "room", p) for k, c, p in seen(take))
        assert question.gold == ("yes" if there else "no"), question


def test_places_and_numbers_are_true(asked):
    for take, question in of_kind(asked, "where"):
        colour, kind = re.search(rf"Where is the {NAME}\?", question.text).groups()
        places = [p for k, c, p in seen(take) if k == kind and colour in (None, c)]
        assert len(places) == 1, question
        if places[0] in RECEPTACLES:
            assert question.gold.endswith(f"the {places[0]}"), question
    for take, question in of_kind(asked, "counting"):
        if found := re.search(rf"things are (?:on|in) the ({PLACES})", question.text):
            number = sum(p == found[1] for _, _, p in seen(take))
        else:
            kind = next(k for k in KINDS if f" {plural(k)} " in question.text)
            number = sum(k == kind for k, _, _ in seen(take))
        assert question.gold == NUMBERS[number], question


def test_left_and_right_are_the_camera_s(asked):
    checked = 0
    for take, question in of_kind(asked, "left_right"):
        found = re.fullmatch(rf"Is the {NAME} left or right of the {NAME}\?", question.text)
        if found is None:
            continue
        x = {}
        for i, spot in take.moments[-1].spots.items():
            x[take.room.things[i].kind, take.room.things[i].colour] = spot.x
        one, other = (
            next(x for (k, c), x in x.items() if k == kind and colour in (None, c))
            for colour, kind in (found.groups()[:2], found.groups()[2:])
        )
        assert question.gold == ("left" if one < other else "right"), question
        checked += 1
    assert checked > 100


def test_it_cannot_be_told_where_what_is_asked_for_is_not_there(asked):
    for take, question in of_kind(asked, "cannot_tell"):
        assert question.gold == CANNOT_TELL
        there = {(k, c) for k, c, _ in seen(take)}
        kinds = {k for k, _ in there}
        names = [(c or None, k) for c, k in re.findall(NAME, question.text)]
        absent = [n for n in names if (n[1], n[0]) not in there and not (n[0] is None and n[1] in kinds)]
        receptacle = re.fullmatch(rf"What is (?:on|in) the ({PLACES})\?", question.text)
        if receptacle:
            assert receptacle[1] not in take.room.receptacles, question
        elif absent == []:
            assert len(take.moments) == 1 and not names, question


def test_a_clip_backwards_goes_the_other_way():
    ways = Counter()
    for seed in range(300):
        take = make_take(Random(seed), 4, event="moved")
        way, back = which_way(take), which_way(take.reversed())
        assert back == (None if way is None else OPPOSITE[way])
        ways[way] += 1
    assert all(ways[way] > 20 for way in OPPOSITE)


def test_what_a_step_report_claims_the_picture_may_deny():
    """The next step is the plan's, or the last one again where the picture shows that it failed."""
    outcomes = Counter()
    for seed in range(400):
        take = make_take(Random(seed), 4, event="episode")
        progress = take.progress
        done, acts = len(progress.reported), progress.goal.acts
        if progress.next_act is None:
            assert progress.reported == acts
            outcomes["done"] += 1
        elif done and progress.next_act == acts[done - 1]:
            outcomes["again"] += 1
        else:
            assert progress.next_act == acts[done]
            outcomes["next"] += 1
    assert min(outcomes[o] for o in ("done", "again", "next")) > 30


def test_training_shows_no_held_out_combination_and_the_other_rooms_do():
    def combinations(take):
        for moment in take.moments:
            for i, spot in moment.spots.items():
                if spot.inside is None:
                    thing = take.room.things[i]
                    yield thing.kind, thing.colour, spot.receptacle

    for seed in range(600):
        rng = Random(seed)
        take = make_take(rng, rng.choice((1, 4)))
        assert not any(is_held_out(*combination) for combination in combinations(take)), seed
    for seed in range(100):
        take = make_take(Random(seed), 1, event="nothing", combinations="held_out")
        assert any(is_held_out(*combination) for combination in combinations(take)), seed
