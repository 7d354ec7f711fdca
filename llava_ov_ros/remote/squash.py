"""Squashes a picture to a square with the very pixels that the local engine computes, without torch.

The algorithm is that of torch's `interpolate(mode="bicubic", antialias=True)` for uint8 (ATen, UpSampleKernel.cpp,
`compute_index_ranges_int16_weights`), which follows Pillow: filter weights as integers, columns first, rows second,
rounded to uint8 after each. test/remote compares the pixels with torch's.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..frames import Rgb

# Catmull-Rom's parameter, as Pillow and torch have it where they antialias.
A = -0.5
MOST_BITS = 22
NUMBERS_AT_A_TIME = 2**20
Weights = npt.NDArray[np.float64]


def squashed(rgb: Rgb, size: int) -> Rgb:
    """Resize a picture to size x size without regard to its aspect ratio.

    Args:
        rgb: The picture, uint8 (height, width, 3).
        size: The new side in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    columns = _rows_resized(np.ascontiguousarray(rgb.transpose(1, 0, 2)), size)
    return _rows_resized(np.ascontiguousarray(columns.transpose(1, 0, 2)), size)


def _rows_resized(picture: Rgb, size: int) -> Rgb:
    """Resize the first axis, (rows, other, 3), to `size` rows."""
    if picture.shape[0] == size:
        return picture
    taps, bits = _taps(picture.shape[0], size)
    rows = picture.reshape(picture.shape[0], -1)
    found = np.empty((size, rows.shape[1]), np.uint8)
    # In float64 sums of integers of this size are exact, and numpy hands them to BLAS. The whole picture would take
    # eight times its memory.
    width = max(1, NUMBERS_AT_A_TIME // len(rows))
    sums = np.empty((size, min(width, rows.shape[1])))
    for begin in range(0, rows.shape[1], width):
        part = rows[:, begin : begin + width].astype(np.float64)
        of_part = sums[:, : part.shape[1]]
        for row, (first, weights) in zip(of_part, taps, strict=True):
            np.dot(weights, part[first : first + len(weights)], out=row)
        rounded = np.floor((of_part + (1 << (bits - 1))) / (1 << bits))
        found[:, begin : begin + width] = np.clip(rounded, 0, 255)
    return found.reshape(size, *picture.shape[1:])


@lru_cache(maxsize=16)
def _taps(length: int, size: int) -> tuple[list[tuple[int, Weights]], int]:
    """For each new row the first old row and the weights of the rows from there on, as multiples of 2 ** -bits."""
    scale = length / size
    stretch = max(scale, 1.0)
    taps: list[tuple[int, Weights]] = []
    for number in range(size):
        centre = scale * (number + 0.5)
        first = max(int(centre - 2 * stretch + 0.5), 0)
        last = min(int(centre + 2 * stretch + 0.5), length)
        weights = _cubic((np.arange(first, last, dtype=np.float64) - centre + 0.5) / stretch)
        taps.append((first, weights / weights.sum()))
    largest = max(float(weights.max()) for _, weights in taps)
    bits = 0
    # As many bits as the largest weight leaves in 16-bit integers.
    while bits < MOST_BITS and int(0.5 + largest * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    return [
        (first, np.trunc(weights * (1 << bits) + np.where(weights < 0, -0.5, 0.5))) for first, weights in taps
    ], bits


def _cubic(distance: Weights) -> Weights:
    """Weight of a row at a distance from the centre, in rows of the coarser picture."""
    x = np.abs(distance)
    near = ((A + 2) * x - (A + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * A
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
