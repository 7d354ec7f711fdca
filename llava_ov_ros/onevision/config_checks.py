"""Refuses configurations of models that the engine does not compute."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..bounds import cited
from ..checkpoints import CheckpointError
from .pixels import MEAN, STD

ASPECT_RATIO = "anyres_max_9"
BICUBIC = 3  # PIL.Image.Resampling.BICUBIC
# Rotary embeddings that depend only on the position, so that one table serves all prompts.
ROPE_TYPES = ("default", "linear", "yarn", "llama3")


def rope_of(text: Any) -> Mapping[str, Any]:
    """Parameters of the rotary embedding: `rope_parameters` of transformers 5 or `rope_scaling` of 4; may be empty."""
    found: Mapping[str, Any] = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    return found


def check_config(config: Any, file: Path) -> None:
    """Check that the engine computes the model that a configuration describes.

    Args:
        config: PlainConfig or LlavaOnevisionConfig.
        file: Path of config.json, for the error's message.

    Raises:
        CheckpointError: It does not; the message names the field, its value and the supported values.
    """
    text, vision = config.text_config, config.vision_config
    rope = rope_of(text)
    rope_type = rope.get("rope_type", rope.get("type", "default"))
    wanted = (
        ("text_config.model_type", text.model_type, ("qwen2",)),
        ("vision_config.model_type", vision.model_type, ("siglip_vision_model",)),
        ("text_config.hidden_act", text.hidden_act, ("silu",)),
        ("text_config.rope_parameters.rope_type", rope_type, ROPE_TYPES),
        ("vision_aspect_ratio", config.vision_aspect_ratio, (ASPECT_RATIO,)),
        ("vision_feature_select_strategy", config.vision_feature_select_strategy, ("full",)),
    )
    for field, value, known in wanted:
        if value not in known:
            raise CheckpointError(
                f"{file}: {field} is {cited(value)}; of it, only {', '.join(known)} can be computed here"
            )
    _check_window(text, file)
    _check_heads(text, "text_config", file)
    _check_heads(vision, "vision_config", file)
    _check_tiles(config, file)
    layers = vision.num_hidden_layers
    if not -layers - 1 <= config.vision_feature_layer <= layers:
        raise CheckpointError(
            f"{file}: vision_feature_layer is {config.vision_feature_layer}, and the tower has {layers} layers: "
            f"it must be {-layers - 1} to {layers}"
        )


def _check_window(text: Any, file: Path) -> None:
    """Refuse a sliding attention window that is shorter than the context."""
    sliding = "sliding_attention" in (getattr(text, "layer_types", None) or ())
    window = text.sliding_window
    if sliding and (window is None or window < text.max_position_embeddings):
        raise CheckpointError(
            f"{file}: use_sliding_window is true with sliding_window {window}, less than max_position_embeddings "
            f"{text.max_position_embeddings}: sliding windows are not computed here; a checkpoint that was trained "
            "without them says false"
        )


def _check_heads(part: Any, name: str, file: Path) -> None:
    heads, width = part.num_attention_heads, part.hidden_size
    if width % heads:
        raise CheckpointError(f"{file}: {name}.hidden_size {width} is no multiple of num_attention_heads {heads}")
    groups = getattr(part, "num_key_value_heads", heads)
    if heads % groups:
        raise CheckpointError(f"{file}: {name}.num_attention_heads {heads} is no multiple of {groups} key-value heads")


def _check_tiles(config: Any, file: Path) -> None:
    tile, patch = config.vision_config.image_size, config.vision_config.patch_size
    if patch > tile:
        raise CheckpointError(f"{file}: vision_config.patch_size {patch} is more than image_size {tile}")
    for pair in config.image_grid_pinpoints:
        if any(side % tile for side in pair):
            raise CheckpointError(
                f"{file}: image_grid_pinpoints has {list(pair)}, which cannot be cut into tiles of {tile} px"
            )


def check_preprocessing(content: Mapping[str, Any], file: Path, tile_px: int) -> None:
    """Check that the engine prepares pictures in the same way as a checkpoint's own processor.

    Args:
        content: Content of preprocessor_config.json or video_preprocessor_config.json, or a part of
            processor_config.json.
        file: Path of the file, for the error's message.
        tile_px: Side of the tower's input in pixels.

    Raises:
        CheckpointError: Mean, standard deviation, size or another field differs; the message names the field.
    """
    size = content.get("size")
    sides = list(size.values()) if isinstance(size, Mapping) else [size]
    factor = content.get("rescale_factor")
    for field, is_right, wanted in (
        ("image_mean", content.get("image_mean") in (None, [MEAN] * 3, MEAN), [MEAN] * 3),
        ("image_std", content.get("image_std") in (None, [STD] * 3, STD), [STD] * 3),
        ("size", size is None or all(side == tile_px for side in sides), f"{tile_px} px"),
        ("rescale_factor", factor is None or (isinstance(factor, float) and abs(factor * 255 - 1) < 1e-4), "1 / 255"),
        ("resample", content.get("resample") in (None, BICUBIC), f"{BICUBIC} (bicubic)"),
        *((name, content.get(name) in (None, True), True) for name in ("do_resize", "do_rescale", "do_normalize")),
    ):
        if not is_right:
            raise CheckpointError(
                f"{file}: {field} is {cited(content[field])}; pictures are prepared here with {wanted}: if the tower "
                "was trained so, write that into the file; else this checkpoint cannot be used here"
            )
