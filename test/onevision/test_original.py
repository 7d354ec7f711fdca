"""A checkpoint in the original layout is the same model as its twin in the transformers format."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from llava_ov_ros.checkpoints import CheckpointError
from llava_ov_ros.onevision import Ask, load_engine
from llava_ov_ros.onevision.plain_config import PlainConfig
from llava_ov_ros.onevision.shapes import IMAGE_ID, SHAPES, VOCABULARY, random_tensors

# 5 patches of 14 px and 6 px more, as the 27 of 384 px have.
TILE = 76


def original_name(name: str) -> str:
    """The original's name for a tensor of today's transformers.

    The inverse of convert_llava_onevision_weights_to_hf.py:47-57 in transformers 4.45.2.
    """
    stem = name.removeprefix("model.")
    if stem.startswith("language_model."):
        return "model." + stem.removeprefix("language_model.")
    if stem.startswith("vision_tower."):
        return "model.vision_tower.vision_tower.vision_model." + stem.removeprefix("vision_tower.").removeprefix(
            "vision_model."
        )
    for ours, theirs in (("linear_1", "0"), ("linear_2", "2")):
        if stem.startswith(f"multi_modal_projector.{ours}"):
            return "model.mm_projector." + theirs + stem.removeprefix(f"multi_modal_projector.{ours}")
    return name if name.startswith("lm_head") else f"model.{stem}"


def twin_config(tied: bool) -> PlainConfig:
    config = SHAPES["nano"]()
    return replace(
        config,
        # The head width of the true tower, which an original checkpoint does not state.
        vision_config=replace(
            config.vision_config, image_size=TILE, hidden_size=144, num_attention_heads=2, intermediate_size=200
        ),
        image_grid_pinpoints=[[TILE * i, TILE * j] for i in range(1, 7) for j in range(1, 7)],
        text_config=replace(config.text_config, tie_word_embeddings=tied),
        tie_word_embeddings=tied,
    )


@pytest.fixture(params=[False, True], ids=["untied", "tied"])
def twins(request: pytest.FixtureRequest, tmp_path: Path, rooms: Path) -> tuple[Path, Path]:
    """The same random weights in both layouts; the original one in shards and with Qwen2's tokenizer files."""
    config = twin_config(request.param)
    tensors = dict(random_tensors(config, 5, torch.device("cpu"), torch.float32))
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for directory in (ours, theirs):
        directory.mkdir()
    save_file(tensors, ours / "model.safetensors")
    architecture = {"architectures": ["LlavaOnevisionForConditionalGeneration"]}
    (ours / "config.json").write_text(json.dumps(architecture | config.fields()))
    tokenizer = json.loads((rooms / "tokenizer.json").read_text())
    (ours / "tokenizer.json").write_text(json.dumps(tokenizer))

    renamed = {original_name(name): tensor for name, tensor in tensors.items()}
    names = sorted(renamed)
    index = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: renamed[name] for name in part}, theirs / file)
        index |= dict.fromkeys(part, file)
    (theirs / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    text = config.text_config
    raw = {
        "architectures": ["LlavaQwenForCausalLM"],
        "model_type": "llava",
        "hidden_size": text.hidden_size,
        "intermediate_size": text.intermediate_size,
        "num_hidden_layers": text.num_hidden_layers,
        "num_attention_heads": text.num_attention_heads,
        "num_key_value_heads": text.num_key_value_heads,
        "vocab_size": text.vocab_size,
        "max_position_embeddings": text.max_position_embeddings,
        "rms_norm_eps": text.rms_norm_eps,
        "rope_theta": 1e6,
        "tie_word_embeddings": request.param,
        "use_sliding_window": False,
        "eos_token_id": text.eos_token_id,
        "image_token_index": IMAGE_ID,
        "image_aspect_ratio": "anyres_max_9",
        "image_grid_pinpoints": config.image_grid_pinpoints,
        "mm_hidden_size": 144,
        "mm_patch_merge_type": "spatial_unpad",
        "mm_projector_type": "mlp2x_gelu",
        "mm_spatial_pool_mode": "bilinear",
        "mm_newline_position": "one_token",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": "google/siglip-so400m-patch14-76",
    }
    (theirs / "config.json").write_text(json.dumps(raw))
    (theirs / "vocab.json").write_text(json.dumps(tokenizer["model"]["vocab"], ensure_ascii=False))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    (theirs / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    (theirs / "added_tokens.json").write_text(json.dumps(added))
    return ours, theirs


def logits(directory: Path, clip: Any, mode: str) -> torch.Tensor:
    engine = load_engine(str(directory), device="cpu")
    seen = []

    def look(tokens: Any, values: torch.Tensor) -> torch.Tensor:
        seen.append(values)
        return values

    engine.answer_many([clip], [Ask("Is there a red mug? 桌子上", max_new_tokens=5, hook=look)], mode=mode)
    return torch.stack(seen)


@pytest.mark.parametrize("mode", ["video", "multi_image", "image"])
def test_logits_of_the_twins_are_equal(twins: tuple[Path, Path], make_clip: Any, mode: str) -> None:
    ours, theirs = (logits(directory, make_clip(), mode) for directory in twins)
    assert ours.shape == theirs.shape == (5, VOCABULARY)
    assert (ours - theirs).abs().max() <= 1e-6


def test_another_pooling_is_refused(twins: tuple[Path, Path]) -> None:
    file = twins[1] / "config.json"
    raw = json.loads(file.read_text())
    file.write_text(json.dumps(raw | {"mm_spatial_pool_mode": "average"}))
    with pytest.raises(CheckpointError, match=r"mm_spatial_pool_mode is 'average': LLaVA-OneVision has 'bilinear'"):
        load_engine(str(twins[1]))


def test_missing_tokenizer_files_are_named(twins: tuple[Path, Path]) -> None:
    (twins[1] / "merges.txt").unlink()
    with pytest.raises(CheckpointError, match=r"neither tokenizer\.json nor merges\.txt"):
        load_engine(str(twins[1]))
