"""The script of a recording: one change after another, or the execution of a plan, with rests in between."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from random import Random

from .episodes import STEP_S, Episode
from .goals import Act
from .takes import TRIES, make_episode, on_the_way
from .world import Moment, Room, Spot, Wish, is_held_out, make_room, place_of

# A rest, a change, a rest, and so on.
REST_S = 5.0
CARRY_S = 3.0
# Least length of the last rest.
LAST_REST_S = 3.6
# Rest before the first step of a plan and after the last.
EPISODE_REST_S = 2.0
# Weights of the kinds of changes; the first change is always a move.
CHANGES = {"moved": 6.0, "appeared": 1.0, "left": 1.0}
ABSENT_SHARE = 0.5


@dataclass(frozen=True)
class Event:
    """One event of a recording.

    Attributes:
        kind: `rest`, `moved`, `appeared`, `left` or `step`.
        start_s: Begin in seconds from the first frame.
        end_s: End in seconds from the first frame; equal to `start_s` if a thing appears or leaves.
        before: State of the room at the begin.
        after: State of the room at the end.
        thing: Index of the thing that moves, appears or leaves.
        act: The step of the plan, for the kind `step`.
    """

    kind: str
    start_s: float
    end_s: float
    before: Moment
    after: Moment
    thing: int | None = None
    act: Act | None = None

    @property
    def middle_s(self) -> float:
        """The middle of the event in seconds from the first frame."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True)
class Script:
    """The events of a recording.

    Attributes:
        room: The room.
        events: Events in order, without gaps; the first and the last are rests.
        last_s: Time of the last frame in seconds from the first.
        pace: Factor on the length of rests and changes; below 1 in a short recording.
        episode: The execution of a plan, if the recording shows one.
    """

    room: Room
    events: tuple[Event, ...]
    last_s: float
    pace: float = 1.0
    episode: Episode | None = None

    def at(self, time_s: float) -> Moment:
        """State of the room `time_s` seconds after the first frame."""
        if self.episode is not None:
            return self.episode.at(time_s - EPISODE_REST_S)
        event = self.events[max(0, bisect_right(self.events, time_s, key=lambda event: event.start_s) - 1)]
        if event.kind != "moved" or event.thing is None:
            return event.after
        share = (time_s - event.start_s) / (event.end_s - event.start_s)
        return on_the_way(self.room, event.before, event.thing, event.after.spots[event.thing], share, by_hand=True)

    @property
    def changes(self) -> tuple[Event, ...]:
        """The events in which something moves, appears or leaves."""
        return tuple(event for event in self.events if event.kind in CHANGES)


def frame_count(seconds: float, rate_hz: float) -> int:
    """Number of frames within a length of time, the first at 0 seconds; at least 1."""
    return max(1, math.ceil(seconds * rate_hz - 1e-6))


def make_script(rng: Random, last_s: float) -> Script:
    """Draw a script in which rests alternate with changes: a thing is carried to another place, appears or leaves.

    Args:
        rng: Source of all random choices.
        last_s: Time of the last frame in seconds, more than 0. Below 11.6 s rests and changes are shorter.

    Raises:
        RuntimeError: No script was found in TRIES rooms.
    """
    pace = min(1.0, last_s / (REST_S + CARRY_S + LAST_REST_S))
    # A thousandth of a second makes up for rounding in a recording that just fits.
    count = max(1, int((last_s - LAST_REST_S * pace + 1e-3) // ((REST_S + CARRY_S) * pace)))
    for _ in range(TRIES):
        script = _script(rng, last_s, pace, count)
        if script is not None:
            return script
    raise RuntimeError(f"no room with {count} changes in {TRIES} tries")


def _script(rng: Random, last_s: float, pace: float, count: int) -> Script | None:
    room = make_room(rng, Wish(things=rng.choice((4, 5, 5, 6)), doubled=0.4))
    moment, free = room.start, list(room.free)
    if rng.random() < ABSENT_SHARE:
        absent = rng.randrange(len(room.things))
        free.append(moment.spots[absent])
        moment = moment.without(absent)
    events: list[Event] = []
    rested_s = 0.0
    for number in range(count):
        start_s = round((number * (REST_S + CARRY_S) + REST_S) * pace, 3)
        end_s = round(start_s + CARRY_S * pace, 3)
        change = _change(rng, room, moment, free, first=number == 0)
        if change is None:
            return None
        kind, thing, after = change
        if kind != "moved":
            start_s = end_s = round((start_s + end_s) / 2, 3)
        events += [Event("rest", rested_s, start_s, moment, moment), Event(kind, start_s, end_s, moment, after, thing)]
        moment, rested_s = after, end_s
    events.append(Event("rest", rested_s, last_s, moment, moment))
    return Script(room, tuple(events), last_s, pace)


def _change(
    rng: Random, room: Room, moment: Moment, free: list[Spot], *, first: bool
) -> tuple[str, int, Moment] | None:
    """Draw the next change: its kind, its thing, and the moment after it; updates the list of free spots."""
    seen = list(moment.spots)
    absent = [i for i in range(len(room.things)) if i not in moment.spots]
    possible = {"moved": True, "appeared": bool(absent), "left": len(seen) > 2}
    kinds = [kind for kind in CHANGES if possible[kind] and (kind == "moved" or not first)]
    kind = rng.choices(kinds, [CHANGES[kind] for kind in kinds])[0]
    if kind == "left":
        thing = rng.choice(seen)
        free.append(moment.spots[thing])
        return kind, thing, moment.without(thing)
    candidates = absent if kind == "appeared" else seen
    if first:
        # The questions of `tour` about the first move read best if the kind alone identifies the thing that moves.
        counts = Counter(room.things[i].kind for i in seen)
        candidates = [i for i in seen if counts[room.things[i].kind] == 1] or seen
    ways = {thing: _goals(room, moment, free, thing) for thing in candidates}
    ways = {thing: spots for thing, spots in ways.items() if spots}
    if not ways:
        return None
    thing = rng.choice(list(ways))
    spot = rng.choice(ways[thing])
    free.remove(spot)
    if kind == "moved":
        free.append(moment.spots[thing])
    return kind, thing, moment.moved(thing, spot)


def _goals(room: Room, moment: Moment, free: list[Spot], thing: int) -> list[Spot]:
    """Free spots to which a thing may move: on other receptacles, without held-out combinations."""
    it = room.things[thing]
    here = moment.spots[thing].receptacle if thing in moment.spots else ""
    return [s for s in free if s.receptacle != here and not is_held_out(it.kind, it.colour, s.receptacle)]


def make_episode_script(rng: Random, rate_hz: float) -> Script:
    """Draw a script in which a plan is executed until its goal is reached, with a rest before and a rest after it.

    Args:
        rng: Source of all random choices.
        rate_hz: Frames per second; the last frame is the last one within the last rest.

    Raises:
        RuntimeError: No reachable goal was found in TRIES rooms.
    """
    for _ in range(TRIES):
        episode = make_episode(rng)
        if episode is not None:
            return _episode_script(episode, rate_hz)
    raise RuntimeError(f"no goal that can be reached in {TRIES} rooms")


def _episode_script(episode: Episode, rate_hz: float) -> Script:
    moments, acts = episode.moments, episode.goal.acts
    events = [Event("rest", 0.0, EPISODE_REST_S, moments[0], moments[0])]
    for number, act in enumerate(acts):
        start_s = EPISODE_REST_S + number * STEP_S
        events.append(Event("step", start_s, start_s + STEP_S, moments[number], moments[number + 1], act=act))
    reached_s = events[-1].end_s
    last_s = (frame_count(reached_s + EPISODE_REST_S, rate_hz) - 1) / rate_hz
    events.append(Event("rest", reached_s, last_s, moments[-1], moments[-1]))
    return Script(episode.room, tuple(events), last_s, episode=episode)


def told(room: Room, event: Event) -> str:
    """An event in words, such as `the red mug is carried from the desk to the shelf`."""
    if event.kind == "rest":
        return "all rests: " + ", ".join(
            f"the {room.things[i].name} is {place_of(room, spot)}" for i, spot in event.after.spots.items()
        )
    if event.act is not None:
        return str(event.act)
    assert event.thing is not None, f"an event of kind {event.kind!r} is about a thing"
    name = room.things[event.thing].name
    if event.kind == "appeared":
        return f"the {name} appears {place_of(room, event.after.spots[event.thing])}"
    before = event.before.spots[event.thing]
    if event.kind == "left":
        return f"the {name} disappears from the {before.receptacle}"
    return f"the {name} is carried from the {before.receptacle} to the {event.after.spots[event.thing].receptacle}"
