"""What a server reads is what the local engine reads: the same tokens, or a refusal."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pytest
from tokenizers import Tokenizer

from llava_ov_ros.ask_error import AskError
from llava_ov_ros.asking import Ask
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.modes import Mode
from llava_ov_ros.onevision import Engine, load_engine
from llava_ov_ros.onevision.shapes import nano_config, write_random_checkpoint
from llava_ov_ros.remote import RemoteSettings
from llava_ov_ros.remote.chat import items_of, messages
from llava_ov_ros.remote.pictures import Pictures
from llava_ov_ros.share import shipped

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
MODES: tuple[Mode, ...] = ("video", "multi_image", "image")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, rooms: Path) -> Engine:
    """A model with the original template, and the tokenizer of rooms."""
    directory = tmp_path_factory.mktemp("models") / "nano"
    write_random_checkpoint(nano_config(), rooms / "tokenizer.json", directory, seed=1)
    return load_engine(str(directory), device="cpu")


@pytest.fixture(scope="module")
def served(rooms: Path) -> Callable[[list[dict[str, Any]]], list[int | None]]:
    """What a server makes of messages: Jinja2 renders the template, the tokenizer splits the whole text."""
    template = shipped("config/servers/onevision.jinja")
    assert template is not None
    render = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template.read_text()).render
    tokenizer = Tokenizer.from_file(str(rooms / "tokenizer.json"))
    items = [tokenizer.token_to_id("<image>"), tokenizer.token_to_id("<video>")]

    def ids(said: list[dict[str, Any]]) -> list[int | None]:
        text = render(messages=said, add_generation_prompt=True)
        # The template names an item by the type of its part; vLLM puts the model's own placeholder there.
        text = text.replace("<video_url>", "<video>").replace("<image_url>", "<image>")
        return [None if number in items else number for number in tokenizer.encode(text, add_special_tokens=False).ids]

    return ids


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return Pictures(RemoteSettings(image_px=16))


def frame(number: int = 0, camera: str = "front") -> Frame:
    """A small frame."""
    return Frame(camera, number, "", np.full((4, 4, 3), number, np.uint8))


ONE = [Clip("front", (frame(0), frame(1)))]
TWO = [Clip("front", (frame(0), frame(1))), Clip("后摄像头", (frame(2), frame(3), frame(4)))]
PICTURE = frame(9)
HISTORIES: tuple[tuple[tuple[str, str], ...], ...] = (
    (),
    (("Is the door open?", "yes"),),
    (("门开着吗?", " 是的\n"), ("\n\nAnd now", ""), ("?", "\nno")),
)
BEFORES: tuple[tuple[str | Frame, ...], ...] = (
    (),
    ("Look.",),
    ("Look:\n", "here\n"),
    ("Goal: ", PICTURE, "\nNow: "),
    (PICTURE, "\n", PICTURE, "\nthen\n", "this\n\n"),
    ("A", PICTURE, "\n"),
)
QUESTIONS = ("What is there?", "\nWhat is there?", "\n\n  What\t", "杯子在哪里?", "e\u0301 \u2028", "")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("clips", [ONE, TWO], ids=["one camera", "two cameras"])
def test_every_question_has_the_local_prompt_or_is_refused(
    local: Engine,
    served: Callable[[list[dict[str, Any]]], list[int | None]],
    pictures: Pictures,
    clips: list[Clip],
    mode: Mode,
):
    if mode == "image" and len(clips) > 1:
        with pytest.raises(AskError):
            local.prompt_ids(clips, Ask("?"), mode)
        return
    same, refused = 0, 0
    for history, before, question in product(HISTORIES, BEFORES, QUESTIONS):
        ask = Ask(question, history=history, before=before)
        try:
            said = messages(clips, ask, mode, pictures)
        except AskError:
            refused += 1
            continue
        # Mode image looks at one frame, and is refused with pictures before it.
        assert served(said) == local.prompt_ids(clips, ask, mode), ask
        assert len(items_of(clips, ask, mode)) == served(said).count(None)
        same += 1
    assert same + refused == 108
    # Refused: pictures before the clip in mode image; no line break between the last item and the question's text.
    assert same >= {"video": 25, "multi_image": 25, "image": 15}[mode]


def test_a_text_behind_a_picture_without_a_line_break_is_refused(pictures: Pictures):
    for before, question in [
        ((PICTURE, "then"), "\n?"),
        ((PICTURE,), "\n?"),
        (("a",), "Where?"),
        ((PICTURE, "\n"), "?"),
    ]:
        with pytest.raises(AskError, match="must begin with a line break"):
            messages(ONE, Ask(question, before=before), "video", pictures)


def test_any_text_has_the_local_prompt_or_is_refused(
    local: Engine, served: Callable[[list[dict[str, Any]]], list[int | None]], pictures: Pictures
):
    """Random texts of the pieces that tokenizers and templates treat in ways of their own."""
    numbers = random.Random(3)
    bits = [*SPECIAL, "<|im_", "end|>", "<", "|>", "<im", "age>", " ", "\n", "\r\n", "\t", "yes", "门", "{{ 1 }}", "{%"]
    bits += ["e\u0301", "\u0301", "assistant\n", "user", "😀", "0", "'s", "\u00a0", "\u3000", ":"]

    def text() -> str:
        return "".join(numbers.choices(bits, k=numbers.randrange(6)))

    same = 0
    for _ in range(6000):
        mode = numbers.choice(MODES)
        clips = ONE if mode == "image" else [Clip(text() or "c", (frame(0),)) for _ in range(numbers.randrange(1, 3))]
        history = tuple((text(), text()) for _ in range(numbers.randrange(3)))
        before: tuple[str | Frame, ...] = tuple(
            PICTURE if numbers.random() < 0.2 else text() for _ in range(numbers.randrange(3))
        )
        ask = Ask(numbers.choice(["", "\n"]) + text(), history=history, before=before)
        try:
            said = messages(clips, ask, mode, pictures)
        except AskError:
            continue
        assert served(said) == local.prompt_ids(clips, ask, mode), ask
        same += 1
    assert same > 500


@pytest.mark.parametrize("token", [*SPECIAL, "<|vision_start|>", "<|eot_id|>"])
def test_control_tokens_are_refused_wherever_they_are(pictures: Pictures, token: str):
    half = len(token) // 2
    cameras = [Clip(f"a{token}", (frame(),)), Clip("b", (frame(),))]
    for clips, ask in [
        (ONE, Ask(f"Is {token} there?")),
        (ONE, Ask("?", history=((f"{token}?", "yes"),))),
        (ONE, Ask("?", history=(("?", f"yes{token}"),))),
        (ONE, Ask("\n?", before=(f"{token}\n",))),
        (ONE, Ask("\n?", before=(token[:half], token[half:]))),
        (ONE, Ask("?", choices=("yes", f"no{token}"))),
        (cameras, Ask("?")),
    ]:
        with pytest.raises(AskError, match="control token"):
            messages(clips, ask, "video", pictures)


def test_the_name_of_a_single_camera_is_not_said(pictures: Pictures):
    assert len(messages([Clip("<image>", (frame(),))], Ask("?"), "video", pictures)) == 2


def test_half_a_character_is_refused(pictures: Pictures):
    for ask in (Ask("a\ud83d"), Ask("?", choices=("a", "\ude00")), Ask("?", history=(("\udcff", ""),))):
        with pytest.raises(AskError, match="surrogate"):
            messages(ONE, ask, "video", pictures)


@pytest.mark.parametrize("choice", ["\nyes", "\r\nyes", " \n yes"])
def test_a_choice_that_begins_with_a_line_break_is_refused(pictures: Pictures, choice: str):
    with pytest.raises(AskError, match="line break"):
        messages(ONE, Ask("?", choices=("no", choice)), "video", pictures)


@pytest.mark.parametrize("choice", ["yes", " yes", "\tyes ", "是", "yes\n", "e\u0301", "'s", "\u0301", "  x", "0 1"])
def test_a_choice_has_the_tokens_of_the_local_engine(
    local: Engine, served: Callable[[list[dict[str, Any]]], list[int | None]], pictures: Pictures, choice: str
):
    """The local engine encodes a choice by itself, behind the prompt; the server within its template."""
    said = messages(ONE, Ask("?", choices=(choice,)), "video", pictures)
    prompt = served(said)
    scored = served([*said, {"role": "assistant", "content": choice}])
    tokenizer = local._loaded().checkpoint.tokenizer
    begin = len(prompt)
    own = tokenizer.encode_text(choice)
    assert scored[:begin] == prompt
    assert scored[begin : begin + len(own) + 1] == [*own, tokenizer.control_id("<|im_end|>")]
