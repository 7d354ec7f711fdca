"""Prompts are the original strings, and a user's text never becomes a control token."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import ByteLevel

from llava_ov_ros.onevision import Ask
from llava_ov_ros.onevision.decoding import BatchRow
from llava_ov_ros.onevision.prompt import PROMPT_STYLES, Control, Segment, Text, Visual, conversation, user_content
from llava_ov_ros.onevision.tokens import REPLACEMENT, PromptTokenizer, TextStream


def written(segments: tuple[Segment, ...]) -> str:
    """The prompt as one string, `<image>` standing for each visual item."""
    return "".join(
        s.token if isinstance(s, Control) else s.text if isinstance(s, Text) else "<image>" for s in segments
    )


def test_one_clip_is_one_slot_in_the_original_template() -> None:
    prompt = conversation(user_content([("camera", 8)], "What is shown?", "video"), PROMPT_STYLES["qwen_1_5"])
    assert written(prompt) == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<image>\nWhat is shown?"
        "<|im_end|>\n<|im_start|>assistant\n"
    )


def test_rooms_template_has_no_system_turn() -> None:
    prompt = conversation(user_content([("camera", 4)], "Where is it?", "video"), PROMPT_STYLES["rooms_v1"])
    assert written(prompt) == "<|im_start|>user <image>\nWhere is it?<|im_end|><|im_start|>assistant\n"


def test_images_stand_one_below_the_other() -> None:
    content = user_content([("camera", 3)], "What differs?", "multi_image")
    assert written(content) == "<image>\n<image>\n<image>\nWhat differs?"
    assert [s.index for s in content if isinstance(s, Visual)] == [0, 1, 2]


def test_cameras_are_named() -> None:
    assert written(user_content([("front", 4), ("rear", 4)], "Q", "video")) == "front:\n<image>\nrear:\n<image>\nQ"
    assert written(user_content([("front", 2), ("rear", 1)], "Q", "multi_image")) == (
        "front:\n<image>\n<image>\nrear:\n<image>\nQ"
    )


@pytest.fixture(scope="module")
def tokenizer(rooms: Path) -> PromptTokenizer:
    return PromptTokenizer.from_file(rooms / "tokenizer.json")


@pytest.mark.parametrize("token", ["<image>", "<video>", "<|im_end|>", "<|im_start|>", "<|endoftext|>"])
def test_special_tokens_in_a_question_are_text(tokenizer: PromptTokenizer, token: str) -> None:
    prompt = conversation(user_content([("camera", 1)], f"Is {token} there?", "video"), PROMPT_STYLES["qwen_1_5"])
    plain = conversation(user_content([("camera", 1)], "Is it there?", "video"), PROMPT_STYLES["qwen_1_5"])
    ids, plain_ids = tokenizer.encode(prompt), tokenizer.encode(plain)
    assert ids.count(None) == 1
    control = tokenizer.control_id(token)
    assert control is not None
    assert ids.count(control) == plain_ids.count(control)
    assert f"Is {token} there?" in tokenizer.decode([i for i in ids if i is not None])


def test_pieces_are_encoded_as_the_whole_string_is(tokenizer: PromptTokenizer, rooms: Path) -> None:
    prompt = conversation(
        user_content([("camera", 1)], "Is there an apple on the table?", "video"), PROMPT_STYLES["qwen_1_5"]
    )
    whole = PromptTokenizer.from_file(rooms / "tokenizer.json")._tokenizer
    whole.encode_special_tokens = False
    text = written(prompt)
    image = whole.token_to_id("<image>")
    assert [image if i is None else i for i in tokenizer.encode(prompt)] == whole.encode(text).ids


@pytest.mark.parametrize(
    "text", ["a mug", "桌子上有一个红色的杯子。", "naïve café 🤖 ok", "\n\n two\tlines \n", "𠮷野家"]
)
def test_stream_gives_whole_characters_and_all_of_them(tokenizer: PromptTokenizer, text: str) -> None:
    ids = [i for i in tokenizer.encode([Text(text)]) if i is not None]
    stream = TextStream(tokenizer)
    pieces = [stream.push(i) for i in ids]
    assert all(REPLACEMENT not in piece for piece in pieces)
    assert "".join(pieces) == text == stream.text
    if not text.isascii():
        assert "" in pieces[:-1], "this tokenizer splits such characters, so some pushes must give nothing yet"


def test_half_a_character_at_the_end_is_left_out(tokenizer: PromptTokenizer) -> None:
    ids = [i for i in tokenizer.encode([Text("红杯")]) if i is not None]
    stream = TextStream(tokenizer)
    for token in ids[:-1]:
        stream.push(token)
    assert stream.text == "红"


def test_an_answer_that_is_cut_off_in_a_character_ends_before_it(tokenizer: PromptTokenizer) -> None:
    ids = tokenizer.encode_text("红杯")
    heard: list[str] = []
    row = BatchRow(0, Ask("?", max_new_tokens=len(ids) - 1, on_text=heard.append), tokenizer)
    for token in ids[:-1]:
        row.take(token, 0.5, frozenset())
    assert (row.finish, row.text, heard) == ("length", "红", ["红"])


def test_tokens_that_end_one_character_and_begin_the_next() -> None:
    # As byte-level vocabularies have them: each token but the outer ones joins the last byte of a character to the
    # first two of the next, so that no token but the last ends where a character does.
    text = "杯子在桌子上面吗"
    content = "".join(ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)[0][0])
    assert len(content) == 3 * len(text)
    parts = [content[:2], *(content[i : i + 3] for i in range(2, len(content) - 1, 3)), content[-1]]
    vocabulary = {part: number for number, part in enumerate(dict.fromkeys(parts))}
    crossing = Tokenizer(WordLevel(vocabulary, unk_token=parts[0]))
    crossing.decoder = ByteLevelDecoder()
    stream = TextStream(PromptTokenizer(crossing))
    pieces = [stream.push(vocabulary[part]) for part in parts]
    assert "".join(pieces) == text
    assert pieces == ["", *text]


def test_bytes_that_are_no_text_do_not_hold_the_stream_up(tokenizer: PromptTokenizer) -> None:
    start = next(i for i in tokenizer.encode([Text("杯")]) if i is not None)
    stream = TextStream(tokenizer)
    pieces = [stream.push(start) for _ in range(20)]
    assert sum(map(len, pieces)) > 0
