"""Loading is strict and its errors name the path and what is wrong there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file, save_file

from llava_ov_ros.checkpoints import CheckpointError
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.onevision import load_engine
from llava_ov_ros.onevision.canonical_names import canonical_name
from llava_ov_ros.onevision.prompt import PROMPT_STYLES, conversation, user_content
from llava_ov_ros.onevision.tokens import PromptTokenizer
from llava_ov_ros.rooms.room_questions import questions
from llava_ov_ros.rooms.takes import make_take, pictures


@pytest.fixture
def copy(nano_directory: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(nano_directory, tmp_path / "model"))


def edited(directory: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> str:
    tensors = load_file(directory / "model.safetensors")
    edit(tensors)
    save_file(tensors, directory / "model.safetensors")
    return str(directory)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no directory .*/nowhere"):
        load_engine(str(tmp_path / "nowhere"))


def test_an_empty_name_is_explained() -> None:
    with pytest.raises(CheckpointError, match="no model is named"):
        load_engine(" ")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(CheckpointError) as raised:
        load_engine(str(copy))
    assert str(copy) in str(raised.value)
    assert name in str(raised.value)


def test_a_configuration_with_an_endless_number_is_named(copy: Path) -> None:
    (copy / "config.json").write_text(f'{{"vocab_size": {"9" * 5000}}}')
    with pytest.raises(CheckpointError, match=r"config\.json is not JSON"):
        load_engine(str(copy))


def test_a_missing_tensor_is_named(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    name = next(n for n in tensors if "layers.1.mlp.fc1.weight" in n)
    with pytest.raises(CheckpointError, match=r"1 tensors are missing: .*layers\.1\.mlp\.fc1\.weight"):
        load_engine(edited(copy, lambda t: t.__delitem__(name)))


def test_an_unexpected_tensor_is_named(copy: Path) -> None:
    with pytest.raises(CheckpointError, match=r"1 tensors are unexpected: .*layers\.7\.extra"):
        load_engine(edited(copy, lambda t: t.update({"model.language_model.layers.7.extra": torch.zeros(2)})))


def test_a_misshapen_tensor_is_named_with_both_shapes(copy: Path) -> None:
    with pytest.raises(CheckpointError, match=r"image_newline is \(3,\), the configuration wants \(64,\)"):
        load_engine(edited(copy, lambda t: t.update({"model.image_newline": torch.zeros(3)})))


def test_another_architecture_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["architectures"] = ["LlavaForConditionalGeneration"]
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="not a LLaVA-OneVision checkpoint"):
        load_engine(str(copy))


def test_a_damaged_weight_file_is_named(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        load_engine(str(copy))


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="can run code"):
        load_engine(str(copy))


def test_an_unknown_prompt_style_is_refused(copy: Path) -> None:
    (copy / "prompt_style").write_text("vicuna\n")
    with pytest.raises(CheckpointError, match=r"'vicuna': known styles are qwen_1_5, rooms_v1"):
        load_engine(str(copy))


def test_a_prompt_style_is_heeded(copy: Path, nano_directory: Path, make_clip: Callable) -> None:
    (copy / "prompt_style").write_text("rooms_v1\n")
    tokenizer = PromptTokenizer.from_file(copy / "tokenizer.json")
    content = user_content([("camera", 3)], "Where is it?", "video")
    text, whole = {}, {}
    for style, directory in (("rooms_v1", copy), ("qwen_1_5", nano_directory)):
        text[style] = len(tokenizer.encode(conversation(content, PROMPT_STYLES[style])))
        engine = load_engine(str(directory), device="cpu")
        whole[style] = engine.answer([make_clip(frames=3)], "Where is it?", max_new_tokens=1).prompt_tokens
    assert text["rooms_v1"] < text["qwen_1_5"]
    # The clip has as many tokens in both.
    assert whole["qwen_1_5"] - whole["rooms_v1"] == text["qwen_1_5"] - text["rooms_v1"]


def test_shards_are_read(copy: Path, nano_directory: Path, make_clip: Callable) -> None:
    tensors = load_file(copy / "model.safetensors")
    names = sorted(tensors)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({n: tensors[n] for n in part}, copy / file)
    index = {n: file for file, part in halves.items() for n in part}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (copy / "model.safetensors").unlink()
    whole = load_engine(str(nano_directory)).answer([make_clip()], "Q", max_new_tokens=8)
    assert load_engine(str(copy)).answer([make_clip()], "Q", max_new_tokens=8).token_ids == whole.token_ids
    (copy / "b.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no b\.safetensors"):
        load_engine(str(copy))


def test_tensor_names_of_all_versions_are_the_same_tensor() -> None:
    tower = "encoder.layers.0.mlp.fc1.weight"
    for name in (
        f"model.vision_tower.vision_tower.vision_model.{tower}",
        f"vision_tower.vision_model.{tower}",
        f"model.vision_tower.{tower}",
        f"vision_tower.{tower}",
    ):
        assert canonical_name(name) == f"vision_tower.{tower}"
    for name in ("model.layers.3.mlp.up_proj.weight", "language_model.model.layers.3.mlp.up_proj.weight"):
        assert canonical_name(name) == "language_model.layers.3.mlp.up_proj.weight"
    assert canonical_name("model.mm_projector.2.bias") == "multi_modal_projector.linear_2.bias"
    assert canonical_name("language_model.lm_head.weight") == "lm_head.weight"


@pytest.mark.parametrize("device", ["nonsense", "cuda:x", "meta", "mps"])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match="auto, cpu, cuda"):
        load_engine("rooms", device=device)


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match="float32, bfloat16, float16"):
        load_engine("rooms", dtype="int3")


def test_bfloat16_and_eager_attention_answer_too() -> None:
    """About a room, where the answers are clear; of noise the model says whatever the last bit decides."""
    take = make_take(Random(2), 4)
    frames = tuple(Frame("camera", i, "", rgb) for i, rgb in enumerate(pictures(take, Random(2))))
    asked = [q for q in questions(take, Random(2)) if q.category in ("colour", "where", "presence", "cannot_tell")]
    for options in ({}, {"dtype": "bfloat16", "attention": "eager"}):
        engine = load_engine("rooms", device="cpu", **options)
        said = [engine.answer([Clip("camera", frames)], question.text).text for question in asked]
        assert said == [question.gold for question in asked]
    assert len(asked) == 4
