"""Clips of pictures that no renderer drew: whatever is asked about them, the right answer is `cannot tell`.

A model that has seen rendered rooms alone takes a photograph for one of them, and is as sure of its answer as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import cv2
import numpy as np

from llava_ov_ros.rooms.room_questions import CANNOT_TELL, Question
from llava_ov_ros.rooms.view import developed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llava_ov_ros.rooms.view import View

SUFFIXES = (".jpg", ".jpeg", ".png")
# Of the takes of a run that has such pictures.
STRANGE_SHARE = 0.2
# The window's side, of the largest window of its shape that the picture holds.
SMALLEST_WINDOW = 0.35
# How far the window goes during a clip at most, of its own side; half of the cameras rest.
FARTHEST = 0.3
# Cameras lie on their side, or see no colours.
TURNED, COLOURLESS = 0.15, 0.2


def stranger_files(folder: Path) -> tuple[Path, ...]:
    """The JPEG and PNG files in a folder and the folders in it, by name.

    Raises:
        ValueError: There is none.
    """
    files = tuple(sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()))
    if not files:
        raise ValueError(f"{folder}: has no picture ({', '.join(SUFFIXES)}): give a folder of photographs")
    return files


def strange_clip(file: Path, frames: int, view: View, rng: Random) -> list[NDArray[np.uint8]]:
    """A clip of a window that rests on a picture or moves over it.

    Args:
        file: The picture.
        frames: How many.
        view: Size, light, blur, noise and JPEG of the clip's pictures.
        rng: Every choice follows from it.

    Returns:
        RGB, uint8 (view.height, view.width, 3) each, oldest first.

    Raises:
        ValueError: The file cannot be read as a picture.
    """
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{file}: cannot be read as a picture: take the file out of the folder")
    picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    if rng.random() < TURNED:
        picture = np.rot90(picture, rng.choice((1, 3)))
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    if rng.random() < COLOURLESS:
        picture = np.repeat(picture.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    height, width = picture.shape[:2]
    scale = rng.uniform(SMALLEST_WINDOW, 1.0) * min(width / view.width, height / view.height)
    size = scale * view.width, scale * view.height
    way = [rng.uniform(-FARTHEST, FARTHEST) * side for side in size] if rng.random() < 0.5 else [0.0, 0.0]
    first = [rng.uniform(0, room - side) for room, side in zip((width, height), size, strict=True)]
    seen = []
    for number in range(frames):
        along = number / max(1, frames - 1)
        left, top = (
            int(min(max(at + along * far + rng.uniform(-1, 1) * view.shake, 0), room - side))
            for at, far, room, side in zip(first, way, (width, height), size, strict=True)
        )
        window = picture[top : top + max(1, round(size[1])), left : left + max(1, round(size[0]))]
        shown = cv2.resize(window, (view.width, view.height), interpolation=cv2.INTER_AREA)
        seen.append(developed(shown, view, rng))
    return seen


def untold(asked: Sequence[Question]) -> list[Question]:
    """The same questions where nobody can tell."""
    return [replace(question, gold=CANNOT_TELL) for question in asked]
