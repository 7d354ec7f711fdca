"""Decodes sensor_msgs/CompressedImage to RGB or stored values: compressed, compressedDepth, and drivers' variants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from .compressed_header import PNG_MAGIC, check_header
from .decode_options import DecodeOptions, one_large_at_a_time
from .depth import CONFIG_HEADER_BYTES, check_quantisation, quantised_to_metres
from .frame import Rgb
from .jpeg import decode_jpeg
from .raw_image import bayer_code, to_rgb8
from .rvl import decode_rvl
from .values import Meaning, Values


class CompressedMessage(Protocol):
    """The fields of sensor_msgs/CompressedImage that decoding reads, in rclpy's and rosbags' classes alike."""

    format: str
    data: Any


@dataclass(frozen=True)
class StoredFormat:
    """The content of `CompressedImage.format`.

    Attributes:
        layout: Lower-case encoding of the pixels that were compressed; empty if the format does not name it.
        is_compressed_depth: Whether the transport is compressedDepth, whose data begin with a 12-byte header.
        is_rvl: Whether the codec is RVL; all other codecs are recognised by their first bytes.
    """

    layout: str
    is_compressed_depth: bool = False
    is_rvl: bool = False


def decode_compressed(msg: CompressedMessage, options: DecodeOptions) -> tuple[Rgb | Values, str]:
    """Decodes a sensor_msgs/CompressedImage.

    Data are decoded as they are stored (no EXIF rotation, 16 bits stay 16) and converted once.

    Args:
        msg: The message.
        options: Size limit; the picture is not rotated here.

    Returns:
        The picture, uint8 (height, width, 3), C-contiguous, or its stored values if it has one channel of more than 8
        bits; and a description of its damage, empty if none was found.

    Raises:
        ValueError: The data are no supported picture, or their size is refused.
        cv2.error: The data are a picture that OpenCV cannot decode.
    """
    data = bytes(memoryview(msg.data))
    if not data:
        raise ValueError("data is empty")
    stored = stored_format(msg.format, data)
    if stored.is_compressed_depth:
        return _compressed_depth(data, stored, options), ""
    codec, size = check_header(data, options.max_pixels)
    with one_large_at_a_time(*size):
        found = _decompress(data, codec, size)
        return _of_layout(found, stored.layout), found.damage


def stored_format(text: str, data: bytes) -> StoredFormat:
    """Reads `CompressedImage.format`, whose patterns sensor_msgs/msg/CompressedImage.msg lists.

    image_transport writes `ENCODING; CODEC compressed [STORED]` and `ENCODING; compressedDepth [CODEC]`. A single word
    (jpeg, jpg, png), an empty string and anything else do not tell the encoding: the pixels are then BGR or grey by
    their number of channels, and depth in millimetres if the transport is compressedDepth.

    Args:
        text: The format.
        data: The message's data, which show whether a PNG is plain or of compressedDepth if the format does not.
    """
    encoding, _, rest = text.lower().partition(";")
    words = rest.split()
    if words[:1] == ["compresseddepth"]:
        return StoredFormat(encoding.strip(), is_compressed_depth=True, is_rvl=words[1:2] == ["rvl"])
    if words[1:2] == ["compressed"]:
        # STORED is missing if the publisher compressed the pixels without converting them.
        return StoredFormat(words[2] if len(words) > 2 else encoding.strip())
    if text.strip().lower() == "rvl":
        return StoredFormat("16uc1", is_compressed_depth=True, is_rvl=True)
    png_behind_header = data.startswith(PNG_MAGIC, CONFIG_HEADER_BYTES) and not data.startswith(PNG_MAGIC)
    if png_behind_header or "compresseddepth" in text.lower():
        return StoredFormat("16uc1", is_compressed_depth=True)
    return StoredFormat("")


@dataclass(frozen=True)
class _Stored:
    """Decompressed pixels as they were stored.

    Attributes:
        pixels: (height, width) or (height, width, 3 or 4).
        is_rgb: Whether the pixels are in the order RGB, if the publisher compressed BGR; otherwise in the order BGR.
        damage: Description of the damage; empty if none was found.
    """

    pixels: npt.NDArray[Any]
    is_rgb: bool = False
    damage: str = ""


def _decompress(payload: bytes, codec: str, declared: tuple[int, int]) -> _Stored:
    """Decodes a picture without conversion; `check_header` gave the codec, one of `CODECS`, and the declared size."""
    if codec == "JPEG":
        jpeg = decode_jpeg(payload)
        found = _Stored(jpeg.pixels, jpeg.is_rgb, jpeg.damage)
    else:
        pixels = cv2.imdecode(np.frombuffer(payload, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise ValueError(f"the {len(payload)} bytes of {codec} data are damaged or cut off")
        found = _Stored(pixels)
    height, width = found.pixels.shape[:2]
    if (width, height) != declared:
        raise ValueError(f"the {codec} declares {declared[0]}x{declared[1]} pixels and holds {width}x{height}")
    return found


def _of_layout(found: _Stored, layout: str) -> Rgb | Values:
    """Interpret decompressed pixels by the encoding that the publisher compressed: as RGB or as stored values."""
    pixels = found.pixels
    if pixels.ndim == 2:
        if layout == "32fc1" and pixels.dtype == np.float32:
            return Values(pixels, Meaning.METRES)
        # Publishers that do not convert compress the Bayer pattern as if it were a grey picture.
        bayer = bayer_code(layout)
        if bayer is None and pixels.dtype == np.uint16:
            return Values(pixels, Meaning.MILLIMETRES if layout == "16uc1" else Meaning.BRIGHTNESS)
        return to_rgb8(pixels, bayer or cv2.COLOR_GRAY2RGB)
    # OpenCV reads and writes BGR. A publisher that passed RGB to it ("compressed rgb8") therefore wrote a file with
    # red and blue exchanged, and decoding it gives RGB. image_transport's subscriber has the same rule.
    is_rgb = layout.startswith("rgb") != found.is_rgb
    if pixels.shape[2] == 4:
        return to_rgb8(pixels, cv2.COLOR_RGBA2RGB if is_rgb else cv2.COLOR_BGRA2RGB)
    return to_rgb8(pixels, None if is_rgb else cv2.COLOR_BGR2RGB)


def _compressed_depth(data: bytes, stored: StoredFormat, options: DecodeOptions) -> Values:
    """Decodes compressed_depth_image_transport: a 12-byte ConfigHeader, then a 16-bit PNG or RVL picture."""
    header, payload = data[:CONFIG_HEADER_BYTES], data[CONFIG_HEADER_BYTES:]
    if data.startswith(PNG_MAGIC):
        # Publishers other than image_transport omit the header; millimetres do not need it.
        header, payload = b"", data
    if not payload:
        raise ValueError(f"data has {len(data)} bytes, the compressedDepth header alone has {CONFIG_HEADER_BYTES}")
    depth: npt.NDArray[Any]
    if stored.is_rvl:
        depth = decode_rvl(payload, options.max_pixels)
    else:
        codec, size = check_header(payload, options.max_pixels)
        with one_large_at_a_time(*size):
            depth = _decompress(payload, codec, size).pixels
    if depth.ndim != 2 or depth.dtype != np.uint16:
        raise ValueError(f"compressedDepth holds {depth.dtype} {depth.shape}, not one channel of uint16")
    if stored.layout != "32fc1":
        return Values(depth, Meaning.MILLIMETRES)
    if not header:
        raise ValueError("the compressedDepth header, without which 32FC1 has no scale, is missing")
    check_quantisation(header)
    return Values(depth, Meaning.METRES, partial(quantised_to_metres, config_header=header))
