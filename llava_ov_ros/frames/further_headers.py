"""Reads the size that the header of a WebP, BMP or JPEG 2000 declares, before a decoder allocates memory for it."""

from __future__ import annotations

import struct

BMP_MAGIC = b"BM"
JP2_MAGIC = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM_MAGIC = b"\xff\x4f\xff\x51"

_RIFF, _WEBP = b"RIFF", b"WEBP"
_FTYP, _AVIF_BRANDS = b"ftyp", (b"avif", b"avis")
_WEBP_ANIMATION = 0x02
_WEBP_LOSSLESS_SIGNATURE = 0x2F
_BMP_CORE_HEADER, _BMP_INFO_HEADER = 12, 40
_MOST_COMPONENTS, _MOST_COMPONENT_BITS = 4, 16


def is_webp(payload: bytes) -> bool:
    """Whether the data are a RIFF file that holds a WebP picture."""
    return payload.startswith(_RIFF) and payload[8:12] == _WEBP


def is_avif(payload: bytes) -> bool:
    """Whether the data are a file of ISO media boxes that holds an AVIF picture."""
    return payload[4:8] == _FTYP and payload[8:12] in _AVIF_BRANDS


def webp_size(payload: bytes) -> tuple[int, int]:
    """Width and height of a WebP file (RFC 9649).

    For an extended file this is the canvas; libwebp refuses a picture of another size.

    Raises:
        ValueError: The file is cut off, an animation, or holds no picture.
        struct.error: The file ends within the header.
    """
    riff_bytes, chunk = struct.unpack_from("<I4x4s", payload, 4)
    if riff_bytes + 8 > len(payload):
        raise ValueError(f"the WebP is cut off: it has {len(payload)} of {riff_bytes + 8} bytes")
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", payload, 26)
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L":
        signature, bits = struct.unpack_from("<BI", payload, 20)
        if signature != _WEBP_LOSSLESS_SIGNATURE:
            raise ValueError("the WebP holds no lossless picture where it says so")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk != b"VP8X":
        raise ValueError(f"the WebP begins with a chunk {chunk.decode('latin-1')!r}, which is no picture")
    flags, width_low, width_high, height_low, height_high = struct.unpack_from("<B3xHBHB", payload, 20)
    if flags & _WEBP_ANIMATION:
        raise ValueError("the WebP is an animation: a message holds one picture")
    return (width_low | width_high << 16) + 1, (height_low | height_high << 16) + 1


def bmp_size(payload: bytes) -> tuple[int, int]:
    """Width and height of a BMP file; a negative height in the header only means that the top row comes first.

    Raises:
        ValueError: The header has no known form.
        struct.error: The file ends within the header.
    """
    (header,) = struct.unpack_from("<I", payload, 14)
    if header == _BMP_CORE_HEADER:
        width, height = struct.unpack_from("<HH", payload, 18)
    elif header >= _BMP_INFO_HEADER:
        width, height = struct.unpack_from("<ii", payload, 18)
    else:
        raise ValueError(f"the BMP has a header of {header} bytes, which none has")
    return width, abs(height)


def jpeg2000_size(payload: bytes) -> tuple[int, int]:
    """Width and height of a JPEG 2000 file or codestream (ITU-T T.800, A.5.1 and I.4).

    Raises:
        ValueError: The file has no codestream, or more components or bits than a camera's picture.
        struct.error: The file ends within the header.
    """
    at = 0 if payload.startswith(CODESTREAM_MAGIC) else _codestream(payload)
    if payload[at : at + 4] != CODESTREAM_MAGIC:
        raise ValueError("the JPEG 2000 file has no codestream where it says so")
    right, bottom, left, top = struct.unpack_from(">IIII", payload, at + 8)
    (components,) = struct.unpack_from(">H", payload, at + 40)
    if not 1 <= components <= _MOST_COMPONENTS:
        raise ValueError(f"the JPEG 2000 has {components} components, a picture has 1 to {_MOST_COMPONENTS}")
    for number in range(components):
        (depth,) = struct.unpack_from("B", payload, at + 42 + 3 * number)
        if (bits := (depth & 0x7F) + 1) > _MOST_COMPONENT_BITS:
            raise ValueError(f"the JPEG 2000 has {bits} bits a component, more than {_MOST_COMPONENT_BITS}")
    return right - left, bottom - top


def _codestream(payload: bytes) -> int:
    """Offset of the first codestream of a JP2 file, found box by box."""
    position = 0
    while True:
        length, name = struct.unpack_from(">I4s", payload, position)
        header = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", payload, position + 8)
            header = 16
        if name == b"jp2c":
            return position + header
        if length < header:
            raise ValueError("the JPEG 2000 file has no codestream")
        position += length
