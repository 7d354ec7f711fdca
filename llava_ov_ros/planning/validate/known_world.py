"""What is known of a world while a plan runs in it: where the robot is, what it holds, and the things it has touched.

Plans name classes (`apple`), not things, and do not say where anything is at the start. So a step can be about a thing
that is known already or about one that has not been met yet, and each makes a world of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class KnownThing:
    """Something that the plan has touched.

    Attributes:
        kind: Its class.
        states: What it is; what is not listed, it is not.
        where: Class of the place where it was put, number of the thing that it was put into, or None: not known.
    """

    kind: str
    states: frozenset[str] = frozenset()
    where: str | int | None = None


@dataclass(frozen=True)
class World:
    """One state that the plan can have led to.

    Attributes:
        things: What the plan has touched; their numbers are their positions.
        held: Numbers of what is in the hands.
        at: The place last gone to; None: not known yet.
        here: Places in reach: that one, and where things were put since.
    """

    things: tuple[KnownThing, ...] = ()
    held: tuple[int, ...] = ()
    at: str | None = None
    here: frozenset[str] = frozenset()

    def key(self) -> object:
        """Equal for worlds that differ in the numbers of their things only."""
        loose = [i for i, thing in enumerate(self.things) if not isinstance(thing.where, int) and i not in self.held]
        return self.at, self.here, *(tuple(sorted(map(self._picture, numbers))) for numbers in (self.held, loose))

    def _picture(self, number: int) -> str:
        thing = self.things[number]
        inside = sorted(self._picture(i) for i, other in enumerate(self.things) if other.where == number)
        return f"{thing.kind}, {sorted(thing.states)}, {thing.where if isinstance(thing.where, str) else ''}, {inside}"

    def was_put_here(self, number: int) -> bool:
        """Whether the plan has put a thing at a place in reach, or into something that it has put there."""
        where = self.things[number].where
        return self.was_put_here(where) if isinstance(where, int) else where in self.here

    def may_be_here(self, number: int) -> bool:
        """Whether a thing can be in reach, as far as is known."""
        thing = self.things[number]
        if thing.where is None or thing.kind in self.here:
            return True
        return self.may_be_here(thing.where) if isinstance(thing.where, int) else thing.where in self.here

    def is_at(self, number: int, place: str) -> bool:
        """Whether a thing was put at a place, or into something that was."""
        where = self.things[number].where
        return self.is_at(where, place) if isinstance(where, int) else where == place

    def is_in(self, number: int, carrier: int) -> bool:
        """Whether a thing is in another, or in something that is."""
        where = self.things[number].where
        return isinstance(where, int) and (where == carrier or self.is_in(where, carrier))

    def with_thing(self, number: int, thing: KnownThing) -> World:
        """This world with another state of one thing."""
        return replace(self, things=(*self.things[:number], thing, *self.things[number + 1 :]))
