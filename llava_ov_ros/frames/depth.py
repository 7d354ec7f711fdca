"""Depth as a picture: metres to gray levels, near is bright. REP 118: 16UC1 is millimetres, 32FC1 metres."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .frame import Rgb

METRES_PER_MILLIMETRE = 0.001
CONFIG_HEADER_BYTES = 12
_PIXELS_AT_A_TIME = 2**18


def depth_to_rgb(
    depth: npt.NDArray[Any],
    near_m: float,
    far_m: float,
    to_metres: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]] | None = None,
) -> Rgb:
    """Shows depth as gray: linear from 255 at `near_m` (and nearer) down to 1 at `far_m` (and farther).

    Pixels without a measurement (0, negative, NaN, infinite) are 0, a level that no measured pixel has. The depth is
    converted some rows at a time: beside the depth and the picture no array of the picture's size is made.

    Args:
        depth: Depth as it is stored, (height, width).
        near_m: Depth in metres that is shown as 255.
        far_m: Depth in metres that is shown as 1; larger than `near_m`.
        to_metres: Makes metres of some rows of `depth`; None where they are float32 metres.

    Returns:
        The gray picture, uint8 (height, width, 3) with three equal channels.
    """
    height, width = depth.shape
    rgb: Rgb = np.empty((height, width, 3), dtype=np.uint8)
    rows = max(1, _PIXELS_AT_A_TIME // width)
    for top in range(0, height, rows):
        band = depth[top : top + rows]
        depth_m = band if to_metres is None else to_metres(band)
        cv2.cvtColor(_gray_levels(depth_m, near_m, far_m), cv2.COLOR_GRAY2RGB, dst=rgb[top : top + rows])
    return rgb


def _gray_levels(depth_m: npt.NDArray[np.float32], near_m: float, far_m: float) -> npt.NDArray[np.uint8]:
    """Gray levels of depth in metres, uint8 (height, width)."""
    level = np.clip(depth_m, near_m, far_m)
    np.subtract(far_m, level, out=level)
    level *= 254 / (far_m - near_m)
    level += 1
    np.rint(level, out=level)
    measured = (depth_m > 0) & (depth_m < np.inf)
    np.copyto(level, 0, where=~measured)
    return level.astype(np.uint8)


def millimetres_to_metres(depth_mm: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Metres of a 16UC1 depth picture; 0 (no measurement) stays 0.

    Args:
        depth_mm: Depth in millimetres, uint16 (height, width).

    Returns:
        Depth in metres, float32 (height, width).
    """
    return depth_mm.astype(np.float32) * np.float32(METRES_PER_MILLIMETRE)


def quantised_to_metres(quantised: npt.NDArray[np.uint16], config_header: bytes) -> npt.NDArray[np.float32]:
    """Undoes the inverse-depth quantisation that compressed_depth_image_transport applies to 32FC1.

    `depth = A / (quantised - B)`, and 0 means no measurement; A and B are the floats `depthParam[2]` after the
    int32 `format` of the C struct `ConfigHeader` (compressed_depth_image_transport, compression_common.h and
    codec.cpp).

    Args:
        quantised: The decompressed picture, uint16 (height, width).
        config_header: The first 12 bytes of the message's data, little-endian.

    Returns:
        Depth in metres, float32 (height, width), NaN where there is no measurement.

    Raises:
        ValueError: A or B is not a number that a publisher can have written.
    """
    a, b = struct.unpack("<4xff", config_header)
    if not (math.isfinite(a) and math.isfinite(b) and a > 0):
        raise ValueError(f"depth quantisation A={a}, B={b} in the compressedDepth header is impossible")
    with np.errstate(divide="ignore", over="ignore"):
        depth_m = np.float32(a) / (quantised.astype(np.float32) - np.float32(b))
    depth_m[quantised == 0] = np.nan
    return depth_m
