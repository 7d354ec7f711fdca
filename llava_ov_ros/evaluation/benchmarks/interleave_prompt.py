"""The prompts of LLaVA-Interleave-Bench, as its official code builds them (LLaVA-NeXT, llava/eval/model_vqa.py)."""

from __future__ import annotations

from ...onevision.prompt import IM_END, IM_START, Control, Ids, Segment, Text, Visual
from .interleave_items import IMAGE

SYSTEM = "You are a helpful assistant."
_NEWLINE = Text("\n")


def turn_prompt(question: str, images_before: int = 0) -> list[Segment]:
    """Make the prompt of one question, up to the begin of the assistant's turn (`preprocess_qwen`, model_vqa.py:33-84).

    Encode the segments one by one: the newline after each picture is a token of its own, also before another newline.

    Args:
        question: The question, with `<image>` in the places of pictures.
        images_before: Number of pictures in earlier turns.
    """
    segments: list[Segment] = [Control(IM_START), Text("system"), _NEWLINE, Text(SYSTEM), Control(IM_END), _NEWLINE]
    segments += [Control(IM_START), Text("user"), _NEWLINE]
    pieces = question.split(IMAGE)
    for number, piece in enumerate(pieces):
        segments.append(Text(piece))
        if number < len(pieces) - 1:
            segments += [Visual(images_before + number), _NEWLINE]
    return [*segments, Control(IM_END), _NEWLINE, Control(IM_START), Text("assistant"), _NEWLINE]


def next_turn_prompt(
    before: list[Segment], answer: tuple[int, ...], ended: bool, question: str, images_before: int
) -> list[Segment]:
    """Make the prompt of a dialogue's next question: the last prompt, the model's own answer, and a whole turn.

    As in model_vqa.py:165-218, the turn begins with the system turn again, without a newline before it.

    Args:
        before: The last prompt.
        answer: Token ids of the model's answer to the last prompt.
        ended: Whether the model ended its answer by itself; then the end token is a part of the prompt too.
        question: The next question, with `<image>` in the places of pictures.
        images_before: Number of pictures in earlier turns.
    """
    said: list[Segment] = [Ids(answer), *([Control(IM_END)] if ended else [])]
    return [*before, *said, *turn_prompt(question, images_before)]
