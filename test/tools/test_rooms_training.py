"""The rooms trainer: the same twice, the same when stopped between, and prompts exactly as the engine writes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file

from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.onevision.checkpoint import load_checkpoint, open_checkpoint
from llava_ov_ros.onevision.decoding import Ask
from llava_ov_ros.onevision.engine import Engine
from llava_ov_ros.onevision.pixels import normalised
from llava_ov_ros.onevision.tokens import PromptTokenizer
from llava_ov_ros.rooms.questions import Question
from llava_ov_ros.rooms.takes import make_take, pictures
from llava_ov_ros.rooms.world import COLOURS, KINDS, RECEPTACLES

ROOMS = Path(__file__).resolve().parents[2] / "tools" / "rooms"


def train(out: Path, *arguments: str) -> dict[str, torch.Tensor]:
    options = ("--recipe", "smoke", "--precision", "float32", "--out", str(out))
    command = [sys.executable, str(ROOMS / "train.py"), *options, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return load_file(out / "checkpoint" / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_training_twice_gives_identical_weights(tmp_path):
    first = train(tmp_path / "first", "--processes", "2")
    assert same(first, train(tmp_path / "second", "--processes", "2"))


def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path):
    whole = train(tmp_path / "whole", "--processes", "1", "--decay", "0")
    half = train(tmp_path / "parts", "--processes", "1", "--decay", "0", "--steps", "3")
    assert not same(whole, half)
    assert same(whole, train(tmp_path / "parts", "--processes", "1", "--decay", "0"))


@pytest.fixture(scope="module")
def tools():
    """The trainer's modules, found as its scripts find each other."""
    sys.path.insert(0, str(ROOMS))
    import batches
    import model
    import tokenizer
    import train

    yield {"batches": batches, "model": model, "tokenizer": tokenizer, "train": train}
    sys.path.remove(str(ROOMS))


@pytest.fixture(scope="module")
def made(tools, tmp_path_factory):
    """Packer, and a new model in float32 as its checkpoint has it."""
    tokenizer = tools["tokenizer"].build_tokenizer(300)
    folder = tmp_path_factory.mktemp("new") / "checkpoint"
    tools["model"].write_checkpoint(tools["model"].new_model(tokenizer, 3), tokenizer, folder)
    checkpoint = load_checkpoint(open_checkpoint(folder), torch.device("cpu"), torch.float32, "sdpa")
    packer = tools["batches"].Packer(PromptTokenizer(tokenizer), tokenizer.token_to_id("<|im_end|>"))
    return packer, checkpoint


def test_training_can_begin_with_a_checkpoint(tools, tmp_path):
    tokenizer, model = tools["tokenizer"].build_tokenizer(300), tools["model"]
    begun, other = model.new_model(tokenizer, 3), model.new_model(tokenizer, 4)
    model.write_checkpoint(begun, tokenizer, tmp_path / "checkpoint")
    model.read_checkpoint(other, tokenizer, tmp_path / "checkpoint")
    expected = {name: tensor.bfloat16().float() for name, tensor in begun.state_dict().items()}
    assert same(other.state_dict(), expected)
    tokenizer.add_tokens(["dishwasher"])
    with pytest.raises(ValueError, match=r"tokenizer.json: has other words than these rooms"):
        model.read_checkpoint(other, tokenizer, tmp_path / "checkpoint")


def test_every_word_of_the_world_is_one_token(tools):
    tokenizer = tools["tokenizer"].build_tokenizer()
    for word in (*KINDS, *COLOURS, *RECEPTACLES):
        for text in (word, f" {word}"):
            assert len(tokenizer.encode(text).ids) == 1, text


@pytest.mark.parametrize(("mode", "frames"), [("video", 1), ("video", 4), ("multi_image", 2), ("image", 1)])
def test_a_question_among_many_sees_what_the_engine_shows(tools, made, mode, frames):
    """Scores of each answer's first token, packed behind one clip and asked alone, are the same numbers."""
    packer, checkpoint = made
    take = make_take(Random(frames), frames)
    seen = pictures(take, Random(5))
    asked = [Question("colour", f"What colour is the {kind}?", "red") for kind in KINDS[:5]]
    picture = (seen[0].shape[0], seen[0].shape[1])
    learner = tools["train"].Learner(checkpoint.model, packer)
    learner.model.set_attn_implementation(tools["model"].PLAIN_ATTENTION)
    rows = tools["batches"].pack(packer, [asked], mode, frames, picture, 256)
    tiles = torch.cat([tools["batches"]._tiles(rgb, mode) for rgb in seen])
    batch = tools["batches"].Batch(mode, frames, tiles, picture, None, *rows)
    with torch.no_grad():
        tower = learner.model.model.vision_tower(normalised(tiles, torch.float32), output_hidden_states=True)
        features = learner.model.model.multi_modal_projector(tower.hidden_states[-1])
        states = learner.hidden(batch, learner._visual_tokens(batch, features))
        packed = learner.model.lm_head(states)[0]
    learner.model.set_attn_implementation("sdpa")
    clip = Clip("camera", tuple(Frame("camera", i, "", rgb) for i, rgb in enumerate(seen)))
    engine = Engine(checkpoint)
    for number, question in enumerate(asked, 1):
        first = int((batch.segment[0] == number).nonzero()[0]) + len(packer.prompt(question.text, mode, frames)[1]) - 1
        alone = []

        def hook(tokens, logits, alone=alone):
            alone.append(logits.clone())
            return logits

        engine.answer_many([clip], [Ask(question.text, 1, hook=hook)], mode=mode)
        torch.testing.assert_close(packed[first], alone[0].flatten(), atol=2e-4, rtol=1e-3)
    assert len({packed[i].argmax().item() for i in range(packed.shape[0])}) > 1
