"""Depth as gray: metres and millimetres, raw and as image_transport compresses them; the RVL code."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from llava_ov_ros.frames import DecodeOptions, ImageError, decode
from llava_ov_ros.frames.rvl import decode_rvl

# 254 steps from 1 m to 3.54 m: one grey level per centimetre.
MM_BY_CENTIMETRE = DecodeOptions(value_range="3540..1000")
M_BY_CENTIMETRE = DecodeOptions(value_range="3.54..1")
MILLIMETRES = np.array([[0, 1, 1000, 1010], [2000, 3530, 3540, 65535]], dtype=np.uint16)
GRAY = np.array([[0, 255, 255, 254], [155, 2, 1, 1]])
NO_HEADER = bytes(12)


def gray_of(message, options=MM_BY_CENTIMETRE) -> np.ndarray:
    decoded = decode(message, "depth", options)
    assert decoded.shape[2] == 3
    assert (decoded == decoded[..., :1]).all()
    return decoded[..., 0]


@pytest.mark.parametrize("big_endian", [0, 1])
def test_millimetres(big_endian, image) -> None:
    stored = MILLIMETRES.astype("<>"[big_endian] + "u2")
    np.testing.assert_array_equal(gray_of(image(stored, "16UC1", 4, 2, is_bigendian=big_endian)), GRAY)


@pytest.mark.parametrize("big_endian", [0, 1])
def test_metres(big_endian, image) -> None:
    metres = np.array([[np.nan, np.inf, -np.inf, -1.0, 0.0], [0.5, 1.0, 2.0, 3.54, 3e38]])
    stored = np.pad(metres.astype("<>"[big_endian] + "f4"), ((0, 0), (0, 1)), constant_values=7.0)
    message = image(stored, "32FC1", 5, 2, is_bigendian=big_endian)
    np.testing.assert_array_equal(gray_of(message, M_BY_CENTIMETRE), [[0, 0, 0, 0, 0], [255, 255, 155, 1, 1]])


@pytest.mark.parametrize(
    "text", ["16UC1; compressedDepth png", "16UC1; compressedDepth", "png", "", "png compressedDepth wrong"]
)
def test_compressed_depth_png(text, compressed, encode) -> None:
    message = compressed(NO_HEADER + encode(".png", MILLIMETRES), text)
    np.testing.assert_array_equal(gray_of(message), GRAY)


@pytest.mark.parametrize("text", ["16UC1; compressedDepth rvl", "rvl", " rvl "])
def test_compressed_depth_rvl(text, compressed, encode_rvl) -> None:
    np.testing.assert_array_equal(gray_of(compressed(NO_HEADER + encode_rvl(MILLIMETRES), text)), GRAY)


def test_a_png_without_the_header_of_compressed_depth(compressed, encode) -> None:
    message = compressed(encode(".png", MILLIMETRES), "16UC1; compressedDepth png")
    np.testing.assert_array_equal(gray_of(message), GRAY)


@pytest.mark.parametrize("text", ["16UC1; png compressed ", "16UC1; png compressed", "16UC1; tiff compressed "])
def test_depth_through_the_compressed_transport_stays_16_bit(text, compressed, encode) -> None:
    extension = ".tiff" if "tiff" in text else ".png"
    np.testing.assert_array_equal(gray_of(compressed(encode(extension, MILLIMETRES), text)), GRAY)


def test_metres_in_a_tiff(compressed, encode) -> None:
    metres = np.array([[np.nan, 0.0, 1.0, 2.0]], dtype=np.float32)
    message = compressed(encode(".tiff", metres), "32FC1; tiff compressed ")
    np.testing.assert_array_equal(gray_of(message, M_BY_CENTIMETRE), [[0, 0, 255, 155]])


@pytest.mark.parametrize("codec", ["png", "rvl"])
def test_inverse_depth_quantisation(codec, compressed, encode, encode_rvl) -> None:
    """The publisher's side: compressed_depth_image_transport's codec.cpp with its defaults."""
    depth_max, quantisation = 10.0, 100.0
    a = quantisation * (quantisation + 1)
    b = 1 - a / depth_max
    metres = np.array([[1.0, 1.2, 2.0], [3.0, np.nan, 20.0]], dtype=np.float32)
    with np.errstate(invalid="ignore"):
        quantised = np.where(metres < depth_max, a / metres + b, 0).astype(np.uint16)
    payload = encode(".png", quantised) if codec == "png" else encode_rvl(quantised)
    message = compressed(struct.pack("<iff", 0, a, b) + payload, f"32FC1; compressedDepth {codec}")
    np.testing.assert_allclose(gray_of(message, M_BY_CENTIMETRE), [[255, 235, 155], [55, 0, 0]], atol=1)
    assert gray_of(message, M_BY_CENTIMETRE)[1, 1] == 0


@pytest.mark.parametrize(
    ("data", "text", "reason"),
    [
        (bytes(12), "16UC1; compressedDepth png", "data has 12 bytes, the compressedDepth header alone has 12"),
        (bytes(5), "rvl", "data has 5 bytes"),
        (bytes(15), "rvl", "RVL data has 3 bytes, its size alone takes 8"),
        (bytes(40), "16UC1; compressedDepth png", "data starts with 00 00"),
        (NO_HEADER + struct.pack("<II", 0, 4), "rvl", "size is 0x4"),
        (NO_HEADER + struct.pack("<II", 2**32 - 1, 2**32 - 1), "rvl", "more than 67108864"),
        (NO_HEADER + struct.pack("<II", 4, 2), "rvl", "RVL code of 0 bytes ends 8 of 8 pixels early"),
        (NO_HEADER + struct.pack("<III", 4, 2, 0x70000000), "rvl", "RVL runs of 0 zeros and 0 values do not fit 4x2"),
        (NO_HEADER + struct.pack("<III", 4, 2, 0x97000000), "rvl", "RVL runs of 57 zeros and 0 values do not fit 4x2"),
        (NO_HEADER + struct.pack("<III", 4, 2, 0x08FFFFFF), "rvl", "ends"),
        (NO_HEADER + struct.pack("<III", 4, 2, 0xFFFFFFFF), "rvl", "ends 8 of 8 pixels early"),
        (NO_HEADER + struct.pack("<IIII", 4, 2, 0xFFFFFFFF, 0xFF700000), "rvl", "RVL value of 11 nibbles"),
    ],
)
def test_malformed_depth(data, text, reason, compressed) -> None:
    with pytest.raises(ImageError) as caught:
        decode(compressed(data, text), "depth", MM_BY_CENTIMETRE)
    assert reason in caught.value.reason


def test_compressed_depth_of_8_bits_is_refused(compressed, encode) -> None:
    message = compressed(NO_HEADER + encode(".png", np.zeros((2, 2), np.uint8)), "16UC1; compressedDepth png")
    with pytest.raises(ImageError, match="compressedDepth holds uint8"):
        decode(message, "depth", MM_BY_CENTIMETRE)


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0), (1.0, float("inf"))])
def test_impossible_quantisation_is_refused(a, b, compressed, encode) -> None:
    message = compressed(struct.pack("<iff", 0, a, b) + encode(".png", MILLIMETRES), "32FC1; compressedDepth png")
    with pytest.raises(ImageError, match="depth quantisation A="):
        decode(message, "depth", MM_BY_CENTIMETRE)


def test_metres_without_the_header_are_refused(compressed, encode) -> None:
    with pytest.raises(ImageError, match="without which 32FC1 has no scale"):
        decode(compressed(encode(".png", MILLIMETRES), "32FC1; compressedDepth png"), "depth", MM_BY_CENTIMETRE)


def test_rvl_round_trip(encode_rvl) -> None:
    random = np.random.default_rng(5)
    for _ in range(40):
        shape = tuple(random.integers(1, 14, size=2))
        depth = random.choice([0, 0, 1, 7, 8, 2000, 65535], size=shape).astype(np.uint16)
        np.testing.assert_array_equal(decode_rvl(encode_rvl(depth), 10_000), depth)


def test_rvl_by_hand() -> None:
    """Two zeros, then 5, 4, 4: counts 2 and 3, differences +5, -1, 0 in zigzag 10, 1, 0; 10 takes two nibbles."""
    code = struct.pack("<III", 5, 1, 0x23A11000)
    np.testing.assert_array_equal(decode_rvl(code, 5), [[0, 0, 5, 4, 4]])


def test_rvl_refuses_a_code_that_ends_within_the_values(encode_rvl) -> None:
    code = encode_rvl(np.arange(1, 4001, 40, dtype=np.uint16).reshape(10, 10))
    with pytest.raises(ValueError, match="values early"):
        decode_rvl(code[:-8], 100)
