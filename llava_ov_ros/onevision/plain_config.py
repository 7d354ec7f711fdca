"""The configuration of LLaVA-OneVision as published checkpoints have it, read without transformers.

Importing transformers takes longer than importing torch, loading `rooms` and answering a recording's questions
together. So what the published checkpoints of 0.5B, 7B and 72B have in common is read here and built by `modules.py`. A
configuration that says anything else is left to transformers (`of_transformers.py`), with the words of its refusals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# Values of fields that config.json may leave out: those of transformers' LlavaOnevisionConfig and of its two parts.
_DEFAULTS: dict[str, Any] = {
    "image_token_index": 151646,
    "video_token_index": 151647,
    "vision_feature_layer": -1,
    "vision_feature_select_strategy": "full",
    "vision_aspect_ratio": "anyres_max_9",
    "projector_hidden_act": "gelu",
    "multimodal_projector_bias": True,
    "tie_word_embeddings": False,
}
_TEXT_DEFAULTS: dict[str, Any] = {
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "eos_token_id": None,
}
_VISION_DEFAULTS: dict[str, Any] = {"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6}
# Fields on which the numbers of a model without sliding windows do not depend, or that may have one value only.
_NO_EFFECT = {"bos_token_id", "is_causal", "num_channels", "sliding_window", "max_window_layers"}
# Fields whose plain values `_has_plain_attention` has found.
_ATTENTION = {
    "use_sliding_window",
    "layer_types",
    "head_dim",
    "partial_rotary_factor",
    "rope_scaling",
    "rope_parameters",
}


@dataclass(frozen=True)
class TextConfig:
    """The language model: Qwen2 with plain rotary embeddings and without sliding windows."""

    model_type: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    hidden_act: str
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    tie_word_embeddings: bool
    eos_token_id: int | list[int] | None
    sliding_window: None = field(default=None, init=False)


@dataclass(frozen=True)
class VisionConfig:
    """The vision tower: SigLIP without its pooling head; sizes in pixels."""

    model_type: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    image_size: int
    patch_size: int
    hidden_act: str
    layer_norm_eps: float
    vision_use_head: bool


@dataclass(frozen=True)
class PlainConfig:
    """A whole configuration; names are those of LlavaOnevisionConfig's fields."""

    text_config: TextConfig
    vision_config: VisionConfig
    image_grid_pinpoints: list[list[int]]
    image_token_index: int
    video_token_index: int
    vision_feature_layer: int
    vision_feature_select_strategy: str
    vision_aspect_ratio: str
    projector_hidden_act: str
    multimodal_projector_bias: bool
    tie_word_embeddings: bool

    def fields(self) -> dict[str, Any]:
        """The content of a config.json with this configuration."""
        return asdict(self)


def plain_config(content: Mapping[str, Any]) -> PlainConfig | None:
    """Read a configuration as published checkpoints have it.

    Args:
        content: Fields of config.json in transformers' format, after `check_fields` and `known_fields`.

    Returns:
        The configuration; None if a field is missing, unknown here, or has a value that is left to transformers.
    """
    given, rope = content["text_config"], content["text_config"].get("rope_parameters") or {}
    if not _has_plain_attention(given):
        return None
    text = _TEXT_DEFAULTS | {name: value for name, value in given.items() if name not in _NO_EFFECT | _ATTENTION}
    text["rope_theta"] = rope.get("rope_theta", text["rope_theta"])
    vision = _VISION_DEFAULTS | {k: v for k, v in content["vision_config"].items() if k not in _NO_EFFECT}
    whole = _DEFAULTS | dict(content)
    # Published checkpoints of the 0.5B say in their text_config alone that head and embedding are tied.
    whole["tie_word_embeddings"] = whole["tie_word_embeddings"] or text["tie_word_embeddings"]
    try:
        whole |= {"text_config": TextConfig(**text), "vision_config": VisionConfig(**vision)}
        config = PlainConfig(**whole)
    except TypeError:
        return None
    return config if _is_built_here(config) else None


def _has_plain_attention(text: Mapping[str, Any]) -> bool:
    """Whether every layer attends to everything before it, by plain rotary embeddings over whole heads."""
    rope = text.get("rope_parameters") or {}
    return (
        not text.get("use_sliding_window")
        and text.get("layer_types") in (None, ["full_attention"] * text.get("num_hidden_layers", 0))
        and text.get("head_dim") is None
        and text.get("partial_rotary_factor") is None
        and not text.get("rope_scaling")
        and rope.keys() <= {"rope_theta", "rope_type"}
        and rope.get("rope_type", "default") == "default"
    )


def _is_built_here(config: PlainConfig) -> bool:
    """Whether the fields that could name other functions than those of `modules.py` have the published values."""
    text, vision = config.text_config, config.vision_config
    named = (text.model_type, text.hidden_act, vision.model_type, vision.hidden_act, config.projector_hidden_act)
    return (
        named == ("qwen2", "silu", "siglip_vision_model", "gelu_pytorch_tanh", "gelu")
        and not vision.vision_use_head
        and config.vision_feature_select_strategy == "full"
    )
