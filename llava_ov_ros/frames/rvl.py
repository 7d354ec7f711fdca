"""RVL, the lossless run-length code for 16-bit depth pictures that compressedDepth can use.

A. D. Wilson, "Fast Lossless Depth Image Compression", ISS 2017; the byte order is that of
compressed_depth_image_transport's rvl_codec.cpp.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from .decode_options import check_claim, check_size, one_large_at_a_time

_SIZE_BYTES = 8
_MOST_NIBBLES_OF_A_VALUE = 10
_WORDS_AT_A_TIME = 2**16


def decode_rvl(payload: bytes, max_pixels: int) -> npt.NDArray[np.uint16]:
    """Decompresses an RVL picture.

    The code repeats: a count of zeros, a count of non-zero pixels, then for each of those the zigzag-coded
    difference to the non-zero pixel before it. Only the counts are walked in Python; pixels are never.

    Args:
        payload: uint32 columns, uint32 rows, then the code, all little-endian.
        max_pixels: Most pixels that the picture may have.

    Returns:
        The picture, uint16 (rows, columns).

    Raises:
        ValueError: The size is absurd or too large for so little code, or the code holds more or fewer pixels.
    """
    if len(payload) < _SIZE_BYTES:
        raise ValueError(f"RVL data has {len(payload)} bytes, its size alone takes {_SIZE_BYTES}")
    columns, rows = struct.unpack_from("<II", payload)
    check_size(columns, rows, max_pixels)
    check_claim(columns, rows, len(payload))
    with one_large_at_a_time(columns, rows):
        return _decompressed(payload, rows, columns)


def _decompressed(payload: bytes, rows: int, columns: int) -> npt.NDArray[np.uint16]:
    """Decompress a payload whose size has been checked, to uint16 (rows, columns)."""
    pixel_count = rows * columns
    # No encoder needs more than 6 nibbles a pixel, so any further bytes are not expanded.
    code = payload[_SIZE_BYTES : _SIZE_BYTES + 3 * pixel_count + 12]
    values = _variable_length_values(code)

    # A memoryview yields plain integers as a list would, but a list takes 36 bytes for each.
    known = values.data
    run_starts: list[int] = []
    run_lengths: list[int] = []
    position = 0
    missing = pixel_count
    while missing:
        if position + 2 > len(known):
            raise ValueError(f"RVL code of {len(code)} bytes ends {missing} of {pixel_count} pixels early")
        zeros, nonzeros = known[position], known[position + 1]
        missing -= zeros + nonzeros
        if missing < 0 or zeros + nonzeros == 0:
            raise ValueError(f"RVL runs of {zeros} zeros and {nonzeros} values do not fit {columns}x{rows} pixels")
        run_starts.append(position)
        run_lengths += (zeros, nonzeros)
        position += 2 + nonzeros
    if position > len(known):
        raise ValueError(f"RVL code of {len(code)} bytes ends {position - len(known)} values early")

    is_difference = np.ones(position, dtype=np.bool_)
    is_difference[run_starts] = False
    is_difference[np.array(run_starts) + 1] = False
    zigzag = values[:position][is_difference]
    # The codec's running value is an unsigned short, which wraps at 65536, so the sum may wrap at every step.
    differences = ((zigzag >> 1) ^ -(zigzag & 1)).astype(np.uint16)
    is_nonzero = np.repeat(np.tile((False, True), len(run_starts)), run_lengths)
    depth = np.zeros(pixel_count, dtype=np.uint16)
    depth[is_nonzero] = np.cumsum(differences, dtype=np.uint16)
    return depth.reshape(rows, columns)


def _variable_length_values(code: bytes) -> npt.NDArray[np.int32]:
    """Splits the code into its values: 3 bits a nibble, least significant first, bit 3 set if more follow.

    The code is split in pieces, since the intermediate arrays take 50 times the memory of the nibbles.
    """
    words = np.frombuffer(code, dtype="<u4", count=len(code) // 4)
    pieces = [np.empty(0, dtype=np.int32)]
    begun = np.empty(0, dtype=np.uint8)
    for start in range(0, words.size, _WORDS_AT_A_TIME):
        most_significant_first = words[start : start + _WORDS_AT_A_TIME].astype(">u4").view(np.uint8)
        nibbles = np.empty(begun.size + 2 * most_significant_first.size, dtype=np.uint8)
        nibbles[: begun.size] = begun
        nibbles[begun.size :: 2] = most_significant_first >> 4
        nibbles[begun.size + 1 :: 2] = most_significant_first & 0xF
        last = np.flatnonzero(nibbles < 8)
        whole = 0 if last.size == 0 else int(last[-1]) + 1
        if last.size:
            pieces.append(_values_of_nibbles(nibbles, last))
        begun = nibbles[whole:]
        if begun.size > _MOST_NIBBLES_OF_A_VALUE:
            raise ValueError(f"RVL value of {begun.size} nibbles, more than {_MOST_NIBBLES_OF_A_VALUE}")
    return np.concatenate(pieces)


def _values_of_nibbles(nibbles: npt.NDArray[np.uint8], last: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    """The values of nibbles, uint8 (nibbles,); `last` holds the index of each value's last nibble."""
    first = np.concatenate(([0], last[:-1] + 1))
    lengths = last - first + 1
    longest = int(lengths.max())
    if longest > _MOST_NIBBLES_OF_A_VALUE:
        raise ValueError(f"RVL value of {longest} nibbles, more than {_MOST_NIBBLES_OF_A_VALUE}")
    bits = (nibbles & 7).astype(np.int32)
    values = bits[first]
    for place in range(1, longest):
        longer = np.flatnonzero(lengths > place)
        values[longer] |= bits[first[longer] + place] << (3 * place)
    return values
