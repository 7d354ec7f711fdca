"""Writes the PDDL problem of a goal from what a model says of a clip, each fact with its probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unified_planning.io import PDDLWriter

from ..validate.goal import Goal
from ..vocabulary import Vocabulary
from .ground import Atom
from .judge import cached_domain
from .problem import instances_of, problem_of

if TYPE_CHECKING:
    from ..model.seen_facts import SeenFact


@dataclass(frozen=True)
class WrittenFact:
    """A fact of a problem.

    Attributes:
        fact: What the model says.
        atom: The same on instances, such as `("found", "mug_1", "desk_1")`; for a thing that is there its instance.
        taken: Whether the problem has it: it is probable enough, and so are the things that it names.
    """

    fact: SeenFact
    atom: Atom
    taken: bool


@dataclass(frozen=True)
class SeenProblem:
    """A PDDL problem.

    Attributes:
        text: The problem, for the domain of `domain_text`.
        facts: All facts that were asked for, in order.
    """

    text: str
    facts: tuple[WrittenFact, ...]


def seen_problem(
    vocabulary: Vocabulary,
    goal: Goal,
    needed: Sequence[str],
    facts: Sequence[SeenFact],
    threshold: float,
    name: str = "robot",
) -> SeenProblem:
    """Write the problem of a goal.

    Args:
        vocabulary: The vocabulary.
        goal: What shall be so at the end.
        needed: Classes that the problem needs, from `relevant_classes`. Places are taken to be there; of a thing the
            model must say so.
        facts: What the model says of a clip.
        threshold: Facts that are less probable are left out.
        name: Name of the problem; as of `domain_text` for its domain.

    Raises:
        NoCounterpartError: The vocabulary cannot be expressed in PDDL.
    """
    domain = cached_domain(vocabulary)
    movable = vocabulary.movable()
    counts = {kind: 1 for kind in needed if kind not in movable}
    counts |= {fact.thing: int(fact.probability >= threshold) for fact in facts if fact.kind == "there"}
    counts |= {fact.place: 1 for fact in facts if fact.kind == "at" and fact.probability >= threshold}
    if goal.count > 1 and counts.get(goal.thing):
        counts[goal.thing] = goal.count
    instances = instances_of(domain, counts)
    written = []
    for fact in facts:
        first = f"{fact.thing}_1"
        one = next(iter(instances.get(fact.thing, ())), first)
        atom: Atom = (one,)
        if fact.kind == "at":
            atom = (domain.found.name, one, next(iter(instances.get(fact.place, ())), f"{fact.place}_1"))
        elif fact.kind == "in_hand":
            atom = (domain.held.name, one)
        there = all(instances.get(kind) for kind in filter(None, (fact.thing, fact.place)))
        written.append(WrittenFact(fact, atom, there and fact.probability >= threshold))
    start = [fact.atom for fact in written if fact.taken and len(fact.atom) > 1]
    problem = problem_of(domain, goal, instances, start)
    problem.name = name
    return SeenProblem(str(PDDLWriter(problem).get_problem()), tuple(written))


def commented(problem: SeenProblem, about: Sequence[str]) -> str:
    """The problem with comments before it: lines about its origin, and each fact with its probability."""
    lines = [*about, *(_told(one) for one in problem.facts)]
    return "".join(f"; {line}\n" for line in lines) + problem.text


def fact_rows(problem: SeenProblem, frames: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """The facts ready for JSON, each with the frames that it rests on."""
    return [
        {
            "kind": one.fact.kind,
            "thing": one.fact.thing,
            "place": one.fact.place,
            "atom": list(one.atom),
            "probability": round(one.fact.probability, 4),
            "taken": one.taken,
            "frames": list(frames),
        }
        for one in problem.facts
    ]


def _told(one: WrittenFact) -> str:
    atom = f"({' '.join(one.atom)})" if len(one.atom) > 1 else f"{one.atom[0]} is there"
    return f"{one.fact.probability:.3f} {atom}{'' if one.taken else ', left out'}"
