"""Checks the types and ranges of the fields of a checkpoint's config.json, before anything is built from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from ..bounds import cited
from ..checkpoints import CheckpointError

# Larger values mean a damaged file: no published checkpoint of this family comes near them, and tables of such a
# length, or so many layers, would be allocated before any weight is read.
MOST_LAYERS, MOST_WIDTH, MOST_TOKENS, MOST_POSITIONS, MOST_PX = 1024, 2**20, 2**24, 2**20, 4096

Schema = dict[str, Any]


def _whole(most: int, least: int = 1) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


_POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 1e12}
_TOKEN: Schema = _whole(MOST_TOKENS, 0)
_TOKENS: Schema = {"anyOf": [_TOKEN, {"type": "null"}, {"type": "array", "items": _TOKEN}]}
_PINPOINTS: Schema = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1024,
    "items": {"type": "array", "minItems": 2, "maxItems": 2, "items": _whole(64 * MOST_PX)},
}
_ROPE: Schema = {
    "rope_theta": _POSITIVE,
    "factor": _POSITIVE,
    "rope_type": {"type": "string"},
    "type": {"type": "string"},
}
_QWEN2: Schema = {
    "model_type": {"type": "string"},
    "hidden_size": _whole(MOST_WIDTH),
    "intermediate_size": _whole(MOST_WIDTH),
    "num_hidden_layers": _whole(MOST_LAYERS),
    "num_attention_heads": _whole(MOST_LAYERS),
    "num_key_value_heads": _whole(MOST_LAYERS),
    "vocab_size": _whole(MOST_TOKENS),
    "max_position_embeddings": _whole(MOST_POSITIONS),
    "rms_norm_eps": _POSITIVE,
    "rope_theta": _POSITIVE,
    "rope_scaling": {"type": ["object", "null"], "properties": _ROPE},
    "rope_parameters": {"type": ["object", "null"], "properties": _ROPE},
    "partial_rotary_factor": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1},
    "head_dim": {"type": ["integer", "null"], "minimum": 2, "maximum": 1024, "multipleOf": 2},
    "is_causal": {"const": True},
    "hidden_act": {"type": "string"},
    "use_sliding_window": {"type": "boolean"},
    "sliding_window": {"type": ["integer", "null"]},
    "max_window_layers": {"type": "integer"},
    "layer_types": {"type": ["array", "null"], "items": {"type": "string"}},
    "tie_word_embeddings": {"type": "boolean"},
    "bos_token_id": _TOKENS,
    "eos_token_id": _TOKENS,
}
_SIGLIP: Schema = {
    "model_type": {"type": "string"},
    "num_channels": {"const": 3},
    "vision_use_head": {"type": "boolean"},
    "hidden_size": _whole(MOST_WIDTH),
    "intermediate_size": _whole(MOST_WIDTH),
    "num_hidden_layers": _whole(MOST_LAYERS),
    "num_attention_heads": _whole(MOST_LAYERS),
    "patch_size": _whole(MOST_PX),
    "image_size": _whole(MOST_PX),
    "layer_norm_eps": _POSITIVE,
    "hidden_act": {"type": "string"},
}
_IDS: Schema = {"image_token_index": _TOKEN, "video_token_index": _TOKEN, "image_token_id": _TOKEN}

TRANSFORMERS: Schema = {
    "required": ["text_config", "vision_config"],
    "properties": _IDS
    | {
        "text_config": {"type": "object", "properties": _QWEN2},
        "vision_config": {"type": "object", "properties": _SIGLIP},
        "vision_feature_layer": {"type": "integer"},
        "vision_feature_select_strategy": {"type": "string"},
        "vision_aspect_ratio": {"type": "string"},
        "image_grid_pinpoints": _PINPOINTS,
        "projector_hidden_act": {"type": "string"},
        "multimodal_projector_bias": {"type": "boolean"},
        "tie_word_embeddings": {"type": "boolean"},
    },
}
"""JSON Schema of config.json in transformers' format."""

ORIGINAL: Schema = {
    "required": ["hidden_size", "num_hidden_layers", "num_attention_heads", "image_grid_pinpoints", "mm_vision_tower"],
    "properties": _IDS
    | _QWEN2
    | {
        "mm_vision_tower": {"type": "string"},
        # The training scripts also wrote the text "(1x1),...,(6x6)", in tiles.
        "image_grid_pinpoints": {"anyOf": [_PINPOINTS, {"type": "string", "maxLength": 100000}]},
        "tokenizer_model_max_length": {"type": ["integer", "null"], "minimum": 1},
        "image_aspect_ratio": {"type": "string"},
    },
}
"""JSON Schema of config.json in the original lmms-lab layout."""


# Stricter than JSON Schema: 1.0 is no integer and NaN no number, since libraries fail at them.
_Strict = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: type(value) is int or (type(value) is float and math.isfinite(value)),
        }
    ),
)


def known_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a config.json in transformers' format that the engine uses; all others are dropped."""
    found = {name: value for name, value in content.items() if name in TRANSFORMERS["properties"]}
    for part, schema in (("text_config", _QWEN2), ("vision_config", _SIGLIP)):
        found[part] = {name: value for name, value in found[part].items() if name in schema}
    return found


def check_fields(content: Mapping[str, Any], file: Path, schema: Schema) -> None:
    """Check every field of a JSON file that the engine reads.

    Args:
        content: Content of the file.
        file: Path of the file, for the error's message.
        schema: JSON Schema of the content.

    Raises:
        CheckpointError: A field is missing, of another type or out of its range; the message names file and field.
    """
    for error in sorted(_Strict(schema).iter_errors(content), key=lambda one: list(map(str, one.path))):
        field = ".".join(map(str, error.path))
        if error.validator == "required":
            raise CheckpointError(f"{file} lacks a field: {error.message}" + (f" of {field}" if field else ""))
        raise CheckpointError(
            f"{file}: {field} is {cited(error.instance)}: {_rule(error.validator, error.validator_value)}"
        )


def _rule(kind: str, value: Any) -> str:
    """A rule of a JSON Schema in words, for a message."""
    words = {
        "type": "it must be of type",
        "minimum": "it must be at least",
        "maximum": "it must be at most",
        "exclusiveMinimum": "it must be more than",
        "minItems": "its least number of entries is",
        "maxItems": "its greatest number of entries is",
        "const": "it must be",
        "multipleOf": "it must be a multiple of",
    }
    if kind not in words:
        return "it must be of another form (a token id, a list of them or null; or a list of pairs)"
    return f"{words[kind]} {' or '.join(value) if isinstance(value, list) else value}"
