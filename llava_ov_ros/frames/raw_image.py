"""Decodes sensor_msgs/Image to RGB or stored values, for every encoding that cameras publish."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from .decode_options import DecodeOptions, check_size
from .frame import Rgb
from .values import Meaning, Values

LEAST_BAYER_PX = 3
_TO_8_BIT = 255 / 65535


class ImageMessage(Protocol):
    """The fields of sensor_msgs/Image and foxglove_msgs/RawImage that decoding reads, of rclpy's and rosbags' classes.

    Only sensor_msgs/Image has `is_bigendian`; the samples of RawImage are little-endian.
    """

    height: int
    width: int
    encoding: str
    step: int
    data: Any


class _Packed(NamedTuple):
    """Sample type and channels of an encoding, and OpenCV's conversion to RGB (None: the pixels are RGB)."""

    sample: npt.DTypeLike
    channels: int
    code: int | None


# Named by the top left 2x2 pixels, as ROS does. OpenCV's older names for the same (BayerBG for RGGB) go by the
# second row's second and third pixel.
_BAYER_TO_RGB: dict[str, int] = {
    "bayer_rggb": cv2.COLOR_BayerRGGB2RGB,
    "bayer_bggr": cv2.COLOR_BayerBGGR2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGBRG2RGB,
    "bayer_grbg": cv2.COLOR_BayerGRBG2RGB,
}

_PACKED: dict[str, _Packed] = {
    "rgb8": _Packed(np.uint8, 3, None),
    "bgr8": _Packed(np.uint8, 3, cv2.COLOR_BGR2RGB),
    "rgba8": _Packed(np.uint8, 4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Packed(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    "mono8": _Packed(np.uint8, 1, cv2.COLOR_GRAY2RGB),
    # The OpenCV types say nothing of colour, so they have OpenCV's order.
    "8uc1": _Packed(np.uint8, 1, cv2.COLOR_GRAY2RGB),
    "8uc3": _Packed(np.uint8, 3, cv2.COLOR_BGR2RGB),
    "8uc4": _Packed(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    "rgb16": _Packed(np.uint16, 3, None),
    "bgr16": _Packed(np.uint16, 3, cv2.COLOR_BGR2RGB),
    "rgba16": _Packed(np.uint16, 4, cv2.COLOR_RGBA2RGB),
    "bgra16": _Packed(np.uint16, 4, cv2.COLOR_BGRA2RGB),
    **{f"{pattern}8": _Packed(np.uint8, 1, code) for pattern, code in _BAYER_TO_RGB.items()},
    **{f"{pattern}16": _Packed(np.uint16, 1, code) for pattern, code in _BAYER_TO_RGB.items()},
}

_HALF_CHROMA_PACKED: dict[str, int] = {
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
}

_QUARTER_CHROMA_PLANES: dict[str, int] = {
    "nv12": cv2.COLOR_YUV2RGB_NV12,
    "nv21": cv2.COLOR_YUV2RGB_NV21,
}

_VALUES: dict[str, tuple[npt.DTypeLike, Meaning]] = {
    "mono16": (np.uint16, Meaning.BRIGHTNESS),
    "16uc1": (np.uint16, Meaning.MILLIMETRES),
    "16sc1": (np.int16, Meaning.MILLIMETRES),
    "32fc1": (np.float32, Meaning.METRES),
}

ENCODINGS = frozenset({*_PACKED, *_VALUES, *_HALF_CHROMA_PACKED, *_QUARTER_CHROMA_PLANES, "nv24"})
"""Supported values of `Image.encoding`, in lower case."""


def decode_image(msg: ImageMessage, options: DecodeOptions) -> Rgb | Values:
    """Decodes a sensor_msgs/Image or foxglove_msgs/RawImage; encodings are those of sensor_msgs/image_encodings.hpp.

    16-bit colour becomes 8-bit as in cv_bridge: the colours are converted first, then multiplied by 255 / 65535 and
    rounded. One channel of more than 8 bits is kept as stored values.

    Args:
        msg: The message.
        options: Size limit; the picture is not rotated here.

    Returns:
        The picture, uint8 (height, width, 3), C-contiguous, or its stored values. For rgb8, and for stored values in
        the machine's byte order, it is a view of `msg.data` if the message has no padding.

    Raises:
        ValueError: The message is malformed or its encoding is unknown.
    """
    encoding = msg.encoding.strip().lower()
    if encoding not in ENCODINGS:
        raise ValueError(f"the encoding is unknown; known are {', '.join(sorted(ENCODINGS))}")
    width, height, step, is_bigendian = msg.width, msg.height, msg.step, bool(getattr(msg, "is_bigendian", False))
    check_size(width, height, options.max_pixels)
    data = np.frombuffer(msg.data, dtype=np.uint8)

    if encoding in _PACKED:
        sample, channels, code = _PACKED[encoding]
        pixels = _rows(data, sample, height, width, channels, step, is_bigendian)
        if encoding == "rgb8":
            return _without_the_rest(pixels, data)
        return to_rgb8(pixels, code)
    if encoding in _VALUES:
        sample, meaning = _VALUES[encoding]
        pixels = _rows(data, sample, height, width, 1, step, is_bigendian)
        return Values(_without_the_rest(pixels, data), meaning)
    if encoding in _HALF_CHROMA_PACKED:
        _check_even("width", width)
        return to_rgb8(_rows(data, np.uint8, height, width, 2, step), _HALF_CHROMA_PACKED[encoding])
    step = _luma_step(encoding, data.size, height, width, step)
    if encoding == "nv24":
        return _nv24_to_rgb(data, height, width, step)
    _check_even("width", width)
    _check_even("height", height)
    planes = _rows(data, np.uint8, height * 3 // 2, width, 1, step)
    return to_rgb8(planes, _QUARTER_CHROMA_PLANES[encoding])


def _without_the_rest(pixels: npt.NDArray[Any], data: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Copy pixels that are a view of a part of the data, since a view keeps the whole message alive."""
    is_whole = pixels.nbytes == data.nbytes and pixels.flags.c_contiguous
    return pixels if is_whole or pixels.flags.owndata else pixels.copy()


def to_rgb8(pixels: npt.NDArray[Any], code: int | None) -> Rgb:
    """Converts colours to RGB, then 16-bit samples to 8-bit ones.

    Args:
        pixels: uint8 or uint16, (height, width) or (height, width, channels).
        code: OpenCV's colour conversion to RGB; None if the pixels are RGB.

    Returns:
        The picture, uint8 (height, width, 3).

    Raises:
        ValueError: The picture is smaller than a Bayer pattern, or the samples are neither uint8 nor uint16.
    """
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"samples are {pixels.dtype}, a picture needs uint8 or uint16")
    if code in _BAYER_TO_RGB.values() and min(pixels.shape) < LEAST_BAYER_PX:
        # OpenCV returns a black picture there instead of an error.
        raise ValueError(
            f"size is {pixels.shape[1]}x{pixels.shape[0]}, a Bayer pattern needs {LEAST_BAYER_PX} pixels each way"
        )
    if code is not None:
        pixels = cv2.cvtColor(pixels, code)
    return pixels if pixels.dtype == np.uint8 else cv2.convertScaleAbs(pixels, alpha=_TO_8_BIT)


def bayer_code(encoding: str) -> int | None:
    """OpenCV's conversion to RGB for a lower-case Bayer encoding of 8 or 16 bits; None for other encodings."""
    return _PACKED[encoding].code if encoding.startswith("bayer_") and encoding in _PACKED else None


def _rows(
    data: npt.NDArray[np.uint8],
    sample: npt.DTypeLike,
    height: int,
    width: int,
    channels: int,
    step: int,
    is_bigendian: bool = False,
) -> npt.NDArray[Any]:
    """Views bytes as rows of pixels, without the padding at their ends.

    Args:
        data: uint8 (bytes,).
        sample: Type of a sample.
        height: Rows.
        width: Pixels of a row.
        channels: Samples of a pixel.
        step: Bytes from one row to the next.
        is_bigendian: Whether samples of several bytes are big-endian.

    Returns:
        (height, width) for one channel, else (height, width, channels), in native byte order.

    Raises:
        ValueError: A row is longer than `step`, or the bytes do not suffice.
    """
    stored = np.dtype(sample).newbyteorder(">" if is_bigendian else "<")
    pixel_bytes = channels * stored.itemsize
    if step < width * pixel_bytes:
        raise ValueError(f"step is {step}, a row of {width} pixels has {width * pixel_bytes} bytes")
    # The padding of the last row may be missing.
    needed = (height - 1) * step + width * pixel_bytes
    if data.size < needed:
        raise ValueError(f"data has {data.size} bytes, {height} rows with step {step} have {needed}")
    shape, strides = (height, width, channels), (step, pixel_bytes, stored.itemsize)
    axes = 2 if channels == 1 else 3
    pixels: npt.NDArray[Any] = np.ndarray(shape[:axes], stored, buffer=data, strides=strides[:axes])
    if step % stored.itemsize:
        # OpenCV refuses rows that do not start at a whole sample.
        pixels = np.ascontiguousarray(pixels)
    return pixels.astype(stored.newbyteorder("="), copy=False)


def _luma_step(encoding: str, data_bytes: int, height: int, width: int, step: int) -> int:
    """The step of the luma plane, which the message's own step does not reliably tell.

    sensor_msgs counts two channels for nv21 and nv24, so drivers that fill in width * channels give twice the
    width, although the rows are packed. The number of bytes shows which step is right.
    """
    packed_bytes = width * height * 3 if encoding == "nv24" else width * height * 3 // 2
    return width if step == 2 * width and data_bytes == packed_bytes else step


def _nv24_to_rgb(data: npt.NDArray[np.uint8], height: int, width: int, step: int) -> Rgb:
    """NV24: a plane of luma, then one of interleaved Cb and Cr of the same resolution with twice the step."""
    luma = _rows(data, np.uint8, height, width, 1, step)
    chroma = _rows(data[height * step :], np.uint8, height, width, 2, 2 * step)
    # OpenCV has no NV24. As UYVY with every luma sample twice it gives the same colours as the other YUV formats.
    doubled = np.empty((height, width, 4), dtype=np.uint8)
    doubled[..., 0::2] = chroma
    doubled[..., 1] = luma
    doubled[..., 3] = luma
    rgb = cv2.cvtColor(doubled.reshape(height, 2 * width, 2), cv2.COLOR_YUV2RGB_UYVY)
    return np.ascontiguousarray(rgb[:, ::2])


def _check_even(name: str, size: int) -> None:
    if size % 2:
        raise ValueError(f"{name} is {size}, but chroma of half the resolution needs an even one")
