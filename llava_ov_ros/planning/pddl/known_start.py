"""What is known of the world in which a plan begins, as facts on instances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..validate.known_world import World
from ..vocabulary import Vocabulary
from .domain import PddlDomain
from .ground import Atom
from .problem import Instances


@dataclass(frozen=True)
class Start:
    """What is known at the start; everything else is unknown, as `pddl_verdict` has it.

    Attributes:
        world: The robot's place, the things in its hands and the things touched, such as reports tell them.
        believed: Class of the place where a thing of a class is believed to be. A belief only chooses between plans: it
            is dropped where there is no plan with it.
        most: How many things of a class there are at most; any number of the other classes.
        missed: Classes that were looked for in vain, the last one at the end. A plan has them only where it cannot do
            without.
        visited: Classes of places where the robot has been: these are there.
    """

    world: World = field(default_factory=World)
    believed: Mapping[str, str] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    missed: tuple[str, ...] = ()
    visited: tuple[str, ...] = ()


def counts_of(start: Start, classes: Mapping[str, int], vocabulary: Vocabulary) -> dict[str, int]:
    """Number of instances of each class: those of the world, and so many that the plan has not touched yet.

    Args:
        start: What is known.
        classes: The classes, each with its number of untouched things.
        vocabulary: The vocabulary; of a class that no action can pick up there is one thing.
    """
    movable = vocabulary.movable()
    known = [thing.kind for thing in start.world.things]
    wanted = {kind: number + known.count(kind) if kind in movable else 1 for kind, number in classes.items()}
    return {
        kind: number if kind not in start.most else max(known.count(kind), min(number, start.most[kind]))
        for kind, number in wanted.items()
    }


def classes_in(world: World) -> list[str]:
    """The classes that a world names: of its things, and of places."""
    named = [thing.kind for thing in world.things]
    named += [thing.where for thing in world.things if isinstance(thing.where, str)]
    named += [place for place in (world.at, *sorted(map(str, filter(_is_class, world.here)))) if place]
    return list(dict.fromkeys(named))


def _is_class(place: str | int) -> bool:
    return isinstance(place, str)


def facts_of(start: Start, domain: PddlDomain, instances: Instances, everywhere: bool) -> frozenset[Atom]:
    """The facts about the start on instances.

    Args:
        start: What is known.
        domain: The domain.
        instances: The instances, at least as many of each class as the world has.
        everywhere: Whether a thing whose place is unknown may be found anywhere. Otherwise it is found where it is
            believed to be, or where the robot goes to the thing itself, if it can.
    """
    return frozenset((*_known(start.world, domain, instances), *_found(start, domain, instances, everywhere)))


def _numbered(world: World, instances: Instances) -> dict[int, str]:
    """The instance of each thing of the world."""
    used: dict[str, int] = {}
    names = {}
    for number, thing in enumerate(world.things):
        index = used.get(thing.kind, 0)
        used[thing.kind] = index + 1
        names[number] = instances[thing.kind][min(index, len(instances[thing.kind]) - 1)]
    return names


def _known(world: World, domain: PddlDomain, instances: Instances) -> Iterator[Atom]:
    names = _numbered(world, instances)

    def name_of(place: str | int) -> str:
        if isinstance(place, int):
            return names[place]
        of_kind = [number for number, thing in enumerate(world.things) if thing.kind == place]
        here = [number for number in of_kind if number in world.here]
        # Whoever has gone to an apple and sliced an apple has sliced that one.
        here += [number for number in of_kind if world.things[number].where is None and number not in world.held]
        # Of a class of which no such thing is known, the last instance stands for one that is not known.
        return names[here[0]] if here else instances[place][-1]

    if world.at is not None:
        yield domain.at.name, name_of(world.at)
    for place in world.here:
        yield domain.here.name, name_of(place)
    for number, thing in enumerate(world.things):
        for state in thing.states:
            yield domain.states[state].name, names[number]
        if number in world.held:
            yield domain.held.name, names[number]
        for place in world.around(number) - {number}:
            yield domain.within.name, names[number], name_of(place)


def _found(start: Start, domain: PddlDomain, instances: Instances, everywhere: bool) -> Iterator[Atom]:
    world, vocabulary = start.world, domain.vocabulary
    names = _numbered(world, instances)
    placed = {names[number] for number, thing in enumerate(world.things) if thing.where is not None}
    placed |= {names[number] for number in world.held}
    places = [name for some in instances.values() for name in some]
    gone_to = vocabulary.members_gone_to()
    for kind, some in instances.items():
        for name in some:
            if name in placed:
                continue
            believed = instances.get(start.believed.get(kind, ""), ())
            if everywhere:
                where = [*places, domain.start.name]
            elif believed:
                where = list(believed)
            else:
                where = [] if kind in gone_to else [*places, domain.start.name]
            for place in where:
                if place != name:
                    yield domain.found.name, name, place
