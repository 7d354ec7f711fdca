"""Checks the header of a compressed picture before a decoder allocates memory for the size that it declares."""

from __future__ import annotations

import struct

from .decode_options import check_claim, check_size
from .further_headers import (
    BMP_MAGIC,
    CODESTREAM_MAGIC,
    JP2_MAGIC,
    bmp_size,
    is_avif,
    is_webp,
    jpeg2000_size,
    webp_size,
)
from .jpeg import JPEG_MAGIC, read_jpeg_header

CODECS = ("JPEG", "PNG", "TIFF", "WebP", "JPEG 2000", "BMP")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
TIFF_MAGICS = (b"II*\0", b"MM\0*")

_PNG_BITS = 24
_PNG_COLOURS = (2, 6)
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_SAMPLES, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 256, 257, 258, 277, 322, 323
_TIFF_SIZE_TAGS = {
    _TIFF_WIDTH: "ImageWidth",
    _TIFF_HEIGHT: "ImageLength",
    _TIFF_BITS: "BitsPerSample",
    _TIFF_SAMPLES: "SamplesPerPixel",
    _TIFF_TILE_WIDTH: "TileWidth",
    _TIFF_TILE_HEIGHT: "TileLength",
}
_TIFF_SHORT, _TIFF_LONG = 3, 4
_MOST_TIFF_BITS_OF_A_PIXEL = 64
_LARGEST_TILE = 1024 * 1024


def check_header(payload: bytes, max_pixels: int) -> tuple[str, tuple[int, int]]:
    """Identify the codec of a compressed picture, and check the size that its header declares.

    Args:
        payload: A whole file.
        max_pixels: Most pixels of the picture.

    Returns:
        The codec's name, one of `CODECS`, and the declared (width, height).

    Raises:
        ValueError: The data are no picture of a known codec, the declared size is absurd or too large for the data, or
            a PNG has no end.
    """
    if payload.startswith(JPEG_MAGIC):
        codec, read_size = "JPEG", _jpeg_size
    elif payload.startswith(PNG_MAGIC):
        codec, read_size = "PNG", _png_size
    elif payload.startswith(TIFF_MAGICS):
        codec, read_size = "TIFF", _tiff_size
    elif is_webp(payload):
        codec, read_size = "WebP", webp_size
    elif payload.startswith((JP2_MAGIC, CODESTREAM_MAGIC)):
        codec, read_size = "JPEG 2000", jpeg2000_size
    elif payload.startswith(BMP_MAGIC):
        codec, read_size = "BMP", bmp_size
    elif is_avif(payload):
        # AVIF's decoder allocates what the coded video demands, whatever size the file declares.
        raise ValueError("AVIF is not read, since nothing bounds its memory before it is decoded: send JPEG or WebP")
    else:
        raise ValueError(
            f"data starts with {payload[:8].hex(' ')}, as no {', '.join(CODECS[:-1])} or {CODECS[-1]} does"
        )
    try:
        width, height = read_size(payload)
    except struct.error:
        raise ValueError(f"the {len(payload)} bytes of {codec} data end within the header") from None
    check_size(width, height, max_pixels)
    if width * height > max_pixels // 2 and _is_costly(payload, codec):
        raise ValueError(
            f"size is {width}x{height} = {width * height} pixels, more than {max_pixels // 2} (half of "
            f"max_image_pixels, since a pixel of this {codec} takes twice the memory of others)"
        )
    check_claim(width, height, len(payload))
    return codec, (width, height)


def _is_costly(payload: bytes, codec: str) -> bool:
    """Whether decoding takes about 20 bytes a pixel instead of about 10: 16-bit colour, or JPEG 2000."""
    if codec == "PNG":
        return payload[_PNG_BITS] == 16 and payload[_PNG_BITS + 1] in _PNG_COLOURS
    return codec == "JPEG 2000" or (codec == "TIFF" and _tiff_pixel_bits(_tiff_values(payload)) > 32)


def _jpeg_size(payload: bytes) -> tuple[int, int]:
    """Width and height in the frame header."""
    header = read_jpeg_header(payload)
    return header.width, header.height


def _png_size(payload: bytes) -> tuple[int, int]:
    """Width and height in the IHDR chunk, which must be the first and only one of its name; no chunk may be cut off.

    OpenCV allocates the length that a chunk declares, up to 4 GB, before it reads the chunk's bytes.
    """
    name, width, height = struct.unpack_from(">4sII", payload, len(PNG_MAGIC) + 4)
    if name != b"IHDR":
        raise ValueError(f"the PNG begins with a chunk {name.decode('latin-1')!r}, not with its IHDR")
    position = len(PNG_MAGIC)
    while payload[position + 4 : position + 8] != b"IEND":
        if position + 8 > len(payload):
            raise ValueError(f"the PNG is cut off: its {len(payload)} bytes have no IEND chunk")
        length, name = struct.unpack_from(">I4s", payload, position)
        if name == b"IHDR" and position > len(PNG_MAGIC):
            raise ValueError("the PNG declares its size twice: a picture has one IHDR chunk")
        position += 12 + length
    return int(width), int(height)


def _tiff_size(payload: bytes) -> tuple[int, int]:
    """Width and height in the tags of the first directory, which must be unambiguous.

    The size of a tile is limited, too, since a decoder holds a whole tile, however small the picture is.
    """
    values = _tiff_values(payload)
    if (bits := _tiff_pixel_bits(values)) > _MOST_TIFF_BITS_OF_A_PIXEL:
        raise ValueError(f"the TIFF has {bits} bits a pixel, more than {_MOST_TIFF_BITS_OF_A_PIXEL}")
    width, height = values.get(_TIFF_WIDTH, 0), values.get(_TIFF_HEIGHT, 0)
    tile = values.get(_TIFF_TILE_WIDTH, 0) * values.get(_TIFF_TILE_HEIGHT, 0)
    if tile > max(_LARGEST_TILE, 4 * width * height):
        raise ValueError(f"the TIFF has tiles of {tile} pixels for a picture of {width}x{height}")
    return width, height


def _tiff_pixel_bits(values: dict[int, int]) -> int:
    return values.get(_TIFF_BITS, 1) * values.get(_TIFF_SAMPLES, 1)


def _tiff_values(payload: bytes) -> dict[int, int]:
    """Values of the tags of `_TIFF_SIZE_TAGS`, which decide a decoder's memory; each may occur once, as one number."""
    order = "<" if payload.startswith(b"II") else ">"
    (directory,) = struct.unpack_from(f"{order}I", payload, 4)
    (entries,) = struct.unpack_from(f"{order}H", payload, directory)
    values: dict[int, int] = {}
    for place in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", payload, place)
        if tag not in _TIFF_SIZE_TAGS:
            continue
        name = _TIFF_SIZE_TAGS[tag]
        if tag in values:
            raise ValueError(f"the TIFF has the tag {name} twice: a picture has one size")
        if kind not in (_TIFF_SHORT, _TIFF_LONG) or count < 1 or (count > 1 and tag != _TIFF_BITS):
            raise ValueError(f"the TIFF's tag {name} has {count} values of type {kind}, not one SHORT or LONG")
        size = 2 if kind == _TIFF_SHORT else 4
        at = place + 8
        if count * size > 4:
            (at,) = struct.unpack_from(f"{order}I", payload, at)
        (values[tag],) = struct.unpack_from(f"{order}{'H' if kind == _TIFF_SHORT else 'I'}", payload, at)
    return values
