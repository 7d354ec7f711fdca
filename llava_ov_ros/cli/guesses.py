"""Warn the user when the shipped model is asked about pictures, or in words, that it was not trained on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from ..checkpoints import CheckpointError, local_checkpoint
from ..share import ACTIONS, MODELS

SHIPPED = "rooms"
RENDERED = "rendered by llava-ov rooms record"
"""How the origin of a recording that the model knows begins, in the truth beside it."""
SENTENCE = (
    "rooms knows rendered rooms only; of other pictures it should say that it cannot tell, and all else that it says "
    "of them is a guess, however sure it is: for yours, give --model llava-hf/llava-onevision-qwen2-0.5b-ov-hf (or "
    "...-7b-ov-hf)."
)
KNOWN_ACTIONS = "alfred"
FOREIGN_WORDS = (
    "rooms has learnt the words of the vocabulary alfred only: of those of {} it may know none, and cannot tell, or "
    "guesses, however sure it is."
)


def tell_guesses(model: str, bags: Iterable[Path]) -> None:
    """Print SENTENCE on standard error if the shipped model is asked about a recording of anything but a rendered room.

    Args:
        model: Value of --model.
        bags: Paths of recordings. A recording shows a rendered room if the truth file beside it says so.
    """
    if is_guessing(model, bags):
        print(SENTENCE, file=sys.stderr, flush=True)


def is_guessing(model: str, bags: Iterable[Path]) -> bool:
    """Whether the shipped model is asked about a recording of anything but a rendered room; see `tell_guesses`."""
    return _is_shipped(model) and not all(_is_rendered(bag) for bag in bags)


def tell_foreign_words(model: str, actions: str) -> None:
    """Print FOREIGN_WORDS on standard error if the shipped model shall plan in a vocabulary that it was not trained on.

    Args:
        model: Value of --model.
        actions: Value of --actions.
    """
    if _is_shipped(model) and ACTIONS.path(actions).resolve() != ACTIONS.path(KNOWN_ACTIONS).resolve():
        print(FOREIGN_WORDS.format(actions), file=sys.stderr, flush=True)


def _is_shipped(model: str) -> bool:
    # Not one on a server, which whoever started the server has named: of any model it may say that it is rooms.
    try:
        directory = local_checkpoint(model)
    except CheckpointError:
        return False
    return directory is not None and directory == MODELS.path(SHIPPED).resolve()


def _is_rendered(bag: Path) -> bool:
    truth = bag / "truth.json" if bag.is_dir() else bag.with_suffix(".truth.json")
    if bag.is_file() and not truth.is_file():
        # A file of a recording that is a folder.
        truth = bag.with_name("truth.json")
    try:
        about = json.loads(truth.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(about, dict) and str(about.get("origin", "")).startswith(RENDERED)
