"""WebP, JPEG 2000 and BMP in a CompressedImage; sizes are those that Pillow reads."""

from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from llava_ov_ros.frames import DecodeOptions, ImageError, decode
from llava_ov_ros.frames.compressed_header import check_header

PLAIN = DecodeOptions()
RGB = np.random.default_rng(11).integers(0, 256, (37, 53, 3), dtype=np.uint8)
LOSSLESS = {
    "WebP": ("WEBP", {"lossless": True}),
    "JPEG 2000": ("JPEG2000", {}),
    "JPEG 2000 codestream": ("JPEG2000", {"no_jp2": True}),
    "BMP": ("BMP", {}),
}


def written(pixels: np.ndarray, kind: str, mode: str | None = None, **more: object) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    form, options = LOSSLESS[kind]
    (image.convert(mode) if mode else image).save(file, form, **options, **more)
    return file.getvalue()


@pytest.mark.parametrize("text", ["bgr8; webp compressed bgr8", "webp", "", "jpeg"])
@pytest.mark.parametrize("kind", LOSSLESS)
def test_colours(kind, text, compressed) -> None:
    np.testing.assert_array_equal(decode(compressed(written(RGB, kind), text), "front", PLAIN), RGB)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_gray_and_alpha(kind, compressed) -> None:
    gray = decode(compressed(written(RGB[..., 0], kind), ""), "front", PLAIN)
    np.testing.assert_array_equal(gray, RGB[..., :1].repeat(3, axis=2))
    alpha = np.dstack([RGB, np.full(RGB.shape[:2], 128, np.uint8)])
    np.testing.assert_array_equal(decode(compressed(written(alpha, kind), ""), "front", PLAIN), RGB)


def test_a_lossy_webp_is_as_pillow_decodes_it(compressed) -> None:
    file = io.BytesIO()
    smooth = cv2.resize(RGB, (320, 240), interpolation=cv2.INTER_CUBIC)
    for options in ({}, {"exif": b"Exif\0\0"}):
        file = io.BytesIO()
        Image.fromarray(smooth).save(file, "WEBP", quality=90, **options)
        expected = np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGB"))
        np.testing.assert_array_equal(decode(compressed(file.getvalue(), "webp"), "front", PLAIN), expected)


def test_16_bit_depth_in_jpeg_2000(compressed) -> None:
    depth = np.array([[0, 300, 5000, 65535]] * 4, dtype=np.uint16)
    data = compressed(written(depth, "JPEG 2000"), "16UC1; jpeg2000 compressed ")
    assert decode(data, "depth", PLAIN)[0, :, 0].tolist() == [0, 255, 132, 1]


@pytest.mark.parametrize("size", [(1, 1), (32, 1000), (1000, 32), (300, 260)])
@pytest.mark.parametrize("kind", LOSSLESS)
def test_the_declared_size_is_pillows(kind, size) -> None:
    data = written(np.full((*size, 3), 90, np.uint8), kind)
    assert check_header(data, 10**9) == (kind.removesuffix(" codestream"), Image.open(io.BytesIO(data)).size)


def with_size(data: bytes, kind: str, width: int, height: int) -> bytes:
    """The file with another size in its header."""
    at, form = {
        "WebP": (21, "<I"),
        "JPEG 2000": (data.find(b"\xff\x4f\xff\x51") + 8, ">II"),
        "JPEG 2000 codestream": (8, ">II"),
        "BMP": (18, "<ii"),
    }[kind]
    values = (width - 1 | height - 1 << 14,) if kind == "WebP" else (width, height)
    field = struct.pack(form, *values)
    return data[:at] + field + data[at + len(field) :]


@pytest.mark.parametrize("kind", LOSSLESS)
def test_an_absurd_size_is_refused_before_it_is_decoded(kind, compressed) -> None:
    data = with_size(written(RGB, kind), kind, 16000, 15000)
    with pytest.raises(ImageError, match="size is 16000x15000 = 240000000 pixels, more than 67108864"):
        decode(compressed(data, ""), "front", PLAIN)
    data = with_size(written(RGB[:4, :4], kind), kind, 5000, 5000)
    with pytest.raises(ImageError, match=r"size is 5000x5000 = 25000000 pixels, but there are only \d+ bytes of data"):
        decode(compressed(data, ""), "front", PLAIN)


def test_a_webp_whose_picture_is_larger_than_its_canvas(compressed) -> None:
    picture = written(np.full((2000, 2000, 3), 90, np.uint8), "WebP")
    canvas = b"VP8X" + struct.pack("<IB3x", 10, 0) + bytes((9, 0, 0, 9, 0, 0))
    body = b"WEBP" + canvas + picture[12:]
    data = b"RIFF" + struct.pack("<I", len(body)) + body
    assert check_header(data, 100) == ("WebP", (10, 10))
    with pytest.raises(ImageError, match="damaged or cut off"):
        decode(compressed(data, ""), "front", PLAIN)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_file_that_is_cut_off(kind, compressed) -> None:
    whole = written(RGB, kind)
    for length in range(1, len(whole), max(1, len(whole) // 60)):
        with pytest.raises(ImageError):
            decode(compressed(whole[:length], ""), "front", PLAIN)


def test_an_animation_and_avif_are_named(compressed) -> None:
    file = io.BytesIO()
    first = Image.fromarray(RGB)
    first.save(file, "WEBP", save_all=True, append_images=[Image.fromarray(255 - RGB)])
    with pytest.raises(ImageError, match="the WebP is an animation: a message holds one picture"):
        decode(compressed(file.getvalue(), "webp"), "front", PLAIN)
    with pytest.raises(ImageError, match="AVIF is not read"):
        decode(compressed(struct.pack(">I", 32) + b"ftypavif" + bytes(60), "avif"), "front", PLAIN)


def test_a_jpeg_2000_of_more_than_a_picture(compressed) -> None:
    data = bytearray(written(RGB, "JPEG 2000 codestream"))
    data[40:42] = struct.pack(">H", 5000)
    with pytest.raises(ImageError, match="the JPEG 2000 has 5000 components"):
        decode(compressed(bytes(data), ""), "front", PLAIN)
    data[40:43] = struct.pack(">HB", 3, 37)
    with pytest.raises(ImageError, match="the JPEG 2000 has 38 bits a component, more than 16"):
        decode(compressed(bytes(data), ""), "front", PLAIN)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_whatever_the_bytes_are_there_is_a_picture_or_the_one_error(kind, compressed) -> None:
    random = np.random.default_rng(5)
    data = written(RGB, kind)
    for _ in range(60):
        damaged = np.frombuffer(data, np.uint8).copy()
        damaged[random.integers(0, 120, size=random.integers(1, 4))] = random.integers(0, 256)
        try:
            rgb = decode(compressed(damaged.tobytes(), ""), "front", DecodeOptions(max_pixels=100_000))
        except ImageError:
            continue
        assert (rgb.dtype, rgb.ndim) == (np.uint8, 3)
