"""Turns pixels into visual tokens: vision tower, projector, and each mode's pooling and arrangement."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

# anyres_max_9: a map with more tokens than nine tiles is shrunk to about nine tiles' worth.
MAX_TILES = 9
SHRINK_ABOVE = 1.1


def tower_features(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Features of tiles: one layer of the vision tower, through the projector.

    Args:
        model: OneVision or LlavaOnevisionForConditionalGeneration.
        pixels: Normalised (n, 3, size, size).

    Returns:
        (n, side * side, hidden) with side = size / patch.
    """
    tower = model.model.vision_tower
    # Releases of transformers before 5 have the tower's parts in a module of their own.
    parts = getattr(tower, "vision_model", tower)
    layers = parts.encoder.layers
    # Index into the hidden states: 0 is the embeddings, then one per layer. A hook keeps only this one.
    number = model.config.vision_feature_layer % (len(layers) + 1)
    found: list[torch.Tensor] = []

    def note(_: Any, __: Any, output: Any) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)

    watched = (layers[number - 1] if number else parts.embeddings).register_forward_hook(note)
    try:
        tower(pixels)
    finally:
        watched.remove()
    projected: torch.Tensor = model.model.multi_modal_projector(found[0])
    return projected


def pooled_frames(features: torch.Tensor) -> torch.Tensor:
    """Tokens of a clip's frames: each frame's map pooled to half the side (27 -> 14).

    `get_2dPool` bilinear of LLaVA-NeXT, llava_arch.py:171-190. No frame depends on another; the one newline of
    `mm_newline_position="one_token"` (:337-345) follows the last frame.

    Args:
        features: (frames, side * side, hidden).

    Returns:
        (frames, ceil(side / 2) ** 2, hidden).
    """
    frames, patches, hidden = features.shape
    side = math.isqrt(patches)
    pooled_side = math.ceil(side / 2)
    maps = features.view(frames, side, side, hidden).permute(0, 3, 1, 2).contiguous()
    pooled = functional.interpolate(maps, size=(pooled_side, pooled_side), mode="bilinear")
    return pooled.permute(0, 2, 3, 1).reshape(frames, pooled_side**2, hidden)


def multi_image_tokens(features: torch.Tensor, newline: torch.Tensor) -> torch.Tensor:
    """Tokens of one of several images: its one tile and a newline (llava_arch.py:407-412).

    Args:
        features: (side * side, hidden).
        newline: (hidden,).

    Returns:
        (side * side + 1, hidden).
    """
    return torch.cat([features, newline[None].to(features)])


def anyres_tokens(
    features: torch.Tensor, newline: torch.Tensor, grid: tuple[int, int], picture: tuple[int, int]
) -> torch.Tensor:
    """Tokens of one image in most detail: the whole view, then the map of tiles with a newline after each row.

    The padding is cut off the map, and the map is shrunk to about nine tiles' worth of tokens (llava_arch.py:350-406).

    Args:
        features: (1 + rows * columns, side * side, hidden), the whole view first.
        newline: (hidden,).
        grid: (rows, columns) of tiles.
        picture: (height, width) of the picture in pixels.

    Returns:
        (tokens, hidden).
    """
    _, patches, hidden = features.shape
    side = math.isqrt(patches)
    rows, columns = grid
    tiles = features[1:].view(rows, columns, side, side, hidden)
    whole = tiles.permute(4, 0, 2, 1, 3).reshape(hidden, rows * side, columns * side)
    top, left = padding_of_map(grid, side, picture)
    whole = whole[:, top : rows * side - top, left : columns * side - left]
    size = shrunk_size(whole.shape[1], whole.shape[2], side)
    if size != whole.shape[1:]:
        whole = functional.interpolate(whole[None], size=size, mode="bilinear")[0]
    column = newline[:, None, None].to(whole).expand(hidden, whole.shape[1], 1)
    with_newlines = torch.cat([whole, column], dim=2).flatten(1).T
    return torch.cat([features[0], with_newlines])


def anyres_token_count(grid: tuple[int, int], side: int, picture: tuple[int, int]) -> int:
    """Number of tokens that `anyres_tokens` returns.

    Args:
        grid: (rows, columns) of tiles.
        side: Patches along a side of a tile.
        picture: (height, width) of the picture in pixels.
    """
    top, left = padding_of_map(grid, side, picture)
    height, width = shrunk_size(grid[0] * side - 2 * top, grid[1] * side - 2 * left, side)
    return side**2 + height * (width + 1)


def padding_of_map(grid: tuple[int, int], side: int, picture: tuple[int, int]) -> tuple[int, int]:
    """Rows above (and below) and columns left (and right) of a map that show only the canvas's padding.

    `unpad_image` of LLaVA-NeXT, llava_arch.py:127-159; rounding as in transformers' modeling_llava_onevision.py.

    Args:
        grid: (rows, columns) of tiles.
        side: Patches along a side of a tile.
        picture: (height, width) of the picture in pixels.
    """
    height, width = grid[0] * side, grid[1] * side
    picture_height, picture_width = picture
    if picture_width / picture_height > width / height:
        return (height - int(round(picture_height * (width / picture_width), 7))) // 2, 0
    return 0, (width - int(round(picture_width * (height / picture_height), 7))) // 2


def shrunk_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Size of a map after shrinking it to about nine tiles' worth of tokens (llava_arch.py:387-390)."""
    times = math.sqrt(height * width / (MAX_TILES * side**2))
    return (int(height // times), int(width // times)) if times > SHRINK_ABOVE else (height, width)
