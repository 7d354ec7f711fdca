"""Names the ids that a file has more than once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

MOST_NAMED = 10
MOST_PLACES = 5


def repeats(rows: Iterable[tuple[Hashable, str, str]]) -> str:
    """Describe the ids that several rows share, and the places of these rows.

    Args:
        rows: For each row the key by which rows are told apart, the id to show, and the row's place, such as a line.

    Returns:
        A text such as `2 ids are there more than once, in 5 rows: 7 (lines 1, 4, 9), 12 (lines 2, 3)`, shortened to the
        first ids and places; empty if no key repeats.
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
