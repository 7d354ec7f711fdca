"""Prepares frames for the vision tower: squashed, padded or tiled, resized with bicubic antialiasing in torch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from ..frames import Rgb

# Frames are read-only and tensors cannot be; a copy, to avoid the warning, would cost a third of the preprocessing.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")

# SigLipImageProcessor of LLaVA-NeXT, siglip_encoder.py:34-67: value / 255, mean = std = 0.5.
MEAN = 0.5
STD = 0.5
# expand2square of LLaVA-NeXT pads with int(mean * 255); resize_and_pad_image pads with black.
PAD_GRAY = 127
PIXELS_AT_A_TIME = 2**22


@contextmanager
def one_thread() -> Iterator[None]:
    """Restrict torch to one thread within the context.

    The work on a frame takes well below a millisecond: a second core gains nothing, and waiting for it on a busy
    machine costs ten times as much.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def as_tensor(rgb: Rgb) -> torch.Tensor:
    """A frame as uint8 (1, 3, height, width). The tensor shares the frame's memory and must not be written."""
    # In this order of the steps, torch sees that the channels come last; otherwise its resizing copies the picture.
    return torch.from_numpy(rgb)[None].permute(0, 3, 1, 2)


def resized(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize with bicubic antialiasing.

    The result is within one grey level of Pillow 12 on camera pictures (two on the hardest edges).

    Args:
        pixels: uint8 (n, 3, any height, any width).
        height: New height in pixels.
        width: New width in pixels.

    Returns:
        uint8 (n, 3, height, width).
    """
    if pixels.shape[-2:] == (height, width):
        return pixels
    with one_thread():
        small = functional.interpolate(pixels, size=(height, width), mode="bicubic", antialias=True)
    return small.contiguous()


def normalised(pixels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Normalise uint8 pixels for the tower: (value / 255 - mean) / std, same shape, of type `dtype`."""
    if pixels.device.type != "cpu":
        return _normalised(pixels).to(dtype)
    # On a CPU, looking up the 256 results takes half the time of computing all of them, and gives the same bits.
    looked_up = cv2.LUT(pixels.reshape(-1, pixels.shape[-1]).numpy(), _table(dtype))
    return torch.from_numpy(looked_up).view(dtype).view(pixels.shape)


@cache
def _table(dtype: torch.dtype) -> npt.NDArray[np.generic]:
    """The normalised values of 0 to 255 in the bits of `dtype`, (256,): float32, or int16 in place of half of it."""
    table = _normalised(torch.arange(256, dtype=torch.uint8)).to(dtype)
    return (table.view(torch.int16) if dtype.itemsize == 2 else table).numpy()


def _normalised(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.to(torch.float32).mul_(1 / 255).sub_(MEAN).div_(STD)


def squashed(rgb: Rgb, size: int) -> torch.Tensor:
    """A frame resized without regard to its aspect ratio, for mode video: uint8 (1, 3, size, size)."""
    return resized(as_tensor(rgb), size, size)


def padded_square(rgb: Rgb, size: int) -> torch.Tensor:
    """A frame centred on a grey square, for mode multi_image: uint8 (1, 3, size, size).

    Source: `expand2square` of LLaVA-NeXT, mm_utils.py.
    """
    height, width = rgb.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    # Columns are resized first and rows second, as torch and Pillow do it, in bands of rows: the whole square would
    # take `side` times `side` pixels, however narrow the picture is.
    columns = torch.full((1, 3, side, size), PAD_GRAY, dtype=torch.uint8)
    rows = max(1, PIXELS_AT_A_TIME // side)
    for first in range(0, height, rows):
        band = as_tensor(rgb[first : first + rows])
        padded = torch.full((1, 3, band.shape[2], side), PAD_GRAY, dtype=torch.uint8)
        padded[..., left : left + width] = band
        columns[:, :, top + first : top + first + band.shape[2]] = resized(padded, band.shape[2], size)
    return resized(columns, size, size)


def best_resolution(height: int, width: int, pinpoints: Sequence[Sequence[int]]) -> tuple[int, int]:
    """The canvas (height, width) that keeps most pixels of a picture and, among those, wastes fewest.

    Source: `select_best_resolution` of LLaVA-NeXT, mm_utils.py:119-149, on (height, width) pairs as in transformers.

    Args:
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        pinpoints: Canvas sizes to choose from, (height, width) in pixels.
    """
    best = (0, 0)
    best_kept, least_waste = -1, 0
    for canvas_height, canvas_width in pinpoints:
        scale = min(canvas_width / width, canvas_height / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        waste = canvas_width * canvas_height - kept
        if kept > best_kept or (kept == best_kept and waste < least_waste):
            best, best_kept, least_waste = (canvas_height, canvas_width), kept, waste
    return best


def anyres_grid(height: int, width: int, size: int, pinpoints: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Rows and columns of the tiles of `size` pixels a side into which a picture is cut in mode image."""
    canvas_height, canvas_width = best_resolution(height, width, pinpoints)
    return canvas_height // size, canvas_width // size


def anyres_tiles(rgb: Rgb, size: int, pinpoints: Sequence[Sequence[int]]) -> tuple[torch.Tensor, tuple[int, int]]:
    """The tiles of a frame in most detail, for mode image: the whole picture squashed, then the tiles row by row.

    Source: `process_anyres_image` of LLaVA-NeXT, mm_utils.py:243-293.

    Args:
        rgb: The picture.
        size: Side of a tile in pixels.
        pinpoints: Canvas sizes to choose from, (height, width) in pixels, multiples of `size`.

    Returns:
        uint8 (1 + rows * columns, 3, size, size), and (rows, columns).
    """
    height, width = rgb.shape[:2]
    rows, columns = anyres_grid(height, width, size, pinpoints)
    canvas_height, canvas_width = rows * size, columns * size
    if canvas_width / width < canvas_height / height:
        new_width = canvas_width
        new_height = min(math.ceil(height * (canvas_width / width)), canvas_height)
    else:
        new_height = canvas_height
        new_width = min(math.ceil(width * (canvas_height / height)), canvas_width)
    canvas = torch.zeros((1, 3, canvas_height, canvas_width), dtype=torch.uint8)
    top, left = (canvas_height - new_height) // 2, (canvas_width - new_width) // 2
    whole = as_tensor(rgb)
    canvas[:, :, top : top + new_height, left : left + new_width] = resized(whole, new_height, new_width)
    tiles = canvas.reshape(3, rows, size, columns, size).permute(1, 3, 0, 2, 4).reshape(-1, 3, size, size)
    return torch.cat([resized(whole, size, size), tiles]), (rows, columns)
