"""Builds prompts in the form of the original code: control tokens, text and places for visual tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..frames import Frame
from ..modes import Mode

IM_START = "<|im_start|>"
IM_END = "<|im_end|>"


@dataclass(frozen=True)
class Control:
    """A special token of the template. Only the template creates these; a user's text never becomes one."""

    token: str


@dataclass(frozen=True)
class Text:
    """Literal text. It is encoded as a whole, since a tokenizer may merge characters across any cut."""

    text: str


@dataclass(frozen=True)
class Visual:
    """The place of the visual tokens of one item: one clip in video mode, else one frame."""

    index: int


@dataclass(frozen=True)
class Ids:
    """Exact tokens, such as those of an earlier answer, whose text the tokenizer might encode differently."""

    tokens: tuple[int, ...]


Segment = Control | Text | Visual | Ids


@dataclass(frozen=True)
class PromptStyle:
    """The template of turns.

    Attributes:
        system: Text of the system turn, or None for no such turn.
        after_user: Text between the word `user` and the user's text.
        after_turn: Text after the end token of a turn.
    """

    system: str | None
    after_user: str
    after_turn: str


PROMPT_STYLES: dict[str, PromptStyle] = {
    # conv_templates["qwen_1_5"] of LLaVA-NeXT, llava/conversation.py:443-452 and :75-93.
    "qwen_1_5": PromptStyle("You are a helpful assistant.", "\n", "\n"),
    # Fewer tokens, for small models: no system turn, no line breaks between turns.
    "rooms_v1": PromptStyle(None, " ", ""),
}
DEFAULT_STYLE = "qwen_1_5"


def user_content(
    cameras: Sequence[tuple[str, int]], question: str, mode: Mode, before: Sequence[str | Frame] = ()
) -> tuple[Segment, ...]:
    """The user's first turn: visual items, each followed by a newline, then the question.

    One clip is `<image>` + newline + question (LLaVA-NeXT tutorial, cells 5 and 8; ONE slot for a whole video).
    Several items follow one another, one per line. With several cameras, the camera's name precedes its items.

    Args:
        cameras: Name and number of frames of each camera, in order.
        question: The user's text; special tokens in it stay text.
        mode: Decides the number of items of a camera: one in video mode, else one per frame.
        before: Texts and pictures before the cameras' items; each picture is an item. With `before`, no newline is
            added between the last item and the question.
    """
    segments: list[Segment] = []
    text = ""
    index = 0
    for part in before:
        if isinstance(part, str):
            text += part
            continue
        segments += [Text(text), Visual(index)]
        index, text = index + 1, ""
    for name, frames in cameras:
        if len(cameras) > 1:
            text += f"{name}:\n"
        for _ in range(1 if mode == "video" else frames):
            if text:
                segments.append(Text(text))
            segments.append(Visual(index))
            index += 1
            text = "\n"
    return (*segments, Text(question if before else text + question))


def conversation(
    content: Sequence[Segment], style: PromptStyle, later: Sequence[tuple[str, str]] = ()
) -> tuple[Segment, ...]:
    """A whole prompt that ends with the open turn of the assistant.

    Args:
        content: The user's first turn.
        style: Template of the turns.
        later: Later turns, oldest first: the assistant's answer, and the user's next text.
    """
    said = [(Text(text),) for turn in later for text in turn]
    return dialogue([content, *said], style)


def dialogue(turns: Sequence[Sequence[Segment]], style: PromptStyle) -> tuple[Segment, ...]:
    """A whole prompt that ends with the open turn of the assistant.

    Args:
        turns: Turns of user and assistant, alternating; the user has the first and the last.
        style: Template of the turns.
    """
    segments: list[Segment] = []
    if style.system is not None:
        segments += [Control(IM_START), Text(f"system\n{style.system}"), Control(IM_END), Text(style.after_turn)]
    for number, turn in enumerate(turns):
        speaker = "assistant\n" if number % 2 else f"user{style.after_user}"
        segments += [Control(IM_START), Text(speaker), *turn, Control(IM_END), Text(style.after_turn)]
    segments += [Control(IM_START), Text("assistant\n")]
    return merged(segments)


def merged(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Join neighbouring texts and drop empty ones, so that the tokenizer sees each text as a whole."""
    joined: list[Segment] = []
    for segment in segments:
        if isinstance(segment, Text) and joined and isinstance(joined[-1], Text):
            joined[-1] = Text(joined[-1].text + segment.text)
        elif segment != Text(""):
            joined.append(segment)
    return tuple(joined)
