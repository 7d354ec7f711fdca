"""The inverse-depth quantisation in which compressedDepth stores metres."""

from __future__ import annotations

import math
import struct

import numpy as np
import numpy.typing as npt

CONFIG_HEADER_BYTES = 12


def check_quantisation(config_header: bytes) -> None:
    """Check the two parameters A and B of the quantisation.

    Args:
        config_header: The first 12 bytes of the message's data, little-endian.

    Raises:
        ValueError: A or B is not finite, or A is not positive, which no publisher writes.
    """
    a, b = struct.unpack("<4xff", config_header)
    if not (math.isfinite(a) and math.isfinite(b) and a > 0):
        raise ValueError(f"depth quantisation A={a}, B={b} in the compressedDepth header is impossible")


def quantised_to_metres(quantised: npt.NDArray[np.uint16], config_header: bytes) -> npt.NDArray[np.float32]:
    """Undoes the inverse-depth quantisation that compressed_depth_image_transport applies to 32FC1.

    `depth = A / (quantised - B)`, and 0 means no measurement; A and B are the floats `depthParam[2]` after the
    int32 `format` of the C struct `ConfigHeader` (compressed_depth_image_transport, compression_common.h and
    codec.cpp).

    Args:
        quantised: The decompressed picture, uint16 (height, width).
        config_header: The first 12 bytes of the message's data, as `check_quantisation` takes them.

    Returns:
        Depth in metres, float32 (height, width), NaN where there is no measurement.
    """
    a, b = struct.unpack("<4xff", config_header)
    with np.errstate(divide="ignore", over="ignore"):
        depth_m = np.float32(a) / (quantised.astype(np.float32) - np.float32(b))
    depth_m[quantised == 0] = np.nan
    return depth_m
