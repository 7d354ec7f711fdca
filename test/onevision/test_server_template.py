"""The template that servers are given makes the prompts of the local engine, token for token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from llava_ov_ros.onevision import Ask, Engine, load_engine
from llava_ov_ros.share import shipped

VIDEO_ID = 715
"""Of `<video>` in models/rooms/tokenizer.json."""
QUESTION, HISTORY = "And on it?", (("What is there?", "a desk"), ("What colour?", "brown"))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine("rooms", device="cpu")


@pytest.fixture(scope="module")
def template() -> Path:
    found = shipped("config/servers/onevision.jinja")
    assert found is not None
    return found


def rendered_ids(template: Path, tokenizer: Path, messages: list[dict[str, Any]], generation: bool = True) -> list[int]:
    """Token ids as a server has them before it puts visual tokens at the places of clips."""
    # As transformers' apply_chat_template has it, which vLLM uses.
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    prompt = environment.from_string(template.read_text()).render(messages=messages, add_generation_prompt=generation)
    ids: list[int] = Tokenizer.from_file(str(tokenizer)).encode(prompt, add_special_tokens=False).ids
    return ids


def conversation(clips: int, history: tuple[tuple[str, str], ...]) -> list[dict[str, Any]]:
    """Messages about clips, which the first turn has; several are named."""
    names = [{"type": "text", "text": f"camera_{number}:\n"} for number in range(clips)] if clips > 1 else [None]
    shown = [part for name in names for part in (name, {"type": "video"}) if part is not None]
    messages = []
    for question, answer in (*history, (QUESTION, None)):
        messages.append({"role": "user", "content": [*shown, {"type": "text", "text": question}]})
        shown = []
        if answer is not None:
            messages.append({"role": "assistant", "content": answer})
    return messages


@pytest.mark.parametrize("history", [(), HISTORY], ids=["one turn", "three turns"])
@pytest.mark.parametrize("clips", [1, 2])
def test_a_rendered_conversation_is_the_engine_s_prompt(engine, template, rooms, make_clip, clips, history):
    ids = rendered_ids(template, rooms / "tokenizer.json", conversation(clips, history))
    shown = [make_clip(f"camera_{number}") for number in range(clips)]
    prompt = engine.prompt_ids(shown, Ask(QUESTION, history=history))
    assert ids == [VIDEO_ID if token is None else token for token in prompt]
    assert ids.count(VIDEO_ID) == clips


def test_a_given_answer_continues_the_prompt(engine, template, rooms, make_clip):
    """What `prompt_logprobs` are asked about: the answer, the end of the turn, and the template's newline."""
    tokenizer = rooms / "tokenizer.json"
    messages = [*conversation(1, ()), {"role": "assistant", "content": "yes"}]
    ids = rendered_ids(template, tokenizer, messages, generation=False)
    prompt = engine.prompt_ids([make_clip()], Ask(QUESTION))
    assert ids[: len(prompt)] == [VIDEO_ID if token is None else token for token in prompt]
    rest = Tokenizer.from_file(str(tokenizer)).decode(ids[len(prompt) :], skip_special_tokens=False)
    assert rest == "yes<|im_end|>\n"


def test_the_shipped_model_and_its_training_have_the_same_template(template, rooms):
    training = Path(__file__).resolve().parents[2] / "tools" / "rooms" / "chat_template.jinja"
    assert template.read_text() == (rooms / "chat_template.jinja").read_text() == training.read_text()
