"""Draws questions about a take, with their right answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from .goals import make_goal, written
from .takes import Take
from .world import (
    COLOURS,
    HAND,
    KINDS,
    RECEPTACLES,
    Moment,
    Room,
    at,
    is_held_out,
    place_of,
    plural,
    with_article,
)

CANNOT_TELL = "cannot tell"
DONE = "DONE"
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven")
CATEGORIES = (
    "colour",
    "presence",
    "where",
    "counting",
    "left_right",
    "on_in",
    "motion",
    "plan",
    "next_step",
    "cannot_tell",
)
# Least distance in x, in room units, of two things that a question of left or right is about.
CLEARLY_BESIDE = 10.0
# Least ratio of a move's larger component (across or down) to its smaller one, for a question about its direction.
CLEARLY_ALONG = 1.5
OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}


@dataclass(frozen=True)
class Question:
    """A question and its right answer.

    Attributes:
        category: One of CATEGORIES; `cannot_tell` is a question whose answer the pictures do not show.
        text: Text of the question.
        gold: The one right answer.
        held_out: Whether the question is about a combination of kind, colour and place that training never shows.
        direction: Whether the question asks for the direction of a move.
    """

    category: str
    text: str
    gold: str
    held_out: bool = False
    direction: bool = False


class _Scene:
    """The things at the last moment of a take, for drawing questions about them."""

    def __init__(self, take: Take, rng: Random) -> None:
        self.take = take
        self.rng = rng
        self.room: Room = take.room
        self.now: Moment = take.moments[-1]
        self.first: Moment = take.moments[0]
        self.seen = list(self.now.spots)
        self.kinds = [self.room.things[i].kind for i in self.seen]

    def thing(self, index: int) -> str:
        return self.room.things[index].name

    def spoken(self, index: int) -> str:
        """Name of a thing in a question: its kind (at times) if that is unambiguous, else colour and kind."""
        it = self.room.things[index]
        return it.kind if self.kinds.count(it.kind) == 1 and self.rng.random() < 0.45 else it.name

    def held_out(self, *indices: int) -> bool:
        return any(
            is_held_out(
                self.room.things[i].kind,
                self.room.things[i].colour,
                self.now.spots[i].receptacle if i in self.now.spots else "",
            )
            for i in indices
        )

    def on(self, receptacle: str) -> list[int]:
        """Indices of the things on (or in) a receptacle, from left to right."""
        spots = self.now.spots
        there = [i for i in self.seen if spots[i].receptacle == receptacle and spots[i].inside is None]
        return sorted(there, key=lambda i: spots[i].x)

    def absent_name(self) -> tuple[str, str] | None:
        """Kind and colour of a thing that is absent, often with the kind of a present thing; None if none was found."""
        names = {(self.room.things[i].kind, self.room.things[i].colour) for i in self.seen}
        for _ in range(20):
            kind, colour = self.rng.choice(KINDS), self.rng.choice(list(COLOURS))
            if self.seen and self.rng.random() < 0.5:
                kind = self.rng.choice(self.kinds)
            if (kind, colour) not in names and not is_held_out(kind, colour, ""):
                return kind, colour
        return None

    def absent_kind(self) -> str:
        return self.rng.choice([kind for kind in KINDS if kind not in self.kinds])


def questions(take: Take, rng: Random, categories: Sequence[str] = CATEGORIES, each: int = 1) -> list[Question]:
    """Draw questions about a take, in random order and without duplicates.

    Args:
        take: The take.
        rng: Draws the questions and their wording.
        categories: Categories of the questions.
        each: Number of draws for each category; fewer questions result if the take does not allow one or one repeats.
    """
    scene = _Scene(take, rng)
    asked: dict[str, Question] = {}
    for category in categories:
        for _ in range(each):
            question = _ASKED[category](scene)
            if question is not None:
                asked.setdefault(question.text, question)
    listed = list(asked.values())
    rng.shuffle(listed)
    return listed


def _colour(s: _Scene) -> Question | None:
    if not s.seen:
        return None
    index = s.rng.choice(s.seen)
    it = s.room.things[index]
    word = s.rng.choice(("colour", "color"))
    held = s.held_out(index)
    if s.kinds.count(it.kind) == 1:
        forms = (f"What {word} is the {it.kind}?", f"What is the {word} of the {it.kind}?")
        return Question("colour", s.rng.choice(forms), it.colour, held)
    place = s.now.spots[index]
    same = [i for i in s.on(place.receptacle) if s.room.things[i].kind == it.kind]
    if place.receptacle == HAND or place.inside is not None or len(same) != 1:
        return None
    return Question("colour", f"What {word} is the {it.kind} {at(place.receptacle)}?", it.colour, held)


def _presence(s: _Scene) -> Question | None:
    coloured = s.rng.random() < 0.5
    placed = s.rng.random() < 0.5
    if s.seen and s.rng.random() < 0.4:
        index = s.rng.choice(s.seen)
        it, spot = s.room.things[index], s.now.spots[index]
        if spot.receptacle == HAND or spot.inside is not None:
            placed = False
        kind, colour, place = it.kind, it.colour, spot.receptacle
        held = s.held_out(index)
    else:
        place = s.rng.choice([piece.name for piece in s.room.furniture])
        kind, colour = s.rng.choice(KINDS), s.rng.choice(list(COLOURS))
        if s.seen and s.rng.random() < 0.6:
            other = s.room.things[s.rng.choice(s.seen)]
            kind = other.kind
            if s.rng.random() < 0.5:
                colour = other.colour
        held = is_held_out(kind, colour if coloured else "", place if placed else "")
    there = s.on(place) if placed else s.seen
    yes = any(s.room.things[i].kind == kind and (not coloured or s.room.things[i].colour == colour) for i in there)
    name = with_article(f"{colour} {kind}" if coloured else kind)
    where = f" {at(place)}" if placed else s.rng.choice(("", "", " in the room"))
    verb = s.rng.choice(("Is there", "Is there", "Do you see"))
    return Question("presence", f"{verb} {name}{where}?", "yes" if yes else "no", held)


def _where(s: _Scene) -> Question | None:
    if not s.seen:
        return None
    index = s.rng.choice(s.seen)
    answer = place_of(s.room, s.now.spots[index])
    return Question("where", f"Where is the {s.spoken(index)}?", answer, s.held_out(index))


def _counting(s: _Scene) -> Question | None:
    if s.rng.random() < 0.25:
        piece = s.rng.choice(s.room.furniture).name
        there = s.on(piece)
        return Question("counting", f"How many things are {at(piece)}?", NUMBERS[len(there)], s.held_out(*there))
    kind = s.rng.choice(s.kinds) if s.kinds and s.rng.random() < 0.8 else s.rng.choice(KINDS)
    alike = [i for i in s.seen if s.room.things[i].kind == kind]
    form = s.rng.choice((f"How many {plural(kind)} are there?", f"How many {plural(kind)} do you see?"))
    return Question("counting", form, NUMBERS[len(alike)], s.held_out(*alike))


def _left_right(s: _Scene) -> Question | None:
    standing = [i for i in s.seen if s.now.spots[i].receptacle != HAND and s.now.spots[i].inside is None]
    if not standing:
        return None
    index = s.rng.choice(standing)
    spot = s.now.spots[index]
    if s.rng.random() < 0.5:
        others = [i for i in standing if abs(s.now.spots[i].x - spot.x) > CLEARLY_BESIDE]
        if not others:
            return None
        other = s.rng.choice(others)
        answer = "left" if spot.x < s.now.spots[other].x else "right"
        text = f"Is the {s.spoken(index)} left or right of the {s.spoken(other)}?"
        return Question("left_right", text, answer, s.held_out(index, other))
    side = s.rng.choice(("left", "right"))
    row = s.on(spot.receptacle)
    place = row.index(index) + (1 if side == "right" else -1)
    beside = row[place] if 0 <= place < len(row) else None
    # Most things have nothing beside them, so questions with the answer `nothing` are thinned out.
    if beside is None and s.rng.random() < 0.6:
        return None
    answer = f"the {s.thing(beside)}" if beside is not None else "nothing"
    text = f"What is {s.rng.choice(('', 'to the '))}{side} of the {s.spoken(index)}?"
    return Question("left_right", text, answer, s.held_out(index, *([] if beside is None else [beside])))


def _on_in(s: _Scene) -> Question | None:
    piece = s.rng.choice(s.room.furniture).name
    there = s.on(piece)
    if not there and s.rng.random() < 0.5:
        return None
    answer = ", ".join(f"the {s.thing(i)}" for i in there) or "nothing"
    text = s.rng.choice((f"What is {at(piece)}?", f"What do you see {at(piece)}?"))
    return Question("on_in", text, answer, s.held_out(*there))


def _motion(s: _Scene) -> Question | None:
    take, rng = s.take, s.rng
    if len(take.moments) == 1 or take.event == "episode":
        return None
    changed = take.event != "nothing"
    form = rng.random()
    if form < 0.15:
        text = rng.choice(("Is anything different?", "Did anything change?"))
        return Question("motion", text, "yes" if changed else "no")
    mover = take.mover
    held = mover is not None and s.held_out(mover)
    if form < 0.35 or mover is None:
        verb, event = rng.choice((("moved", "moved"), ("moved", "moved"), ("appeared", "appeared"), ("left", "left")))
        if take.event in ("appeared", "left") and rng.random() < 0.6:
            verb = event = take.event
        if verb == "left":
            verb = rng.choice(("left", "disappeared"))
        what = f"the {s.thing(mover)}" if mover is not None and event == take.event else "nothing"
        text = f"What {verb}?" if verb != "moved" else rng.choice(("What moved?", "Which object moved?"))
        return Question("motion", text, what, held)
    if take.event != "moved":
        return _change(s, mover, held)
    before, now = place_of(s.room, s.first.spots[mover]), place_of(s.room, s.now.spots[mover])
    name = s.spoken(mover)
    if form < 0.5:
        return Question("motion", f"Where was the {name} before?", before, held)
    if form < 0.6:
        return Question("motion", f"Where is the {name} now?", now, held)
    if form < 0.72:
        return Question("motion", f"From where to where did the {name} move?", f"from {before} to {now}", held)
    way = which_way(take)
    if way is None:
        return None
    text = rng.choice((f"Which way did the {name} move?", "Which way did it move?"))
    return Question("motion", text, way, held, direction=True)


def _change(s: _Scene, mover: int, held: bool) -> Question:
    """A question about a thing that appeared or left."""
    name = s.thing(mover)
    appeared = s.take.event == "appeared"
    if s.rng.random() < 0.5:
        return Question("motion", f"Did the {name} appear?", "yes" if appeared else "no", held)
    return Question("motion", f"Did the {name} disappear?", "no" if appeared else "yes", held)


def which_way(take: Take) -> str | None:
    """Direction of the mover: left, right, up or down; None if the move is diagonal."""
    assert take.mover is not None
    first, last = take.moments[0].spots[take.mover], take.moments[-1].spots[take.mover]
    across, down = last.x - first.x, last.y - first.y
    if max(abs(across), abs(down)) < CLEARLY_ALONG * min(abs(across), abs(down)):
        return None
    if abs(across) > abs(down):
        return "right" if across > 0 else "left"
    return "down" if down > 0 else "up"


def goal_question(text: str) -> str:
    """The question for the plan of a goal."""
    return f"Goal: {text}. Plan?"


def next_step_question(text: str, reported: str) -> str:
    """The question for the next step towards a goal after the reported steps."""
    return f"Goal: {text}. Done: {reported or 'nothing'}. Next step?"


def _plan(s: _Scene) -> Question | None:
    if s.now.hand is not None or any(spot.inside is not None for spot in s.now.spots.values()):
        return None
    for _ in range(4):
        goal = make_goal(s.rng, s.room, s.now)
        if goal is not None:
            things = [act.thing for act in goal.acts if act.thing is not None]
            return Question("plan", goal_question(goal.text), goal.plan, s.held_out(*things))
    return None


def _next_step(s: _Scene) -> Question | None:
    progress = s.take.progress
    if progress is None:
        return None
    answer = DONE if progress.next_act is None else str(progress.next_act)
    text = next_step_question(progress.goal.text, written(progress.reported))
    things = [act.thing for act in progress.goal.acts if act.thing is not None]
    return Question("next_step", text, answer, s.held_out(*things))


def _cannot_tell(s: _Scene) -> Question | None:
    rng = s.rng
    form = rng.random()
    if form < 0.25:
        word = rng.choice(("colour", "color"))
        kind = s.absent_kind()
        forms = (f"What {word} is the {kind}?", f"What is the {word} of the {kind}?")
        return Question("cannot_tell", rng.choice(forms), CANNOT_TELL)
    if form < 0.35:
        absent = [name for name in RECEPTACLES if name not in s.room.receptacles]
        return Question("cannot_tell", f"What is {at(rng.choice(absent))}?", CANNOT_TELL)
    if form < 0.45 and len(s.take.moments) == 1:
        text = rng.choice(("What moved?", "Which object moved?", "Which way did it move?", "Is anything different?"))
        return Question("cannot_tell", text, CANNOT_TELL)
    missing = s.absent_name()
    if missing is None:
        return None
    kind, colour = missing
    name = kind if kind not in s.kinds and rng.random() < 0.5 else f"{colour} {kind}"
    if form < 0.65:
        return Question("cannot_tell", f"Where is the {name}?", CANNOT_TELL)
    if form < 0.8 and s.seen:
        text = f"Is the {name} left or right of the {s.spoken(rng.choice(s.seen))}?"
        return Question("cannot_tell", text, CANNOT_TELL)
    place = rng.choice(list(RECEPTACLES))
    verb = rng.choice(("put", "put", "move", "bring", "place"))
    goal = f"{verb} the {name} {f'to the {place}' if verb in ('move', 'bring') else at(place)}"
    return Question("cannot_tell", goal_question(goal), CANNOT_TELL)


_ASKED: dict[str, Callable[[_Scene], Question | None]] = {
    "colour": _colour,
    "presence": _presence,
    "where": _where,
    "counting": _counting,
    "left_right": _left_right,
    "on_in": _on_in,
    "motion": _motion,
    "plan": _plan,
    "next_step": _next_step,
    "cannot_tell": _cannot_tell,
}
