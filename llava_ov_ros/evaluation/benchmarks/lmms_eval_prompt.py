"""Turns lmms-eval's documents into prompts, laid out as by lmms-eval's own LLaVA-OneVision model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ...bounds import check_whole
from ...frames import Frame, Rgb
from ...modes import Mode
from ...onevision.prompt import Segment, Text, Visual

IMAGE = "<image>"
MAX_NEW_TOKENS = 1024


class DocumentError(ValueError):
    """A document cannot be shown to the model; the text names the part that cannot."""


@dataclass(frozen=True)
class Visuals:
    """The visual items of a prompt.

    Attributes:
        items: Frames of each visual item: all frames of a clip in mode video, else one frame.
        mode: Visual mode: how the frames become visual tokens.
    """

    items: tuple[tuple[Frame, ...], ...]
    mode: Mode


def longest_answer(options: Mapping[str, Any]) -> int:
    """Most tokens of an answer, from a task's generation options or `--gen_kwargs`; 1024 if these do not say.

    Raises:
        ValueError: max_new_tokens is not a whole number from 1.
    """
    given = options.get("max_new_tokens")
    longest = MAX_NEW_TOKENS if given is None else int(given)
    check_whole("max_new_tokens", longest, 1)
    return longest


def shown(visuals: Sequence[Any] | None, max_frames: int, sample_frames: int | None = None) -> Visuals:
    """Turn the pictures or the video of a document into visual items.

    A single picture is shown in most detail (anyres_max_9), several pictures are padded, and a video becomes one clip
    of frames at equal distances (lmms-eval 0.7.3, models/simple/llava_onevision.py:466-514).

    Args:
        visuals: Pictures (PIL images or picture files), or one video file; None for a document without visuals.
        max_frames: Number of frames of a video.
        sample_frames: If given, the pictures are frames of a video, and this many of them are shown.

    Raises:
        DocumentError: A visual is of another type, or a file cannot be read.
    """
    if not visuals:
        return Visuals((), "multi_image")
    videos = [visual for visual in visuals if isinstance(visual, str) and not _is_picture(visual)]
    if videos:
        if len(visuals) > 1:
            raise DocumentError(f"the document has {len(visuals)} videos or pictures: one video, or pictures only")
        return Visuals((video_frames(Path(videos[0]), max_frames),), "video")
    pictures = [picture_frame(visual) for visual in visuals]
    if sample_frames is not None:
        chosen = np.linspace(0, len(pictures) - 1, sample_frames, dtype=int)
        return Visuals((tuple(pictures[index] for index in chosen),), "video")
    return Visuals(tuple((picture,) for picture in pictures), "image" if len(pictures) == 1 else "multi_image")


def picture_frame(picture: Any) -> Frame:
    """Turn a picture (PIL image or picture file) into a frame.

    Raises:
        DocumentError: The argument is neither, or the file cannot be read.
    """
    try:
        if isinstance(picture, str):
            with Image.open(picture) as opened:
                return _frame(np.asarray(opened.convert("RGB")))
        if isinstance(picture, Image.Image):
            return _frame(np.asarray(picture.convert("RGB")))
    except OSError as error:
        raise DocumentError(f"a picture of the document cannot be read: {error}") from None
    raise DocumentError(f"the document shows {type(picture).__name__}, expected pictures or the path of a video")


def video_frames(file: Path, count: int) -> tuple[Frame, ...]:
    """Read frames of a video at equal distances, including the first and the last frame.

    Args:
        file: The video file.
        count: Number of frames; if the video has fewer, some frames repeat.

    Raises:
        DocumentError: The video cannot be read.
    """
    # The length that a file declares is not always true, so the frames are counted.
    video = cv2.VideoCapture(str(file))
    total = 0
    while video.grab():
        total += 1
    video.release()
    if not total:
        raise DocumentError(f"{file}: not a video that can be read")
    wanted = np.linspace(0, total - 1, count, dtype=int).tolist()
    found: dict[int, Frame] = {}
    video = cv2.VideoCapture(str(file))
    for index in range(wanted[-1] + 1):
        if video.grab() and index in wanted:
            _, picture = video.retrieve()
            found[index] = _frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    video.release()
    return tuple(found[index] for index in wanted)


def context_texts(context: str, items: int) -> list[str]:
    """Split a context into the texts of user and assistant by turns, with `<image>` in the places of visual items.

    A text that has `<image>` keeps it in place. Otherwise all `<image>`, separated by blanks, go before the first text
    (llava_onevision.py:516-551). A JSON list of values is a dialogue; any other context is one text of the user.

    Args:
        context: The context of an lmms-eval request.
        items: Number of visual items.
    """
    if items and IMAGE not in context:
        context = " ".join([IMAGE] * items) + "\n" + context
    return _dialogue(context) or [context]


def turns_of(texts: Sequence[str], items: int) -> list[list[Segment]]:
    """Turn the texts of user and assistant into segments of a prompt, one list per turn.

    Args:
        texts: The texts; `<image>` stands for a visual item.
        items: Number of visual items.

    Raises:
        DocumentError: The texts have more or fewer `<image>` than there are visual items.
    """
    turns: list[list[Segment]] = []
    placed = 0
    for text in texts:
        turn: list[Segment] = []
        pieces = text.split(IMAGE) if items else [text]
        for number, piece in enumerate(pieces):
            turn.append(Text(piece))
            if number < len(pieces) - 1:
                turn.append(Visual(placed))
                placed += 1
        turns.append(turn)
    if placed != items:
        raise DocumentError(f"the text has places for {placed} pictures, and the document shows {items}")
    return turns


@dataclass(frozen=True)
class ChatParts:
    """A chat in the form that the simple model takes.

    Attributes:
        system: Text of the system message; None without one.
        texts: Texts of user and assistant by turns, with `<image>` in the places of pictures and videos.
        visuals: Pictures and videos, in order.
    """

    system: str | None
    texts: tuple[str, ...]
    visuals: tuple[Any, ...]


def chat_parts(messages: Sequence[Any]) -> ChatParts:
    """Read lmms-eval's chat messages (`ChatMessages.messages`).

    Pictures keep their places between the texts. If the texts have an `<image>` for each picture, as in
    messages made from a simple task, the pictures go there instead.

    Args:
        messages: Messages with `role` and `content`; `content` is a list of parts with `type` and `text` or `url`.

    Raises:
        DocumentError: User and assistant do not take turns, or a part is no text, picture or video.
    """
    system: str | None = None
    texts: list[str] = []
    visuals: list[Any] = []
    spoken = [part.text for message in messages for part in message.content if part.type == "text"]
    media = sum(part.type != "text" for message in messages for part in message.content)
    placed = bool(media) and sum(text.count(IMAGE) for text in spoken) == media
    for message in messages:
        if message.role == "system":
            system = "".join(part.text for part in message.content if part.type == "text")
            continue
        if message.role != ("assistant" if len(texts) % 2 else "user"):
            raise DocumentError(
                f"message {len(texts)} of the chat is from {message.role}: user and assistant take turns"
            )
        text, after_picture = "", False
        for part in message.content:
            if part.type == "text":
                said = part.text if placed or not media else part.text.replace(IMAGE, "")
                text += ("\n" if after_picture else "") + said
            elif part.type in ("image", "video"):
                visuals.append(part.url)
                text += "" if placed else (" " if after_picture else "") + IMAGE
            else:
                raise DocumentError(f"the chat has {part.type}, expected text, images and videos")
            after_picture = part.type != "text" and not placed
        texts.append(text)
    if len(texts) % 2 == 0:
        raise DocumentError("the chat does not end with what the user says")
    return ChatParts(system, tuple(texts), tuple(visuals))


def _dialogue(context: str) -> list[str] | None:
    """The values of a JSON list of turns; None if the text is not such a list."""
    if not context.lstrip().startswith("["):
        return None
    try:
        turns = json.loads(context)
    except (ValueError, RecursionError):
        return None
    if not isinstance(turns, list) or len(turns) % 2 == 0:
        return None
    values = [turn.get("value") if isinstance(turn, dict) else None for turn in turns]
    return [str(value) for value in values] if all(isinstance(value, str) for value in values) else None


def _is_picture(file: str) -> bool:
    return Path(file).suffix.lower() in Image.registered_extensions()


def _frame(rgb: Rgb) -> Frame:
    rgb.flags.writeable = False
    return Frame(camera="image", stamp_ns=0, frame_id="", picture=rgb)
