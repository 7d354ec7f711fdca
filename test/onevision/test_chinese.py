"""Chinese through a byte-level tokenizer of Qwen2's kind: cut as published, whole again, never in the middle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import regex
from tokenizers import Tokenizer

from llava_ov_ros.onevision.tokens import REPLACEMENT, PromptTokenizer, TextStream
from llava_ov_ros.planning import find_vocabulary, load_vocabulary, plan_ask
from llava_ov_ros.questions import Kind, SceneQuestion, find_prompts, load_prompts, shape

FILE = Path(__file__).resolve().parents[1] / "data" / "original" / "checkpoint" / "tokenizer.json"
# As Qwen2's tokenizer publishes it (transformers, models/qwen2/tokenization_qwen2.py, PRETOKENIZE_REGEX).
PUBLISHED = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ZH = load_prompts(find_prompts("zh"))
TEXTS = [
    "桌子上有三个红色的杯子。",
    "第一步：去书桌；第二步：拿起１２号杯子！",
    "“是”还是“否”？无法判断……",
    "𠮷野家的🤖在二〇二五年",
    *(
        shape(SceneQuestion(kind, "桌上有什么？", ("红", "蓝") if kind == Kind.CHOICE else ()), ZH).prompt
        for kind in Kind
    ),
    plan_ask("把杯子放到桌上", load_vocabulary(find_vocabulary("delivery")), ZH).prompt,
]


@pytest.fixture(scope="module")
def tokenizer() -> PromptTokenizer:
    return PromptTokenizer.from_file(FILE)


def test_it_cuts_as_qwen2_does() -> None:
    library = Tokenizer.from_file(str(FILE))
    split = json.loads(FILE.read_text())["pre_tokenizer"]["pretokenizers"][0]
    assert split["pattern"]["Regex"] == PUBLISHED
    for text in TEXTS:
        parts = [text[start:end] for _, (start, end) in library.pre_tokenizer.pre_tokenize_str(text)]
        assert parts == regex.findall(PUBLISHED, text)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_whole_again(tokenizer: PromptTokenizer, text: str) -> None:
    ids = tokenizer.encode_text(text)
    assert tokenizer.decode(ids) == text
    assert len(ids) <= len(text.encode()), "a token has at least one byte: limits in bytes hold for Chinese"
    stream = TextStream(tokenizer)
    pieces = [stream.push(token) for token in ids]
    assert "".join(pieces) == text
    assert not any(REPLACEMENT in piece for piece in pieces)


def test_wherever_an_answer_is_cut_its_characters_are_whole(tokenizer: PromptTokenizer) -> None:
    text = "桌子上有三个🤖杯子。"
    ids = tokenizer.encode_text(text)
    stream = TextStream(tokenizer)
    for number, token in enumerate(ids, 1):
        stream.push(token)
        assert text.startswith(stream.text)
        # Every token of this text is one byte: at most three of a character wait for its last one.
        assert number - 3 <= len(stream.text.encode()) <= number


def test_compared_answers_differ_as_tokens(tokenizer: PromptTokenizer) -> None:
    answers = [*ZH.yes_no, *ZH.numbers, ZH.cannot_tell]
    ids = [tuple(tokenizer.encode_text(answer)) for answer in answers]
    assert len(set(ids)) == len(answers)
