"""Runs LLaVA-Interleave-Bench as published and writes official result rows; continues a run that was stopped."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ...bounds import check_whole
from ...frames import Frame
from ...no_op import no_op
from .interleave_items import IMAGE, InterleaveError, Item
from .interleave_prompt import next_turn_prompt, turn_prompt

if TYPE_CHECKING:
    from ...onevision import Engine
    from ...onevision.prompt import Segment

# model_vqa.py:143; decoding is greedy (scripts/interleave/eval_all.sh passes temperature 0).
MAX_NEW_TOKENS = 1024
RESULT_FILE = "result.jsonl"


def run(
    engine: Engine,
    items: Sequence[Item],
    out: Path,
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
    on_item: Callable[[], None] = lambda: None,
    on_remark: Callable[[str], None] = no_op,
) -> Path:
    """Ask all questions that have no answer yet, and append one result row per question.

    Args:
        engine: The model.
        items: The items to ask.
        out: Folder of the results; created if it is missing.
        max_new_tokens: Longest answer in tokens.
        on_item: Called after each item, also for items that were answered before.
        on_remark: Called with a remark if a prompt does not fit the model's context or leads to numbers that are not
            finite; the answer to such a prompt is the empty text.

    Returns:
        Path of the file of result rows.

    Raises:
        InterleaveError: A picture cannot be read, the folder holds the results of other items or another model, or the
            folder cannot be written, as on a full disk; after that, the same call continues the run.
        ValueError: max_new_tokens is not a whole number from 1.
    """
    check_whole("max_new_tokens", max_new_tokens, 1)
    file = out / RESULT_FILE
    try:
        out.mkdir(parents=True, exist_ok=True)
        done = _go_on(file, items, engine.name)
        for _ in range(done):
            on_item()
        with file.open("a", encoding="utf-8") as results:
            for item in items[done:]:
                for row in answered(engine, item, max_new_tokens, on_remark):
                    results.write(json.dumps(row, ensure_ascii=False) + "\n")
                results.flush()
                on_item()
    except OSError as error:
        raise InterleaveError(
            f"{out} cannot be written: {error.strerror or error}. What was answered is there: the same goes on from it"
        ) from None
    return file


def answered(
    engine: Engine, item: Item, max_new_tokens: int, on_remark: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Yield the official result rows of an item, one per question; a dialogue uses the model's own answers.

    Raises:
        InterleaveError: A picture cannot be read.
    """
    # Imported here, because torch takes long to import and reading results does not need it.
    from ...onevision import NotFiniteError

    size: int = engine.config.vision_config.image_size
    frames = [squashed_frame(file, size) for file in item.images]
    prompt: list[Segment] = []
    answer: tuple[int, ...] = ()
    shown, ended = 0, False
    for number, turn in enumerate(item.turns):
        if number == 0:
            prompt = turn_prompt(turn.question)
        else:
            prompt = next_turn_prompt(prompt, answer, ended, turn.question, shown)
        shown += turn.question.count(IMAGE)
        try:
            generated = engine.complete(prompt, [[frame] for frame in frames[:shown]], "multi_image", max_new_tokens)
        except (ValueError, NotFiniteError) as error:
            on_remark(f"{item.dataset} {item.sample_id}: not answered: {error}")
            text, answer, ended = "", (), False
        else:
            text, answer, ended = generated.text.strip(), generated.token_ids, generated.finish == "stop"
        yield {
            "dataset": item.dataset,
            "sample_id": item.sample_id,
            "prompt": turn.question,
            "pred_response": text,
            "gt_response": turn.gold,
            "shortuuid": _identifier(item, number),
            "model_id": engine.name,
            "question_type": item.question_type,
        }


def squashed_frame(file: Path, size: int) -> Frame:
    """Read a picture and squash it to a square, as model_vqa.py:125 does (SigLipImageProcessor, bicubic).

    Args:
        file: The picture file.
        size: Side of the model's tiles, in pixels.

    Raises:
        InterleaveError: The picture cannot be read.
    """
    try:
        with Image.open(file) as picture:
            rgb = np.asarray(picture.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
    except OSError as error:
        raise InterleaveError(f"{file}: not a picture that can be read: {error}") from None
    return Frame(camera="image", stamp_ns=0, frame_id="", picture=rgb)


def _identifier(item: Item, turn: int) -> str:
    """The row's `shortuuid`, the same in every run; the official code draws it at random."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{item.dataset}/{item.sample_id}/{turn}").hex[:22]


def _go_on(file: Path, items: Sequence[Item], model: str) -> int:
    """Count the items that a file answers already, and cut off the rows of an item that is not complete.

    Raises:
        InterleaveError: The rows belong to other items or to another model.
    """
    if not file.exists():
        return 0
    done, kept, end = 0, 0, 0
    waiting: list[tuple[Any, ...]] = []
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                break
            end += len(line)
            if not waiting:
                if done == len(items):
                    raise InterleaveError(f"{file}:{number}: there are more answers in it than are asked for here")
                item = items[done]
                waiting = [(item.dataset, item.sample_id, turn.question, model) for turn in item.turns]
            wanted = waiting.pop(0)
            found = _asked(line)
            if found != wanted:
                raise InterleaveError(
                    f"{file}:{number}: it answers {found}, expected {wanted}: to begin anew, name another folder"
                )
            if not waiting:
                done, kept = done + 1, end
    with file.open("rb+") as whole:
        whole.truncate(kept)
    return done


def _asked(line: bytes) -> tuple[Any, ...] | None:
    try:
        row = json.loads(line)
        return row["dataset"], row["sample_id"], row["prompt"], row["model_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
