"""The prompt, as the original code writes it: control tokens, text and places for visual tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..frames import Frame
from ..modes import Mode

IM_START = "<|im_start|>"
IM_END = "<|im_end|>"


@dataclass(frozen=True)
class Control:
    """A special token of the template. Only the template makes these, so a user's text never becomes one."""

    token: str


@dataclass(frozen=True)
class Text:
    """Literal text, encoded in one go (a tokenizer may merge across any finer cut)."""

    text: str


@dataclass(frozen=True)
class Visual:
    """The place of the visual tokens of one item: one clip in video mode, else one frame."""

    index: int


@dataclass(frozen=True)
class Ids:
    """Exact tokens, such as those of an earlier answer: its text might be encoded as others."""

    tokens: tuple[int, ...]


Segment = Control | Text | Visual | Ids


@dataclass(frozen=True)
class PromptStyle:
    """How turns are written.

    Attributes:
        system: Text of the system turn, or None for no such turn.
        after_user: Between the word `user` and what the user says.
        after_turn: Behind the end token of a turn.
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
    """What the user says: visual items first, each followed by a newline, then the question.

    One clip is `<image>` + newline + question (LLaVA-NeXT tutorial, cells 5 and 8; ONE slot for a whole video);
    several images stand one below the other. With several cameras, each one's items follow its name.

    Args:
        cameras: Name and number of frames of each camera, in order.
        question: The user's text; special tokens in it stay text.
        mode: Decides how many items a camera has: one in video mode, else one per frame.
        before: Texts and pictures that go before the cameras' items, a frame being an item of its own. With it, nothing
            is added between the last item and the question: the texts around the items are all there is.
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
        content: What the user says first.
        style: How turns are written.
        later: Answer to what was said before, and what the user then says; oldest first.
    """
    said = [(Text(text),) for turn in later for text in turn]
    return dialogue([content, *said], style)


def dialogue(turns: Sequence[Sequence[Segment]], style: PromptStyle) -> tuple[Segment, ...]:
    """A whole prompt that ends with the open turn of the assistant.

    Args:
        turns: What the user and the assistant say by turns; the user begins and ends.
        style: How turns are written.
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
    """Joins neighbouring texts and drops empty ones, so that text is encoded as in one whole string."""
    joined: list[Segment] = []
    for segment in segments:
        if isinstance(segment, Text) and joined and isinstance(joined[-1], Text):
            joined[-1] = Text(joined[-1].text + segment.text)
        elif segment != Text(""):
            joined.append(segment)
    return tuple(joined)
