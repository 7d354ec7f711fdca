"""Published configurations are read and built as transformers reads and builds them; all others are left to it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict
from typing import Any

import pytest
import torch

from llava_ov_ros.onevision.canonical_names import canonical_name
from llava_ov_ros.onevision.config_checks import rope_of
from llava_ov_ros.onevision.config_fields import known_fields
from llava_ov_ros.onevision.modules import OneVision, RotaryEmbedding
from llava_ov_ros.onevision.of_transformers import config_from, empty_model
from llava_ov_ros.onevision.plain_config import PlainConfig, plain_config
from llava_ov_ros.onevision.shapes import SHAPES

TOWER = {
    "hidden_size": 1152,
    "image_size": 384,
    "intermediate_size": 4304,
    "model_type": "siglip_vision_model",
    "num_attention_heads": 16,
    "num_hidden_layers": 26,
    "patch_size": 14,
    "vision_use_head": False,
}


def published(**text: Any) -> dict[str, Any]:
    """A config.json as llava-hf/llava-onevision-qwen2-*-ov-hf have it, which leaves out what transformers knows."""
    return {
        "architectures": ["LlavaOnevisionForConditionalGeneration"],
        "ignore_index": -100,
        "image_grid_pinpoints": [[384 * i, 384 * j] for i in range(1, 7) for j in range(1, 7)],
        "image_token_index": 151646,
        "model_type": "llava_onevision",
        "projector_hidden_act": "gelu",
        "text_config": {
            "architectures": ["Qwen2ForCausalLM"],
            "bos_token_id": 151643,
            "eos_token_id": 151645,
            "model_type": "qwen2",
            "rope_theta": 1000000.0,
            "torch_dtype": "bfloat16",
            **text,
        },
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_image_newline_parameter": True,
        "video_token_index": 151647,
        "vision_aspect_ratio": "anyres_max_9",
        "vision_config": TOWER,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
    }


def sizes(hidden: int, inner: int, layers: int, heads: int, groups: int, vocabulary: int) -> dict[str, int]:
    return {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "vocab_size": vocabulary,
    }


PUBLISHED = {
    "0.5b": published(
        **sizes(896, 4864, 24, 14, 2, 152000), max_window_layers=24, tie_word_embeddings=True, sliding_window=32768
    ),
    "7b": published(**sizes(3584, 18944, 28, 28, 4, 152128)),
    "72b": published(**sizes(8192, 29568, 80, 64, 8, 152128), max_window_layers=80, rms_norm_eps=1e-6),
    # As transformers 5 saves it.
    "saved again": published(
        **sizes(896, 4864, 2, 14, 2, 152000),
        layer_types=["full_attention"] * 2,
        sliding_window=None,
        use_sliding_window=False,
        rope_parameters={"rope_theta": 500000.0, "rope_type": "default"},
    ),
}


def plain(name: str) -> PlainConfig:
    config = plain_config(known_fields(PUBLISHED[name]))
    assert config is not None
    return config


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_field_is_as_transformers_reads_it(name: str) -> None:
    ours, theirs = plain(name), config_from(known_fields(deepcopy(PUBLISHED[name])))
    for part in ("text_config", "vision_config"):
        expected = getattr(theirs, part)
        for field, value in asdict(getattr(ours, part)).items():
            # Where transformers 5 has it, and 4.
            found = rope_of(expected).get(field) if field == "rope_theta" else None
            assert value == (found or getattr(expected, field)), field
    assert ours.text_config.rope_theta in (1e6, 5e5)
    for field, value in ours.fields().items():
        if field == "tie_word_embeddings":
            assert value == (theirs.tie_word_embeddings or theirs.text_config.tie_word_embeddings)
        elif field not in ("text_config", "vision_config"):
            assert value == getattr(theirs, field), field


@pytest.mark.parametrize("name", [*PUBLISHED, *SHAPES])
def test_the_modules_have_the_weights_of_transformers(name: str) -> None:
    config = plain(name) if name in PUBLISHED else SHAPES[name]()
    with torch.device("meta"):
        ours = OneVision(config, "sdpa")
    theirs = empty_model(config_from(config.fields()), "sdpa")
    found, expected = (
        {canonical_name(key): tuple(tensor.shape) for key, tensor in model.state_dict().items()}
        for model in (ours, theirs)
    )
    assert found == expected
    assert len(found) == len(ours.state_dict())


def test_the_tables_of_rotations_are_those_of_transformers() -> None:
    config = SHAPES["nano"]()
    whole = config_from(config.fields())
    theirs = type(empty_model(whole, "sdpa").model.language_model.rotary_emb)(whole.text_config)
    positions = torch.arange(config.text_config.max_position_embeddings)[None]
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.zeros(1, 1, dtype=dtype)
        for ours, expected in zip(RotaryEmbedding(config.text_config)(x, positions), theirs(x, positions), strict=True):
            assert torch.equal(ours, expected)


LEFT: dict[str, tuple[str, str, Any]] = {
    "scaled positions": ("text_config", "rope_scaling", {"type": "linear", "factor": 2.0}),
    "scaled positions of transformers 5": (
        "text_config",
        "rope_parameters",
        {"rope_type": "yarn", "rope_theta": 1e6, "factor": 2.0},
    ),
    "part of a head rotated": ("text_config", "partial_rotary_factor", 0.5),
    "heads of another width": ("text_config", "head_dim", 128),
    "sliding windows": ("text_config", "use_sliding_window", True),
    "sliding windows by layer": ("text_config", "layer_types", ["sliding_attention"] * 24),
    "another language model": ("text_config", "model_type", "qwen3"),
    "another activation": ("text_config", "hidden_act", "gelu"),
    "a pooling head": ("vision_config", "vision_use_head", True),
    "another tower": ("vision_config", "model_type", "clip_vision_model"),
    "another activation of the tower": ("vision_config", "hidden_act", "quick_gelu"),
    "another projector": ("", "projector_hidden_act", "relu"),
    "features without the first": ("", "vision_feature_select_strategy", "default"),
    "another name of a field": ("", "image_token_id", 151646),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_unusual_is_left_to_transformers(name: str) -> None:
    part, field, value = LEFT[name]
    content = deepcopy(PUBLISHED["0.5b"])
    (content[part] if part else content)[field] = value
    assert plain_config(known_fields(content)) is None


@pytest.mark.parametrize("field", ["hidden_size", "num_key_value_heads", "vocab_size", "model_type"])
def test_sizes_that_the_file_leaves_out_are_left_to_transformers(field: str) -> None:
    content = deepcopy(PUBLISHED["0.5b"])
    del content["text_config"][field]
    assert plain_config(known_fields(content)) is None
