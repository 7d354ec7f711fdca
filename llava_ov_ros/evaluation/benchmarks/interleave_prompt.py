"""The prompts of LLaVA-Interleave-Bench, as its official code builds them (LLaVA-NeXT, llava/eval/model_vqa.py)."""

from __future__ import annotations

from ...onevision.prompt import IM_END, IM_START, Control, Ids, Segment, Text, Visual
from .interleave_items import IMAGE

SYSTEM = "You are a helpful assistant."
_NEWLINE = Text("\n")


def turn_prompt(question: str, images_before: int = 0) -> list[Segment]:
    """One question with everything around it (`preprocess_qwen`, model_vqa.py:33-84), the assistant's turn open.

    The pieces are to be encoded one by one: the newline after each picture is a token of its own, also before
    another newline.

    Args:
        question: With `<image>` where pictures stand.
        images_before: How many were shown in earlier turns.
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
    """The prompt of a dialogue's next question: the last prompt, the model's own answer, and a whole turn again.

    model_vqa.py:165-218: the system turn comes again too, without a newline before it.

    Args:
        before: The last prompt.
        answer: The tokens that the model went on with.
        ended: Whether it ended by itself, so that its end token stands in the prompt too.
        question: What is asked next.
        images_before: How many pictures were shown so far.
    """
    said: list[Segment] = [Ids(answer), *([Control(IM_END)] if ended else [])]
    return [*before, *said, *turn_prompt(question, images_before)]
