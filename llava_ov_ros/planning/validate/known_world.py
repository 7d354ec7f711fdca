"""The world that a simulated plan has led to: the robot's place, the things in its hands, the things that it touched.

Plans name classes (`apple`), not individual things, and do not say where anything is at the start. A step can therefore
refer to a thing that an earlier step touched or to another one, and each possibility is a world of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class KnownThing:
    """A thing that the plan has touched.

    Attributes:
        kind: Class of the thing.
        states: All states that the thing has.
        where: Class of the place where the plan put it, or number of the thing into which the plan put it; None if not
            known.
    """

    kind: str
    states: frozenset[str] = frozenset()
    where: str | int | None = None


@dataclass(frozen=True)
class World:
    """One world that the plan can have led to.

    Attributes:
        things: The things that the plan has touched; a thing's number is its index.
        held: Numbers of the things in the hands.
        at: Class of the place that the robot last went to; None before the first.
        here: What is in reach as a place: classes of fixed places, and numbers of things. That is `at` and what it is
            in, and places or carriers onto which things were put since.
    """

    things: tuple[KnownThing, ...] = ()
    held: tuple[int, ...] = ()
    at: str | None = None
    here: frozenset[str | int] = frozenset()

    def key(self) -> object:
        """A key that is equal for worlds that differ only in the numbers of their things."""
        loose = [i for i, thing in enumerate(self.things) if not isinstance(thing.where, int) and i not in self.held]
        places = frozenset(place for place in self.here if isinstance(place, str))
        return self.at, places, *(tuple(sorted(map(self._picture, numbers))) for numbers in (self.held, loose))

    def _picture(self, number: int) -> str:
        thing = self.things[number]
        inside = sorted(self._picture(i) for i, other in enumerate(self.things) if other.where == number)
        where = thing.where if isinstance(thing.where, str) else ""
        return f"{thing.kind}, {sorted(thing.states)}, {where}, {number in self.here}, {inside}"

    def was_put_here(self, number: int) -> bool:
        """Whether the plan has put a thing at a place in reach, directly or inside another thing."""
        where = self.things[number].where
        return where in self.here or (isinstance(where, int) and self.was_put_here(where))

    def may_be_here(self, number: int) -> bool:
        """Whether a thing can be in reach: its place is in reach or not known."""
        where = self.things[number].where
        return where is None or where in self.here or (isinstance(where, int) and self.may_be_here(where))

    def is_at(self, number: int, place: str) -> bool:
        """Whether the plan has put a thing at or into something of that class, directly or inside another thing."""
        where = self.things[number].where
        if isinstance(where, int):
            return self.things[where].kind == place or self.is_at(where, place)
        return where == place

    def around(self, number: int) -> frozenset[str | int]:
        """A thing, and all that it is in or on."""
        where = self.things[number].where
        further = self.around(where) if isinstance(where, int) else frozenset([] if where is None else [where])
        return frozenset((number,)) | further

    def is_in(self, number: int, carrier: int) -> bool:
        """Whether a thing is inside another, directly or inside a third."""
        where = self.things[number].where
        return isinstance(where, int) and (where == carrier or self.is_in(where, carrier))

    def with_thing(self, number: int, thing: KnownThing) -> World:
        """A copy of this world with one thing replaced."""
        return replace(self, things=(*self.things[:number], thing, *self.things[number + 1 :]))
