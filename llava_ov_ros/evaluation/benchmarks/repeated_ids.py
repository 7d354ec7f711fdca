"""Says which ids a file has more than once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

MOST_NAMED = 10
MOST_PLACES = 5


def repeats(rows: Iterable[tuple[Hashable, str, str]]) -> str:
    """The ids that several rows have, with the places of these.

    Args:
        rows: For each row what makes it another one, its id for people, and its place, such as a line.

    Returns:
        Such as `2 ids are there more than once, in 5 rows: 7 (lines 1, 4, 9), 12 (lines 2, 3)`; empty where every row
        has an id of its own. Of many ids and many places, the first ones.
    """
    found: dict[Hashable, tuple[str, list[str]]] = {}
    for key, name, place in rows:
        found.setdefault(key, (name, []))[1].append(place)
    several = [(name, places) for name, places in found.values() if len(places) > 1]
    if not several:
        return ""
    named = [f"{name} ({_listed(places, MOST_PLACES)})" for name, places in several]
    count = f"{len(several)} ids are" if len(several) > 1 else "1 id is"
    return f"{count} there more than once, in {sum(len(places) for _, places in several)} rows: " + _listed(
        named, MOST_NAMED
    )


def _listed(texts: list[str], most: int) -> str:
    more = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return ", ".join([*texts[:most], *more])
