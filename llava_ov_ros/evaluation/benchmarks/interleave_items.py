"""Reads the published files of LLaVA-Interleave-Bench: items with pictures, questions and right answers."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..metrics.interleave import set_type
from .repeated_ids import repeats

IMAGE = "<image>"
MOST_FAULTS = 20


class InterleaveError(ValueError):
    """Files are not as published; the text names file, item and field of each fault, one per line."""


@dataclass(frozen=True)
class Turn:
    """A question, with `<image>` in the places of pictures, and its right answer."""

    question: str
    gold: str


@dataclass(frozen=True)
class Item:
    """A question about pictures, or a dialogue about them.

    Attributes:
        sample_id: Id of the item within its data set.
        dataset: Name of the data set.
        question_type: `open-ended` or `multi-choice`; decides the metric.
        turns: The questions in order; a dialogue has several.
        images: Picture files, in the order in which the questions show them.
    """

    sample_id: str | int
    dataset: str
    question_type: str
    turns: tuple[Turn, ...]
    images: tuple[Path, ...]


def read_items(folder: Path, images: Path, datasets: Sequence[str] = (), limit: int | None = None) -> list[Item]:
    """Read all JSON files in a folder, and check that their pictures exist.

    Args:
        folder: Folder with the published files, such as multi_view_in_domain.json.
        images: Folder to which the picture paths in these files are relative; as published, it holds Split1 and Split2.
        datasets: Names of the data sets to read; empty reads all.
        limit: Number of items to read of each data set, from the first on; None reads all.

    Returns:
        The items, in the order of the files' names.

    Raises:
        InterleaveError: There are no files, a data set of `datasets` does not exist, or items are malformed; the text
            has all faults.
    """
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not files:
        raise InterleaveError(
            f"{folder}: no *.json file there; expected the published files, such as multi_view_in_domain.json"
        )
    items: list[Item] = []
    faults: list[str] = []
    taken: dict[str, int] = {}
    for file in files:
        for found in _items(file, images):
            if isinstance(found, str):
                faults.append(found)
            elif (not datasets or found.dataset in datasets) and taken.get(found.dataset, 0) != limit:
                taken[found.dataset] = taken.get(found.dataset, 0) + 1
                items.append(found)
    for item in items:
        faults += [f"{image}: no such picture; {item.dataset} shows it" for image in item.images if not image.is_file()]
    if not faults:
        faults = [f"{folder}: no data set {name!r} in its files" for name in datasets if name not in taken]
    if len(faults) > MOST_FAULTS:
        faults = [*faults[:MOST_FAULTS], f"and {len(faults) - MOST_FAULTS} more"]
    if faults:
        raise InterleaveError("\n".join(faults))
    return items


def repeated(items: Sequence[Item]) -> list[str]:
    """Make a remark for each data set with repeated items, as two copies of a published file cause them."""
    by_set: dict[str, list[tuple[Hashable, str, str]]] = {}
    for number, item in enumerate(items, 1):
        key = (type(item.sample_id), item.sample_id, item.turns, item.images)
        by_set.setdefault(item.dataset, []).append((key, repr(item.sample_id), f"item {number}"))
    found = {dataset: repeats(its) for dataset, its in by_set.items()}
    return [f"{dataset}: {text}; each is asked and scored" for dataset, text in found.items() if text]


def _items(file: Path, images: Path) -> Iterator[Item | str]:
    """Yield the items of a file; for a malformed item, a text that says what is wrong."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        yield f"{file}: not JSON: {error}"
        return
    if not isinstance(content, list):
        yield f"{file}: expected a list of items, not {type(content).__name__}"
        return
    for number, entry in enumerate(content):
        try:
            yield _item(entry, images)
        except (ValueError, KeyError) as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            yield f"{file}: item {number}: {reason}"


def _item(entry: Any, images: Path) -> Item:
    """Read one item.

    Raises:
        KeyError: A field is missing.
        ValueError: A field has a wrong type or value.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"expected an object, not {str(entry)[:60]!r}")
    sample_id = entry["sample_id"]
    if not isinstance(sample_id, str | int) or isinstance(sample_id, bool):
        raise ValueError(f"sample_id is {sample_id!r}, expected text or a number")
    metadata = entry["metadata"]
    if not isinstance(metadata, dict):
        raise ValueError(f"metadata is {str(metadata)[:60]!r}, expected an object")
    dataset, question_type = _text(metadata, "dataset", "metadata."), _text(metadata, "question_type", "metadata.")
    set_type(dataset, question_type)
    names = entry["image"]
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"image is {str(names)[:60]!r}, expected a list of files")
    turns = _turns(entry["conversations"])
    places = sum(turn.question.count(IMAGE) for turn in turns)
    if places > len(names):
        raise ValueError(f"image has {len(names)} files, and the conversations show {places}")
    return Item(sample_id, dataset, question_type, turns, tuple(images / name for name in names[:places]))


def _turns(conversations: Any) -> tuple[Turn, ...]:
    if not isinstance(conversations, list) or not conversations or len(conversations) % 2:
        raise ValueError("conversations: expected a list in which each question is followed by its answer")
    turns: list[Turn] = []
    for number in range(0, len(conversations), 2):
        asked, answered = conversations[number : number + 2]
        for place, said, role in ((number, asked, "human"), (number + 1, answered, "gpt")):
            if not isinstance(said, dict) or said.get("from") != role:
                raise ValueError(f"conversations[{place}]: expected an object that is from {role!r}")
        turns.append(
            Turn(
                _text(asked, "value", f"conversations[{number}]."),
                _text(answered, "value", f"conversations[{number + 1}]."),
            )
        )
    return tuple(turns)


def _text(entry: dict[str, Any], name: str, where: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{where}{name} is {str(value)[:60]!r}, expected text")
    return value
