"""How many bytes the clips of all cameras need in an engine's caches, and the sizes of the caches that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from ..modes import Mode
from .engine_settings import EngineSettings
from .features import anyres_token_count
from .key_values import BLOCK_TOKENS

# A clip's prefix is kept together with the one that it will re-anchor to; so is the prefix of a prompt with pictures
# together with that of the next prompt, which has another picture of now. Mode image has one picture, and no anchor.
PREFIXES_PER_CAMERA: dict[Mode, int] = {"video": 2, "multi_image": 2, "image": 1}
# Questions about one camera have prefixes of their own, beside those about all cameras; so have clips that have just
# begun anew beside the clips before, while questions about these still wait.
TIMES = 2
# Tokens of the text with a picture of a step that is done.
STEP_TOKENS = 32
# Factor for the spare capacity of a growing prefix, up to half of its length.
SPARE = 1.5


@dataclass(frozen=True)
class CacheSizes:
    """Bytes of visual tokens, and of the keys and values of prefixes."""

    features: int
    prefixes: int


def tokens_of_item(config: Any, mode: Mode) -> int:
    """Visual tokens of a frame, in mode image of the largest picture that fills its tiles.

    Args:
        config: LlavaOnevisionConfig.
        mode: How a frame becomes visual tokens.
    """
    tile_px = config.vision_config.image_size
    side = tile_px // config.vision_config.patch_size
    if mode == "video":
        return int(((side + 1) // 2) ** 2)
    if mode == "multi_image":
        return int(side**2 + 1)
    grids = [(height // tile_px, width // tile_px) for height, width in config.image_grid_pinpoints]
    return max(anyres_token_count(grid, side, grid) for grid in grids)


def bytes_per_token(config: Any, itemsize: int) -> int:
    """Bytes of a token's keys and values in all layers.

    Args:
        config: LlavaOnevisionConfig.
        itemsize: Bytes of a number.
    """
    text = config.text_config
    head = text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * text.num_key_value_heads * head * itemsize)


def longest_prefix(config: Any, settings: EngineSettings, mode: Mode) -> int:
    """Most tokens of a prefix of all clips, or of a prompt with pictures, with text; in mode image of one frame.

    Args:
        config: LlavaOnevisionConfig.
        settings: The clips.
        mode: How the frames of the clips become visual tokens.
    """
    return max(_tokens_of_clips(config, settings, mode), _tokens_of_pictures(config, settings))


def needed(config: Any, itemsize: int, settings: EngineSettings, mode: Mode) -> CacheSizes:
    """What one clip of each camera needs, with the clip that it re-anchors to, and one prompt with pictures.

    Args:
        config: LlavaOnevisionConfig.
        itemsize: Bytes of a number.
        settings: The clips and the pictures.
        mode: How the frames of the clips become visual tokens.
    """
    items = 1 if mode == "image" else settings.cameras * settings.clip_frames
    features = items * tokens_of_item(config, mode) + settings.pictures * tokens_of_item(config, "multi_image")
    tokens = _tokens_of_clips(config, settings, mode) * PREFIXES_PER_CAMERA[mode]
    tokens += _tokens_of_pictures(config, settings) * PREFIXES_PER_CAMERA["multi_image"]
    return CacheSizes(
        features * config.text_config.hidden_size * itemsize, round(tokens * SPARE * bytes_per_token(config, itemsize))
    )


def cache_sizes(config: Any, itemsize: int, settings: EngineSettings) -> CacheSizes:
    """The limits of the caches: those of the settings, else what the clips need.

    That is `TIMES` times what is needed in the settings' mode; and, because every question may choose a mode, what one
    clip, without the clip that follows it, needs in the other mode that needs most.

    Args:
        config: LlavaOnevisionConfig.
        itemsize: Bytes of a number.
        settings: The clips, and limits that were chosen.
    """
    own = needed(config, itemsize, settings, settings.mode)
    others = {mode: needed(config, itemsize, settings, mode) for mode in get_args(Mode) if mode != settings.mode}
    features = TIMES * own.features + max(other.features for other in others.values())
    prefixes = TIMES * own.prefixes
    prefixes += max(other.prefixes // PREFIXES_PER_CAMERA[mode] for mode, other in others.items())
    return CacheSizes(
        features if settings.feature_bytes is None else settings.feature_bytes,
        prefixes if settings.prefix_bytes is None else settings.prefix_bytes,
    )


def _tokens_of_clips(config: Any, settings: EngineSettings, mode: Mode) -> int:
    clips, frames = (1, 1) if mode == "image" else (settings.cameras, settings.clip_frames)
    return int(clips * (frames * tokens_of_item(config, mode) + BLOCK_TOKENS))


def _tokens_of_pictures(config: Any, settings: EngineSettings) -> int:
    if not settings.pictures:
        return 0
    return settings.pictures * (tokens_of_item(config, "multi_image") + STEP_TOKENS) + BLOCK_TOKENS
