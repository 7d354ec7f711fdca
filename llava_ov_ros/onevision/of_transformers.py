"""What is left to transformers, in the one module that imports it: unusual configurations, and comparisons.

The import takes two seconds: its models bring torch's compiler, distributed tensors and much else. So other modules
import this one inside the functions that need it, and a start with a published checkpoint or `rooms` goes without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

from .canonical_names import canonical_name
from .config_checks import rope_of
from .modules import OneVision


def config_from(content: Mapping[str, Any]) -> Any:
    """Build a LlavaOnevisionConfig from fields of config.json.

    Args:
        content: Fields of config.json in transformers' format, after `known_fields`.

    Raises:
        Exception: The configuration is none; of every version of transformers another class.
    """
    config = LlavaOnevisionConfig.from_dict(dict(content))
    text = config.text_config
    # transformers 5 writes rope_parameters, which 4 ignores in favour of its defaults, so they are copied here.
    rope = content["text_config"].get("rope_parameters") or {}
    if rope and hasattr(text, "rope_theta"):
        text.rope_theta = rope.get("rope_theta", text.rope_theta)
    if rope.get("rope_type", "default") != "default" and not rope_of(text):
        text.rope_scaling = {name: value for name, value in rope.items() if name != "rope_theta"}
    return config


def empty_model(config: Any, attention: str) -> Any:
    """A LlavaOnevisionForConditionalGeneration on the meta device, without memory for its weights.

    Args:
        config: LlavaOnevisionConfig.
        attention: Attention implementation of the vision tower: sdpa or eager.

    Raises:
        Exception: The configuration describes no model; of every version of transformers another class.
    """
    with torch.device("meta"):
        return LlavaOnevisionForConditionalGeneration._from_config(config, attn_implementation=attention)


def compute_buffers(model: Any, device: torch.device) -> None:
    """Compute the buffers that checkpoints do not store: rotary frequencies and the tower's position ids.

    Args:
        model: A LlavaOnevisionForConditionalGeneration with all its weights.
        device: Device of the buffers.

    Raises:
        Exception: The configuration describes no rotary embedding; of every version of transformers another class.
    """
    language_model = model.model.language_model
    language_model.rotary_emb = type(language_model.rotary_emb)(model.config.text_config).to(device)
    tower = model.model.vision_tower
    embeddings = getattr(tower, "vision_model", tower).embeddings
    embeddings.position_ids = torch.arange(embeddings.num_positions, device=device)[None]


def twin(model: OneVision) -> Any:
    """The LlavaOnevisionForConditionalGeneration with the same weights, of which none is copied; for comparisons."""
    made = empty_model(config_from(model.config.fields()), model.attention)
    places = {canonical_name(name): name for name in made.state_dict()}
    weights = {places[canonical_name(name)]: tensor for name, tensor in model.state_dict().items()}
    made.load_state_dict(weights, strict=True, assign=True)
    made.requires_grad_(False)
    compute_buffers(made, model.lm_head.weight.device)
    return made.eval()
