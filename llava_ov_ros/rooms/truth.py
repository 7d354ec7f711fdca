"""The truth of a recording: its events, and questions with their right answers and clips."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

from .goals import Act, written
from .room_questions import CATEGORIES, NUMBERS, Question, goal_question, questions
from .script import EPISODE_REST_S, Event, Script, told
from .takes import Progress, Take
from .view import View
from .world import at, place_of, plural, with_article

# Seconds from a change's middle at which questions are asked: at rest before it, after the whole change, at rest again.
BEFORE_S, ACROSS_S, AFTER_S = -2.1, 3.1, 4.9
REST_WINDOW_S, ACROSS_WINDOW_S = 3.0, 6.0
STEP_WINDOW_S = 2.0
END_WINDOW_S = 1.6
TAKE_FRAMES = 4
# Categories of questions that one picture can answer.
STILL = tuple(one for one in CATEGORIES if one not in ("motion", "next_step"))


@dataclass(frozen=True)
class TimedTruth:
    """A question about a recording, its right answer, and its clip.

    Attributes:
        ask: The question.
        gold: The one right answer.
        category: One of CATEGORIES.
        at_s: Time of the question and end of its clip, in seconds from the first frame.
        window_s: Length of the clip in seconds.
    """

    ask: str
    gold: str
    category: str
    at_s: float
    window_s: float

    def as_dict(self) -> dict[str, str | float]:
        """The question as a file of questions has it (docs/replay.md), ready for JSON."""
        return {
            "ask": self.ask,
            "truth": self.gold,
            "kind": self.category,
            "at_s": self.at_s,
            "window_s": self.window_s,
        }


@dataclass(frozen=True)
class _Stretch:
    """The clip of a question: `window_s` seconds that end at `at_s`."""

    at_s: float
    window_s: float

    def take(
        self, script: Script, event: str = "nothing", mover: int | None = None, progress: Progress | None = None
    ) -> Take:
        times_s = [self.at_s - self.window_s * (1 - i / (TAKE_FRAMES - 1)) for i in range(TAKE_FRAMES)]
        return Take(script.room, View(), tuple(map(script.at, times_s)), event, mover, progress)

    def timed(self, *asked: Question) -> list[TimedTruth]:
        return [TimedTruth(q.text, q.gold, q.category, self.at_s, self.window_s) for q in asked]


def ask_about(script: Script, rng: Random, most: int, *, drawn: bool = False) -> tuple[TimedTruth, ...]:
    """The questions about a recording, ordered by time.

    Without a plan, the first move has the same questions in every recording (`tour`), and those about later changes are
    drawn. With a plan, the questions ask for the plan, for the next step after each step, and for the state of the
    room before and after the plan.

    Args:
        script: Events of the recording.
        rng: Draws the questions, and those that are left out.
        most: Most questions.
        drawn: Whether the questions about the first move are drawn, too.
    """
    if script.episode is None:
        changes = script.changes
        asked = [] if drawn else tour(script, changes[0])
        for change in changes if drawn else changes[1:]:
            asked += _about_change(script, change, rng)
    else:
        asked = _about_episode(script, rng, most)
    if len(asked) > most:
        asked = [asked[i] for i in sorted(rng.sample(range(len(asked)), most))]
    return tuple(sorted(asked, key=lambda question: question.at_s))


def tour(script: Script, move: Event) -> list[TimedTruth]:
    """The questions that every recording has about its first move, ordered by time.

    Args:
        script: Events of the recording.
        move: The event in which a thing is carried.
    """
    room, mover = script.room, move.thing
    assert mover is not None, "a move is about a thing"
    it, seen = room.things[mover], list(move.before.spots)
    counts = Counter(room.things[i].kind for i in seen)
    name = it.kind if counts[it.kind] == 1 else it.name
    many, number = counts.most_common(1)[0]
    home, goal = move.before.spots[mover], move.after.spots[mover]
    others = [i for i in seen if i != mover]
    single = next((room.things[i] for i in (*others, mover) if counts[room.things[i].kind] == 1), None)
    there = f"Is there {with_article(name)} {at(goal.receptacle)}?"
    back = goal_question(f"put the {it.name} {at(home.receptacle)}")
    before, across, after = _stretches(script, move)
    asked = before.timed(
        *([] if single is None else [Question("colour", f"What colour is the {single.kind}?", single.colour)]),
        Question("counting", f"How many {plural(many)} are there?", NUMBERS[number]),
        Question("where", f"Where is the {name}?", place_of(room, home)),
        Question("presence", there, "no"),
    )
    asked += across.timed(
        Question("motion", "Which object moved?", f"the {it.name}"),
        Question("motion", f"Where was the {it.name} before?", place_of(room, home)),
        Question("motion", f"Where is the {it.name} now?", place_of(room, goal)),
    )
    return asked + after.timed(
        Question("presence", there, "yes"),
        Question("motion", "Which object moved?", "nothing"),
        Question("plan", back, written(_carrying(it.kind, goal.receptacle, home.receptacle))),
    )


def _carrying(kind: str, source: str, goal: str) -> tuple[Act, ...]:
    return (
        Act("GotoLocation", (source,)),
        Act("PickupObject", (kind,)),
        Act("GotoLocation", (goal,)),
        Act("PutObject", (kind, goal)),
    )


def _stretches(script: Script, change: Event) -> tuple[_Stretch, _Stretch, _Stretch]:
    """The clips of a change: the rest before it, the whole change, and the rest after it."""
    one, two, three = (
        _Stretch(round(change.middle_s + script.pace * from_middle_s, 3), round(script.pace * window_s, 3))
        for from_middle_s, window_s in (
            (BEFORE_S, REST_WINDOW_S),
            (ACROSS_S, ACROSS_WINDOW_S),
            (AFTER_S, REST_WINDOW_S),
        )
    )
    return one, two, three


def _about_change(script: Script, change: Event, rng: Random) -> list[TimedTruth]:
    before, across, after = _stretches(script, change)
    asked = before.timed(*questions(before.take(script), rng, rng.sample(STILL, 3)))
    motion = questions(across.take(script, change.kind, change.thing), rng, ("motion",), each=5)
    asked += across.timed(*motion[:3])
    categories = (*rng.sample(STILL, 2), "motion")
    return asked + after.timed(*questions(after.take(script), rng, categories))


def _about_episode(script: Script, rng: Random, most: int) -> list[TimedTruth]:
    episode = script.episode
    assert episode is not None
    goal = episode.goal
    rest = _Stretch(EPISODE_REST_S, EPISODE_REST_S)
    asked = rest.timed(Question("plan", goal_question(goal.text), goal.plan))
    for done in range(len(goal.acts) + 1):
        behind = _Stretch(script.events[done].end_s, STEP_WINDOW_S)
        progress = Progress(goal, goal.acts[:done], goal.acts[done] if done < len(goal.acts) else None)
        asked += behind.timed(*questions(behind.take(script, "episode", progress=progress), rng, ("next_step",)))
    end = _Stretch(script.last_s, min(END_WINDOW_S, round(script.last_s - script.events[-1].start_s, 3)))
    for stretch, share in ((rest, (most - len(asked) + 1) // 2), (end, (most - len(asked)) // 2)):
        drawn = questions(stretch.take(script), rng, rng.sample(STILL, len(STILL)))
        asked += stretch.timed(*[q for q in drawn if q.category != "plan"][: max(0, share)])
    return asked


def episode_truth(script: Script) -> dict[str, object]:
    """Goal, plan, and the begin and end of each step in seconds, ready for JSON."""
    episode = script.episode
    assert episode is not None, "the script of an episode"
    steps = [event for event in script.events if event.act is not None]
    return {
        "goal": episode.goal.text,
        "task_type": episode.goal.task_type,
        "pddl_params": episode.goal.pddl_params,
        "plan": episode.goal.plan,
        "steps": [{"step": str(event.act), "start_s": event.start_s, "end_s": event.end_s} for event in steps],
        "reached_s": steps[-1].end_s,
    }


def what_happens(script: Script) -> str:
    """A summary of a recording in one line."""
    if script.episode is not None:
        goal = script.episode.goal
        return f'the goal "{goal.text}" is reached in {len(goal.acts)} steps'
    changes = [told(script.room, event) for event in script.changes]
    more = f", and {len(changes) - 3} more changes" if len(changes) > 3 else ""
    return ", then ".join(changes[:3]) + more
