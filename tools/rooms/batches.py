"""Training batches: takes drawn, seen through the node's own preprocessing, many questions behind one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from random import Random

import cv2
import numpy as np
import torch

from cells import CELLS, IGNORED, Named, NameReader, name_cells
from labels import nothing_labels, photographed
from llava_ov_ros.onevision.features import anyres_token_count
from llava_ov_ros.onevision.pixels import anyres_tiles, padded_square, squashed
from llava_ov_ros.onevision.prompt import DEFAULT_STYLE, PROMPT_STYLES, Text, conversation, user_content
from llava_ov_ros.onevision.tokens import PromptTokenizer
from llava_ov_ros.rooms.room_questions import Question, questions
from llava_ov_ros.rooms.takes import Take, make_take
from llava_ov_ros.rooms.view import make_view
from model import PICTURE_PX, SIDE
from nameless import nameless_pictures, names_colour, repainted, without_colours
from recipe import Stage
from strangers import STRANGE_SHARE, strange_clip, untold
from unseen import Unseen

# Cameras in training are small, since they are seen in 96 x 96 pixels anyway; a few are as large as real ones.
SIZES = ((240, 180), (240, 180), (280, 210), (320, 240), (288, 162), (200, 200), (180, 240), (640, 480))
IMAGE_SIZES = ((240, 180), (320, 240), (288, 162))
# Long answers would drown one-word ones; with this weight a plan counts a few times as much as a colour.
LENGTH_POWER = -0.5
# Pictures beside the takes of which only patches are learnt.
NAMELESS = 2
# Few questions about motion ask which way, and that is learnt last: so many are asked of each move.
WAYS = 2


@dataclass(frozen=True)
class Batch:
    """Takes of one mode and length, each with its questions.

    Attributes:
        mode: `video`, `multi_image` or `image`.
        frames: Of each take.
        pixels: uint8 (takes * tiles, 3, 96, 96).
        picture: (height, width) of the camera's pictures in image mode.
        labels: int64 (takes * frames, LABELS, 12, 12) in video mode.
        nameless: Of `nameless_pictures`: pixels, uint8 (n, 3, 96, 96), and
        nameless_labels: int64 (n, LABELS, 12, 12).
        ids: int64 (takes, length); visual places hold 0.
        visual: bool (takes, length), where visual tokens go.
        targets: int64 (takes, length), IGNORED where nothing is learnt.
        weights: float32 (takes, length).
        segment: int64 (takes, length); 0 for what all questions see, -1 for padding.
        positions: int64 (takes, length); each question continues behind the pictures.
        rules: int64 (takes, length), of Unseen: what is no possible answer in a place.
        cells: int64 (takes, length, CELLS): where the thing is whose kind stands in a place; IGNORED where none does
            and in a frame that does not show it.
    """

    mode: str
    frames: int
    pixels: torch.Tensor
    picture: tuple[int, int]
    labels: torch.Tensor | None
    nameless: torch.Tensor
    nameless_labels: torch.Tensor
    ids: torch.Tensor
    visual: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    segment: torch.Tensor
    positions: torch.Tensor
    rules: torch.Tensor
    cells: torch.Tensor

    def to(self, device: str) -> Batch:
        """The same on a device."""
        tensors = {
            f.name: value.to(device) for f in fields(self) if isinstance(value := getattr(self, f.name), torch.Tensor)
        }
        return replace(self, **tensors)


class Packer:
    """Writes prompts as the engine does and lays many questions behind one clip."""

    def __init__(self, tokenizer: PromptTokenizer, end: int, rows: int) -> None:
        self._tokenizer = tokenizer
        self._end = end
        self._style = PROMPT_STYLES[DEFAULT_STYLE]
        self.unseen = Unseen(self.word, rows)
        self.names = NameReader(self.word)

    def word(self, text: str) -> int:
        """Id of a word, or of a space and a word."""
        return self.answer(text)[0] if text[0] != " " else self.answer(f"x{text}")[1]

    def prompt(self, question: str, mode: str, frames: int) -> tuple[list[int | None], list[int]]:
        """What comes before and behind the last visual item (which belongs to the former, as None)."""
        content = user_content([("camera", frames)], question, mode)  # type: ignore[arg-type]
        ids = self._tokenizer.encode(conversation(content, self._style))
        last = len(ids) - 1 - ids[::-1].index(None)
        return ids[: last + 1], [i for i in ids[last + 1 :] if i is not None]

    def answer(self, text: str) -> list[int]:
        """Token ids of an answer with its end."""
        return [i for i in self._tokenizer.encode([Text(text)]) if i is not None] + [self._end]


def visual_length(mode: str, frames: int, picture: tuple[int, int]) -> list[int]:
    """Tokens of each visual item of a prompt."""
    if mode == "video":
        return [frames * (SIDE // 2) ** 2 + 1]
    if mode == "multi_image":
        return [SIDE**2 + 1] * frames
    return [anyres_token_count((1, 1), SIDE, picture)]


def draw_batch(
    stage: Stage,
    drawn: tuple[str, int, int],
    seed: str,
    packer: Packer,
    combinations: str = "trained",
    strangers: Sequence[Path] = (),
) -> Batch:
    """One batch; the same for the same seed, whatever came before.

    Args:
        stage: What is asked.
        drawn: Mode, frames and number of takes.
        seed: Every choice follows from it.
        packer: Writes the prompts.
        combinations: As in Wish.
        strangers: Files of pictures that a share of the takes shows in place of its room.
    """
    cv2.setNumThreads(1)
    rng = Random(seed)
    mode, frames, count = drawn
    shape = rng.choice(IMAGE_SIZES)
    sizes = (shape,) if mode == "image" else SIZES
    takes = [make_take(rng, frames, combinations=combinations, view=make_view(rng, sizes=sizes)) for _ in range(count)]
    pixels, labels, asked, named = [], [], [], []
    for take in takes:
        listed, cells = _ask(rng, take, stage) if stage.text_tokens else [], []
        if strangers and rng.random() < STRANGE_SHARE:
            clip = strange_clip(rng.choice(strangers), frames, take.view, rng)
            pixels += [_tiles(rgb, mode) for rgb in clip]
            labels += [nothing_labels()] * frames
            named.append({})
            asked.append(untold(listed))
            continue
        colourless = [question for question in listed if not names_colour(question)]
        # Where nothing is left to ask the take stays as it is, or a process without answers would learn other parts.
        nameless = rng.random() < stage.nameless and bool(colourless)
        if nameless:
            take = repainted(take, rng)
        for rgb, patches, places in photographed(take, rng):
            pixels.append(_tiles(rgb, mode))
            labels.append(without_colours(patches) if nameless else patches)
            cells.append(places)
        named.append(name_cells(take, cells[0], cells[-1]))
        asked.append(colourless if nameless else listed)
    picture = (shape[1], shape[0])
    rows = pack(packer, asked, named, mode, frames, picture, stage.text_tokens)
    return Batch(
        mode,
        frames,
        torch.cat(pixels),
        picture,
        torch.from_numpy(np.stack(labels)) if mode == "video" else None,
        *nameless_pictures(rng, NAMELESS),
        *rows,
    )


def _ask(rng: Random, take: Take, stage: Stage) -> list[Question]:
    categories = stage.categories
    asked = {q.text: q for q in questions(take, rng, categories, each=2) if not q.held_out}
    if take.event == "moved" and "motion" in categories:
        ways = [q for q in questions(take, rng, ("motion",), each=12) if q.direction and not q.held_out]
        asked |= {q.text: q for q in ways[:WAYS]}
    listed = list(asked.values())
    # What is seldom possible comes first, so that it is not what the room for text leaves out.
    listed.sort(key=lambda q: q.category not in ("next_step", "motion"))
    return listed


def _tiles(rgb: np.ndarray, mode: str) -> torch.Tensor:
    if mode == "video":
        return squashed(rgb, PICTURE_PX)
    if mode == "multi_image":
        return padded_square(rgb, PICTURE_PX)
    return anyres_tiles(rgb, PICTURE_PX, [[PICTURE_PX, PICTURE_PX]])[0]


def pack(
    packer: Packer,
    asked: Sequence[Sequence[Question]],
    named: Sequence[Named],
    mode: str,
    frames: int,
    picture: tuple[int, int],
    room: int,
) -> tuple[torch.Tensor, ...]:
    """ids, visual, targets, weights, segment, positions, rules and cells of a Batch.

    Args:
        packer: Writes the prompts.
        asked: Questions of each take.
        named: Where the things of each take are.
        mode: The visual mode.
        frames: Of each take.
        picture: (height, width) of the camera's pictures.
        room: Tokens behind the pictures.
    """
    head, visual_head = [], []
    lengths = iter(visual_length(mode, frames, picture))
    for token in packer.prompt("", mode, frames)[0]:
        count = next(lengths) if token is None else 1
        head += [0 if token is None else token] * count
        visual_head += [token is None] * count
    shape = (len(asked), len(head) + room)
    ids, segment = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
    targets, weights = np.full(shape, IGNORED, np.int64), np.zeros(shape, np.float32)
    positions, visual = np.zeros(shape, np.int64), np.zeros(shape, bool)
    rules, cells = np.zeros(shape, np.int64), np.full((*shape, CELLS), IGNORED, np.int64)
    start = len(head)
    ids[:, :start], visual[:, :start], segment[:, :start] = head, visual_head, 0
    positions[:, :start] = np.arange(start)
    for row, its in enumerate(asked):
        at = start
        for number, question in enumerate(its, 1):
            behind, answer = packer.prompt(question.text, mode, frames)[1], packer.answer(question.gold)
            end = at + len(behind) + len(answer)
            if end > shape[1]:
                continue
            ids[row, at:end] = behind + answer
            targets[row, at + len(behind) : end] = answer
            cells[row, at:end] = packer.names.cells(behind + answer, named[row])
            rules[row, at + len(behind) : end] = packer.unseen.rules(behind, answer)
            weights[row, at + len(behind) : end] = len(answer) ** LENGTH_POWER
            segment[row, at:end] = number
            positions[row, at:end] = np.arange(start, start + end - at)
            at = end
    longest = max(start + 1, int((segment >= 0).sum(1).max()))
    arrays = (ids, visual, targets, weights, segment, positions, rules, cells)
    return tuple(torch.from_numpy(a[:, :longest].copy()) for a in arrays)
