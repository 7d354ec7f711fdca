"""Makes the trials of one bag from a suite's entries: questions and plans with their times and right answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...frames import NS_PER_S
from ...planning import GoalError, GoalTextError, PlanError, Vocabulary, from_rows, goal_from, goal_text, parse_line
from ...questions import Kind, Prompts, SceneQuestion, shape
from ...replay import ROUNDING_NS, QuestionsError, read_questions
from ...settings import DEFAULTS, nanoseconds
from .suite_file import BagEntry, ClipSettings
from .yaml_file import Place, one_of

Gold = str | int | float | bool
PLAN = "plan"
# Admission takes the frame nearest to each due time, so two admitted frames can be this many periods apart.
APART_PERIODS = 1.5


@dataclass(frozen=True)
class PlanGold:
    """The right plan and the goal against which a plan is scored.

    Attributes:
        rows: The right plan as ALFRED's rows; None if not given.
        conditions: Conditions that must hold in the end, as ALFRED's pddl_params; None if not given.
        task_type: ALFRED's task type; empty if not given.
    """

    rows: tuple[tuple[str, ...], ...] | None
    conditions: Mapping[str, Any] | None
    task_type: str


@dataclass(frozen=True)
class Trial:
    """One question at one time, or one plan.

    Attributes:
        number: Number among the trials of the bag, from 0, in the order of the suite.
        ask: The question, or the goal of a plan.
        kind: A value of `questions.Kind`, or `plan`.
        at_ns: Time of the question in nanoseconds after the first frame.
        window_ns: Length in nanoseconds of the window that ends at `at_ns`; None: the growing clip, or the range.
        range_ns: Begin and end of the clip in nanoseconds after the first frame; None: no range.
        choices: The choices, for kind choice.
        gold: The right answers; empty if not known.
        category: Category whose questions are also scored by themselves; empty if none.
        plan: Right plan and goal, for kind plan.
    """

    number: int
    ask: str
    kind: str
    at_ns: int
    window_ns: int | None = None
    range_ns: tuple[int, int] | None = None
    choices: tuple[str, ...] = ()
    gold: tuple[Gold, ...] = ()
    category: str = ""
    plan: PlanGold | None = None

    @property
    def window_s(self) -> float | None:
        """`window_ns` in seconds."""
        return None if self.window_ns is None else self.window_ns / NS_PER_S


@dataclass(frozen=True)
class BagTimes:
    """The times of a bag that matter for its trials.

    Attributes:
        path: Path of the bag; None without a bag, and then nothing that depends on its name is checked.
        end_ns: Time of the last frame in nanoseconds after the first frame.
        length_ns: Length of the bag in nanoseconds, loops of its stamps included; None if unknown, and then no time is
            too late.
        period_ns: Nanoseconds between two frames of the slowest camera.
    """

    path: Path | None
    end_ns: int
    length_ns: int | None
    period_ns: int


class TrialMaker:
    """Makes the trials of one bag from an entry of the suite, and notes the entry's faults."""

    def __init__(
        self,
        times: BagTimes,
        clip: ClipSettings,
        max_new_tokens: int,
        prompts: Prompts | None,
        vocabulary: Vocabulary | None,
        folder: Path,
        note: Callable[[Place, str], None],
        remark: Callable[[Place, str], None],
    ) -> None:
        """Prepare to make trials.

        Args:
            times: The times of the bag.
            clip: Settings of clips; the default window is taken from them.
            max_new_tokens: Longest answer in tokens.
            prompts: The set of prompts; None if it could not be loaded, which is noted elsewhere.
            vocabulary: The vocabulary of plans; None if it could not be loaded, which is noted elsewhere.
            folder: Folder to which paths in the suite are relative.
            note: Called with the place in the suite and the text of each fault.
            remark: Called with the place and the text of each oddity that is no fault.
        """
        self._times = times
        self._clip = clip
        self._max_new_tokens = max_new_tokens
        self._prompts = prompts
        self._vocabulary = vocabulary
        self._folder = folder
        self._note = note
        self._remark = remark
        self._trials: list[Trial] = []

    def make(self, entry: BagEntry) -> tuple[Trial, ...]:
        """Make all trials of an entry, in order of their times; equal times keep the order of the suite."""
        for number, question in enumerate(entry.questions):
            self._question(question, (*entry.place, "questions", number))
        if entry.questions_file:
            self._questions_file(entry.questions_file, (*entry.place, "questions_file"))
        for number, timeline in enumerate(entry.timelines):
            self._timeline(timeline, (*entry.place, "timelines", number))
        for number, plan in enumerate(entry.plans):
            self._plan(plan, (*entry.place, "plans", number))
        return tuple(sorted(self._trials, key=lambda trial: (trial.at_ns, trial.number)))

    def _add(self, place: Place, **fields: Any) -> None:
        """Add a trial if its time lies in the bag."""
        trial = Trial(number=len(self._trials), **fields)
        if self._in_bag(trial.at_ns, place):
            self._trials.append(trial)

    def _in_bag(self, at_ns: int, place: Place) -> bool:
        if self._times.length_ns is None:
            return True
        end_ns = max(self._times.end_ns, self._times.length_ns)
        if at_ns <= end_ns + ROUNDING_NS:
            return True
        self._note(place, f"{at_ns / NS_PER_S:g} s is outside {self._times.path}, which lasts {end_ns / NS_PER_S:g} s")
        return False

    def _question(self, given: Mapping[str, Any], place: Place) -> None:
        kind, choices = given.get("kind", "text"), tuple(given.get("choices", ()))
        self._check_asked(kind, given["ask"], choices, place)
        gold = self._gold(given.get("gold"), kind, choices, (*place, "gold"))
        times = [name for name in ("at_s", "every_s", "range_s") if name in given]
        if len(times) > 1:
            self._note((*place, times[1]), f"does not go with {times[0]}")
            return
        shared = {
            "ask": given["ask"],
            "kind": kind,
            "choices": choices,
            "gold": gold,
            "category": given.get("category", ""),
            "window_ns": self._window_ns(given),
        }
        if "range_s" in given:
            from_ns, to_ns = map(_ns, given["range_s"])
            if from_ns > to_ns:
                self._note((*place, "range_s"), "ends before it begins")
            self._add((*place, "range_s"), **shared, at_ns=to_ns, range_ns=(from_ns, to_ns))
            return
        where = (*place, times[0]) if times else place
        for at_ns in self._asked_at(given):
            self._add(where, **shared, at_ns=at_ns)

    def _window_ns(self, given: Mapping[str, Any]) -> int | None:
        """The window that an entry is about: its own, else the suite's; None where there is neither."""
        window_s = given.get("window_s", self._clip.window_s)
        return None if window_s is None else _ns(window_s)

    def _asked_at(self, given: Mapping[str, Any]) -> list[int]:
        end_ns = self._times.end_ns
        if "every_s" in given:
            period_ns = max(1, _ns(given["every_s"]))
            return list(range(period_ns, end_ns + 1, period_ns)) or [end_ns]
        at_s = given.get("at_s")
        if at_s is None:
            return [end_ns]
        return [_ns(at) for at in (at_s if isinstance(at_s, list) else [at_s])]

    def _questions_file(self, name: str, place: Place) -> None:
        bag = self._times.path
        if bag is None:
            return
        path = (bag if bag.is_dir() else bag.parent) / name.replace("{bag}", bag.stem)
        try:
            questions = read_questions(path)
        except QuestionsError as error:
            self._note(place, str(error))
            return
        for question in questions:
            self._add(
                place,
                ask=question.ask,
                kind=str(Kind.TEXT),
                at_ns=question.at_ns,
                window_ns=self._window_ns({}) if question.window_ns is None else question.window_ns,
                gold=(question.gold,) if question.gold else (),
                category=question.category,
            )

    def _timeline(self, given: Mapping[str, Any], place: Place) -> None:
        ask, stable = given.get("ask"), given.get("stable")
        if "file" in given:
            ask, stable = self._from_file(given, place)
        elif ask is None or stable is None:
            missing = "ask" if ask is None else "stable"
            self._note(place, f"'{missing}' is missing: give ask and stable, or a file that has them")
            return
        if ask is None or stable is None:
            return
        kind, choices = given.get("kind", "text"), tuple(given.get("choices", ()))
        self._check_asked(kind, ask, choices, place)
        # It has a window of its own in any case, the time since the interval began: the growing clip may be older.
        longest_ns = self._window_ns(given)
        longest_ns = nanoseconds(DEFAULTS.clip_window_s) if longest_ns is None else longest_ns
        every_ns = max(1, _ns(given.get("every_s", 1.0)))
        admitted_ns = NS_PER_S / self._clip.rate_hz if self._clip.rate_hz > 0 else 0
        settle_ns = _ns(given["settle_s"]) if "settle_s" in given else None
        if settle_ns is None:
            settle_ns = round(APART_PERIODS * max(admitted_ns, self._times.period_ns))
        for number, (from_s, to_s, value) in enumerate(stable):
            where = (*place, "file") if "file" in given else (*place, "stable", number)
            gold = self._gold(value, kind, choices, where)
            if from_s > to_s:
                self._note(where, f"{from_s:g} to {to_s:g} s: ends before it begins")
                continue
            if self._times.length_ns is None or not self._in_bag(_ns(to_s), where):
                continue
            first_ns = _ns(from_s) + settle_ns
            if first_ns > _ns(to_s):
                self._remark(where, f"{from_s:g} to {to_s:g} s is too short to ask in")
            for at_ns in range(first_ns, _ns(to_s) + 1, every_ns):
                # The newest frame is at most settle_ns old, so a clip of this length begins inside the interval.
                self._add(
                    where,
                    ask=ask,
                    kind=kind,
                    choices=choices,
                    gold=gold,
                    category=given.get("category", ""),
                    at_ns=at_ns,
                    window_ns=min(longest_ns, at_ns - first_ns),
                )

    def _from_file(self, given: Mapping[str, Any], place: Place) -> tuple[str | None, Any]:
        """Read question and stable intervals of the bag from a timelines file; note faults."""
        path = self._folder / given["file"]
        name = given.get("entry", "" if self._times.path is None else self._times.path.stem)
        where = (*place, "file")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            self._note(where, f"{path}: {error.strerror}")
            return None, None
        except (ValueError, RecursionError) as error:
            self._note(where, f"{path}: not JSON: {error}")
            return None, None
        if not name:
            return None, None
        entry = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entry, dict):
            named = content.items() if isinstance(content, dict) else ()
            known = [key for key, value in named if isinstance(value, dict)]
            self._note(where, f"{path} has no entry {name!r}{one_of(name, known)}")
            return None, None
        ask = given.get("ask", entry.get("question"))
        stable = entry.get("stable", given.get("stable"))
        if stable is None and "answer" in entry:
            stable = [[0.0, self._times.end_ns / NS_PER_S, entry["answer"]]]
        if not isinstance(ask, str) or not _is_stable(stable):
            self._note(where, f"{path}: {name}: expected a question, and stable [[from, to, value], ...] or an answer")
            return None, None
        return ask, stable

    def _plan(self, given: Mapping[str, Any], place: Place) -> None:
        rows, conditions = None, given.get("conditions")
        try:
            goal_text(given["goal"])
        except GoalTextError as error:
            self._note((*place, "goal"), str(error))
        if self._vocabulary is not None:
            try:
                rows = self._plan_rows(given.get("gold"), self._vocabulary)
            except PlanError as error:
                self._note((*place, "gold"), str(error))
            try:
                if conditions is not None:
                    goal_from(conditions, given.get("task_type", ""), self._vocabulary)
            except GoalError as error:
                self._note((*place, "conditions"), str(error))
        self._add(
            (*place, "at_s"),
            ask=given["goal"],
            kind=PLAN,
            at_ns=_ns(given["at_s"]) if "at_s" in given else self._times.end_ns,
            window_ns=self._window_ns(given),
            category=given.get("category", ""),
            plan=PlanGold(rows, conditions, given.get("task_type", "")),
        )

    def _plan_rows(self, gold: Any, vocabulary: Vocabulary) -> tuple[tuple[str, ...], ...] | None:
        """The right plan as ALFRED's rows.

        Raises:
            PlanError: `gold` is not a plan in the vocabulary.
        """
        if gold is None:
            return None
        plan = parse_line(gold if isinstance(gold, str) else from_rows(gold).line, vocabulary)
        return tuple((step.action, *step.arguments) for step in plan.steps)

    def _check_asked(self, kind: str, ask: str, choices: tuple[str, ...], place: Place) -> None:
        try:
            question = SceneQuestion(Kind(kind), ask, choices)
            if self._prompts is not None:
                shape(question, self._prompts, self._max_new_tokens)
        except ValueError as error:
            self._note(place, str(error))

    def _gold(self, value: Any, kind: str, choices: Sequence[str], place: Place) -> tuple[Gold, ...]:
        """The right answers as values of the kind; notes a fault for a value that the kind cannot have."""
        if value is None:
            return ()
        golds = tuple(value) if isinstance(value, list) else (value,)
        for gold in golds:
            reason = self._misfit(gold, kind, choices)
            if reason:
                self._note(place, f"is {json.dumps(gold, ensure_ascii=False)}, {reason}")
                return ()
        return golds

    def _misfit(self, gold: Any, kind: str, choices: Sequence[str]) -> str:
        """Why a value cannot be the answer to a question of a kind; empty if it can."""
        if kind in (Kind.YES_NO, Kind.CHANGE):
            return "" if isinstance(gold, bool) else f"expected true or false for kind {kind}"
        if kind == Kind.COUNT:
            if isinstance(gold, bool) or not isinstance(gold, int) or gold < 0:
                return "expected a whole number for kind count"
            most = len(self._prompts.numbers) - 1 if self._prompts is not None else gold
            return "" if gold <= most else f"and the prompts count to {most} only"
        if not isinstance(gold, str) or not gold.strip():
            return f"expected text for kind {kind}: quote it, YAML takes an unquoted yes, no or 1 for no text"
        allowed = [*choices, *filter(None, [self._prompts.cannot_tell if self._prompts is not None else None])]
        if kind == Kind.CHOICE and gold not in allowed:
            return "which is none of the choices"
        return ""


def _is_stable(stable: Any) -> bool:
    return isinstance(stable, list) and all(
        isinstance(one, list)
        and len(one) == 3
        and all(isinstance(t, int | float) and not isinstance(t, bool) and 0 <= t < 1e9 for t in one[:2])
        for one in stable
    )


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
