"""The benchmark's prompts, token for token as its official code puts them together."""

from __future__ import annotations

from typing import Any

import pytest

from llava_ov_ros.evaluation.benchmarks.interleave_prompt import next_turn_prompt, turn_prompt
from llava_ov_ros.onevision.tokens import PromptTokenizer

PICTURE = None


@pytest.fixture(scope="module")
def tokenizer(rooms: Any) -> PromptTokenizer:
    return PromptTokenizer.from_file(rooms / "tokenizer.json")


def official(tokenizer: PromptTokenizer, question: str) -> list[int | None]:
    """Written out from preprocess_qwen (LLaVA-NeXT, llava/eval/model_vqa.py:33-84)."""
    start, end = tokenizer.control_id("<|im_start|>"), tokenizer.control_id("<|im_end|>")
    newline = tokenizer.encode_text("\n")
    ids = [start, *tokenizer.encode_text("system"), *newline]
    ids += [*tokenizer.encode_text("You are a helpful assistant."), end, *newline]
    ids += [start, *tokenizer.encode_text("user"), *newline]
    pieces = question.split("<image>")
    for number, piece in enumerate(pieces):
        ids += tokenizer.encode_text(piece)
        if number < len(pieces) - 1:
            ids += [PICTURE, *newline]
    return [*ids, end, *newline, start, *tokenizer.encode_text("assistant"), *newline]


@pytest.mark.parametrize(
    "question",
    [
        "<image>\nWhere is the mug?",
        "<image><image>\nWhat is different?",
        "Step 1: <image> take the mug. Step 2: <image>",
        "Where is the mug?",
        "<image>",
    ],
)
def test_turn(tokenizer, question):
    assert tokenizer.encode(turn_prompt(question)) == official(tokenizer, question)


def test_the_newline_behind_a_picture_stays_a_token_of_its_own(tokenizer):
    ids = tokenizer.encode(turn_prompt("<image>\n\nWhere?"))
    newline = tokenizer.encode_text("\n")
    at = ids.index(PICTURE)
    assert ids[at + 1 : at + 1 + len(newline)] == newline
    rest = tokenizer.encode_text("\n\nWhere?")
    assert ids[at + 1 + len(newline) :][: len(rest)] == rest


def test_a_later_turn_brings_the_whole_head_again(tokenizer):
    first = turn_prompt("<image>\nWhere is the mug?")
    said = tuple(tokenizer.encode_text("on the desk"))
    end = tokenizer.control_id("<|im_end|>")
    again = official(tokenizer, "And <image> now?")
    found = tokenizer.encode(next_turn_prompt(first, said, True, "And <image> now?", 1))
    assert found == [*tokenizer.encode(first), *said, end, *again]
    cut_off = tokenizer.encode(next_turn_prompt(first, said, False, "And <image> now?", 1))
    assert cut_off == [*tokenizer.encode(first), *said, *again]
