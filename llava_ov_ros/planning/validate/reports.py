"""What a robot reports of its steps, as facts: the worlds in which the reports can be true, and what they refute.

The simulation of a plan refuses a step whose conditions do not hold. A report is the other way round: the step was
done, so whatever the simulation knew to the contrary was wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ..plan_steps import Step
from ..vocabulary import Action, Vocabulary
from .known_world import World
from .simulation import broken, carried_out, different, is_on_state, names_of

MOST_MISSED = 32


class StepOutcome(StrEnum):
    """What became of a step."""

    DONE = "done"
    """The step was carried out: its effects hold."""
    FAILED = "failed"
    """The step was tried in vain: nothing has changed."""
    UNDONE = "undone"
    """Somebody or something has undone the step: its effects hold no longer."""


@dataclass(frozen=True)
class Report:
    """One report of a robot about one step, which is well-formed."""

    step: Step
    outcome: StepOutcome = StepOutcome.DONE


@dataclass(frozen=True)
class Situation:
    """What is known from all reports so far.

    Attributes:
        done: The steps that are done and have not been undone, oldest first.
        failed: The steps that have failed since a step was done or undone, the newest last.
        worlds: All worlds that the reports can have led to.
        missed: The steps that have failed and were never done, the newest MOST_MISSED.
        dropped: Classes of things whose picking up was undone at once, each with the class of the place: the thing is
            likely there, though nobody knows.
    """

    done: tuple[Step, ...] = ()
    failed: tuple[Step, ...] = ()
    worlds: tuple[World, ...] = (World(),)
    missed: tuple[Step, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()

    def after(self, report: Report, vocabulary: Vocabulary) -> tuple[Situation, tuple[str, ...]]:
        """Follow a report in all possible worlds.

        Args:
            report: The report, of a well-formed step of the vocabulary.
            vocabulary: Vocabulary with the conditions and effects of the actions.

        Returns:
            The situation after the report, and what the report has refuted, in words; mostly nothing.
        """
        step, action = report.step, vocabulary.actions[report.step.action]
        if report.outcome is StepOutcome.FAILED:
            failed = (*_without(step, self.failed), step)
            missed = () if step in self.done else (*(one for one in self.missed if one != step), step)
            missed = missed[-MOST_MISSED:] or self.missed
            return replace(self, failed=failed, missed=missed, dropped=_not_about(step, self.dropped)), ()
        if report.outcome is StepOutcome.DONE:
            worlds, found = carried_out(action, step, self.worlds, vocabulary)
            refuted = tuple(finding.text for finding in found if not finding.warning)
            if refuted:
                corrected = (world for one in self.worlds for world in _corrected(action, step, one, vocabulary))
                worlds = different(corrected)
            missed = _without(step, self.missed)
            return Situation((*self.done, step), (), worlds, missed, _not_about(step, self.dropped)), refuted
        worlds = different(_undone(action, step, world) for world in self.worlds)
        if step not in self.done:
            text = f"{step}: it was not reported done before"
            return replace(self, failed=(), worlds=worlds), (text,)
        # The newest of several alike.
        newest = len(self.done) - 1 - self.done[::-1].index(step)
        done = (*self.done[:newest], *self.done[newest + 1 :])
        dropped = self.dropped
        if newest == len(done):
            dropped = (*_not_about(step, dropped), *_dropped_by(step, done, vocabulary))
        return Situation(done, (), worlds, self.missed, dropped), ()


def _without(step: Step, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(one for one in steps if one != step)


def _not_about(step: Step, dropped: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((kind, place) for kind, place in dropped if kind not in step.arguments)


def _dropped_by(step: Step, done: tuple[Step, ...], vocabulary: Vocabulary) -> tuple[tuple[str, str], ...]:
    """What a step that was undone at once had picked up, with the last place gone to before."""
    action = vocabulary.actions[step.action]
    named = names_of(action, step)
    picked = [named[effect.names[0]] for effect in action.effects if effect.kind == "pick_up"]
    last = gone_to(done, vocabulary)[-1:]
    return tuple((kind, place) for kind in picked for place in last if place != kind)


def gone_to(done: Sequence[Step], vocabulary: Vocabulary) -> list[str]:
    """The classes of the places that steps have gone to, in order."""
    found = []
    for step in done:
        action = vocabulary.actions[step.action]
        named = names_of(action, step)
        found += [named.get(one.names[0], one.names[0]) for one in action.effects if one.kind == "go_to"]
    return found


def _corrected(action: Action, step: Step, world: World, vocabulary: Vocabulary) -> tuple[World, ...]:
    """All worlds after a step that was done although the world, as it was known, did not allow that.

    What the step needs is taken for granted, but no more than that: conditions that hold keep their meaning, such as
    which of two apples is in the hand.
    """
    named = names_of(action, step)
    for rule in action.requires:
        if rule.kind in ("at", "near") and broken(rule, world, step, named, vocabulary) is not None:
            places = {named[rule.names[0]]} if rule.names[0] in named else vocabulary.members(rule.names[0])
            # Of several possible places it is not known at which the robot is.
            at = next(iter(places)) if rule.kind == "at" and len(places) == 1 else None
            world = replace(world, at=at, here=frozenset(filter(None, (at,))))
    held = tuple(rule for rule in action.requires if broken(rule, world, step, named, vocabulary) is None)
    for requires in (held, tuple(rule for rule in held if not is_on_state(rule)), ()):
        after, found = carried_out(replace(action, requires=requires), step, (world,), vocabulary)
        if all(finding.warning for finding in found):
            # If there was a free hand, what was taken to be in that hand is somewhere else by now.
            return tuple(replace(one, held=one.held[-vocabulary.hands :]) for one in after)
    return (world,)


def _undone(action: Action, step: Step, world: World) -> World:
    """The world after the effects of a step were undone; what comes instead is not known, apart from states."""
    named = names_of(action, step)
    for effect in reversed(action.effects):
        if effect.kind == "go_to":
            world = replace(world, at=None, here=frozenset())
            continue
        kind, last = named[effect.names[0]], effect.names[-1]
        numbers = [number for number, thing in enumerate(world.things) if thing.kind == kind]
        if effect.kind == "pick_up":
            numbers = [number for number in numbers if number in world.held]
        elif effect.kind == "put":
            numbers = [number for number in numbers if world.is_at(number, named.get(last, last))] or numbers
        elif effect.kind in ("set", "clear"):
            numbers = [n for n in numbers if (last in world.things[n].states) == (effect.kind == "set")]
        if not numbers:
            continue
        # The thing that was touched last.
        number = numbers[-1]
        thing = world.things[number]
        if effect.kind in ("pick_up", "put"):
            held = tuple(one for one in world.held if one != number)
            world = replace(world.with_thing(number, replace(thing, where=None)), held=held)
        else:
            world = world.with_thing(number, replace(thing, states=thing.states ^ {last}))
    return world
