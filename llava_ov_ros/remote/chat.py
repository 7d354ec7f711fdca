"""A question as chat messages whose tokens, behind the server's template, are those of the local engine's prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..ask_error import AskError
from ..asking import Ask
from ..bounds import quoted
from ..frames import Clip, Frame
from ..modes import Mode
from .pictures import Pictures

SYSTEM = "You are a helpful assistant."
"""Text of the system turn: conv_templates["qwen_1_5"] of LLaVA-NeXT, llava/conversation.py:443-452."""
CONTROL = re.compile(r"<\|[^<>|\s]{1,40}\|>|<image>|<video>")
"""What the tokenizers of Qwen2 and LLaVA-OneVision read as one token in a text, wherever the text comes from."""
HALF = re.compile(r"[\ud800-\udfff]")
FIRST_BREAK = re.compile(r"\s*[\r\n]")

Message = dict[str, Any]
VisualItem = tuple[Frame, ...]
"""The frames of one visual item: a clip in mode video, else one picture."""


def messages(clips: Sequence[Clip], ask: Ask, mode: Mode, pictures: Pictures) -> list[Message]:
    """The messages of a question, ending with the user's turn.

    The template (config/servers/onevision.jinja) writes a line break behind each picture and clip, where the local
    prompt has one, too; a text behind a picture is therefore sent without its first line break.

    Raises:
        AskError: A text contains a control token, which a server would not read as text, or half a character; a text
            behind a picture does not begin with a line break, or a choice does; or there are pictures before the clip
            in mode image.
    """
    turns = [*ask.history, (ask.question, "")]
    said: list[Message] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": _content(_first_turn(clips, ask, turns[0][0], mode), mode, pictures)},
    ]
    for (_, answer), (question, _) in pairwise(turns):
        said += [{"role": "assistant", "content": answer}, {"role": "user", "content": question}]
    texts = [part["text"] for part in said[1]["content"] if part["type"] == "text"]
    texts += [message["content"] for message in said[2:]]
    _check_texts(texts, ask.choices or ())
    return said


def items_of(clips: Sequence[Clip], ask: Ask, mode: Mode) -> list[VisualItem]:
    """The visual items of a question, in the order of the prompt."""
    return [part for part in _first_turn(clips, ask, "", mode) if not isinstance(part, str)]


def _check_texts(said: Sequence[str], choices: Sequence[str]) -> None:
    """Check texts as they are sent: those of several parts of a question may form a control token together."""
    for text in (*said, *choices):
        if found := CONTROL.search(text):
            where = "a choice" if text in choices else "the question, a name or a text before it"
            raise AskError(
                f"{where} contains {quoted(found.group())}, which a server reads as a control token: leave it out"
            )
        if HALF.search(text):
            raise AskError(f"{quoted(text)} contains half a character (a lone surrogate), which cannot be sent")
    for choice in choices:
        if FIRST_BREAK.match(choice):
            raise AskError(f"choice {quoted(choice)} begins with a line break, which a server merges with its own")


def _first_turn(clips: Sequence[Clip], ask: Ask, question: str, mode: Mode) -> list[str | VisualItem]:
    """The texts and items of the user's first turn, each text with its line breaks, as `onevision.prompt` has them."""
    if mode == "image" and any(isinstance(part, Frame) for part in ask.before):
        raise AskError("mode image looks at one picture: with pictures before the clip, use mode multi_image")
    parts: list[str | VisualItem] = [(part,) if isinstance(part, Frame) else part for part in ask.before]
    line_break = ""
    for clip in clips:
        items: list[VisualItem] = [(frame,) for frame in clip.frames]
        if mode == "video":
            items = [clip.frames]
        elif mode == "image":
            items = [clip.frames[-1:]]
        for number, item in enumerate(items):
            named = f"{clip.camera}:\n" if len(clips) > 1 and number == 0 else ""
            parts += [line_break + named, item]
            line_break = "\n"
    return [*parts, question if ask.before else line_break + question]


def _content(parts: Sequence[str | VisualItem], mode: Mode, pictures: Pictures) -> list[Message]:
    content: list[Message] = []
    text, behind_item = "", False
    for part in [*parts, ()]:
        if isinstance(part, str):
            text += part
            continue
        if behind_item and not text.startswith("\n"):
            raise AskError(
                "a text behind a picture must begin with a line break, because a server's template writes one there"
            )
        text = text[1:] if behind_item else text
        content += [{"type": "text", "text": text}] if text else []
        text, behind_item = "", True
        if part:
            content.append(_visual(part, mode, pictures))
    return content


def _visual(item: VisualItem, mode: Mode, pictures: Pictures) -> Message:
    if mode == "video":
        return {"type": "video_url", "video_url": {"url": pictures.video_url(item)}}
    return {"type": "image_url", "image_url": {"url": pictures.image_url(item[0], whole=True)}}
