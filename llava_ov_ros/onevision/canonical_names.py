"""Canonical names of tensors, independent of the version of transformers and of the original code's names."""

from __future__ import annotations

import re

HEAD = "lm_head.weight"
# The parts of the model; versions of transformers and the original code put different prefixes before them.
_PARTS = (
    (re.compile(r"vision_tower\.(?:vision_tower\.)?(?:vision_model\.)?(.*)"), "vision_tower."),
    (re.compile(r"multi_modal_projector\.(.*)"), "multi_modal_projector."),
    (re.compile(r"(image_newline)"), ""),
    (re.compile(r"(lm_head.*)"), ""),
    (re.compile(r"((?:embed_tokens|layers|norm)\..*)"), "language_model."),
)


def canonical_name(name: str) -> str:
    """A tensor's name without the prefixes that differ between versions of transformers and the original code."""
    name = name.replace("mm_projector.0", "multi_modal_projector.linear_1")
    name = name.replace("mm_projector.2", "multi_modal_projector.linear_2")
    for pattern, prefix in _PARTS:
        match = pattern.search(name)
        if match:
            return prefix + match.group(1)
    return name


def is_product(name: str) -> bool:
    """Whether a canonical name is of the weight of a linear layer of the language model, its head included."""
    return name == HEAD or (name.startswith("language_model.layers.") and name.endswith("_proj.weight"))


def published_name(name: str) -> str:
    """The name that published checkpoints of transformers' format give a tensor (transformers 4.45).

    Readers of the format, vLLM among them, look for these: `vision_tower.vision_model.<x>`,
    `language_model.model.<x>`, `language_model.lm_head.weight`, `multi_modal_projector.<x>`, `image_newline`.
    """
    name = canonical_name(name)
    for part, prefix in (("vision_tower.", "vision_tower.vision_model."), ("language_model.", "language_model.model.")):
        if name.startswith(part):
            return prefix + name.removeprefix(part)
    return f"language_model.{name}" if name.startswith("lm_head") else name
