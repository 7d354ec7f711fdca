"""sensor_msgs/CompressedImage to RGB: every way to write `format`, channel order, bits, and damaged data."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from llava_ov_ros.frames import DecodeOptions, ImageError, decode
from llava_ov_ros.frames.compressed import StoredFormat, stored_format

PLAIN = DecodeOptions()
RGB = np.random.default_rng(11).integers(0, 256, (5, 7, 3), dtype=np.uint8)
BGR = RGB[..., ::-1]
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("bgr8; jpeg compressed bgr8", "bgr8"),
        ("rgb8; jpeg compressed bgr8", "bgr8"),
        ("rgb8; jpeg compressed rgb8", "rgb8"),
        ("rgb8; jpeg compressed", "rgb8"),
        ("mono8; jpeg compressed ", "mono8"),
        ("mono8; jpeg compressed mono8", "mono8"),
        ("mono8; png compressed ", "mono8"),
        ("16UC1; png compressed ", "16uc1"),
        ("bayer_rggb8; png compressed ", "bayer_rggb8"),
        (" rgb8 ;  jpeg   compressed   bgr8  ", "bgr8"),
        ("jpeg", ""),
        ("jpg", ""),
        (" jpg ", ""),
        ("png", ""),
        ("", ""),
        ("wrong", ""),
        ("invalid", ""),
        ("jpeg compressed wrong", ""),
        ("png compressed wrong", ""),
        ("rgb8; jpeg", ""),
        ("rgb8;", ""),
    ],
)
def test_formats_of_the_compressed_transport(text, layout) -> None:
    assert stored_format(text, b"\xff\xd8\xff") == StoredFormat(layout)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("16UC1; compressedDepth png", StoredFormat("16uc1", is_compressed_depth=True)),
        ("16UC1; compressedDepth", StoredFormat("16uc1", is_compressed_depth=True)),
        ("16UC1; compressedDepth rvl", StoredFormat("16uc1", is_compressed_depth=True, is_rvl=True)),
        ("32FC1; compressedDepth png ", StoredFormat("32fc1", is_compressed_depth=True)),
        ("32FC1; compressedDepth rvl", StoredFormat("32fc1", is_compressed_depth=True, is_rvl=True)),
        ("rvl", StoredFormat("16uc1", is_compressed_depth=True, is_rvl=True)),
        ("png compressedDepth wrong", StoredFormat("16uc1", is_compressed_depth=True)),
        ("rvl compressedDepth wrong", StoredFormat("16uc1", is_compressed_depth=True)),
    ],
)
def test_formats_of_the_compressed_depth_transport(text, expected) -> None:
    assert stored_format(text, bytes(12)) == expected


@pytest.mark.parametrize("text", ["png", "", "wrong"])
def test_the_png_magic_decides_where_the_format_does_not(text) -> None:
    assert stored_format(text, PNG_MAGIC + bytes(30)) == StoredFormat("")
    assert stored_format(text, bytes(12) + PNG_MAGIC) == StoredFormat("16uc1", is_compressed_depth=True)


@pytest.mark.parametrize(
    "text", ["bgr8; png compressed bgr8", "rgb8; png compressed bgr8", "png", "", "jpeg", "rgba8; png compressed bgr8"]
)
def test_a_true_colour_file(text, compressed, encode) -> None:
    decoded = decode(compressed(encode(".png", BGR), text), "front", PLAIN)
    np.testing.assert_array_equal(decoded, RGB)
    assert decoded.flags.c_contiguous
    assert not decoded.flags.writeable


@pytest.mark.parametrize("text", ["rgb8; png compressed rgb8", "rgb8; tiff compressed ", "bgr8; png compressed rgb8"])
def test_a_publisher_that_compressed_rgb_as_if_it_were_bgr(text, compressed, encode) -> None:
    extension = ".tiff" if "tiff" in text else ".png"
    np.testing.assert_array_equal(decode(compressed(encode(extension, RGB), text), "front", PLAIN), RGB)


@pytest.mark.parametrize(
    ("text", "order"), [("bgra8; tiff compressed ", "bgr"), ("rgba8; tiff compressed ", "rgb"), ("png", "bgr")]
)
def test_alpha_is_dropped(text, order, compressed, encode) -> None:
    colours = RGB if order == "rgb" else BGR
    pixels = np.dstack([colours, np.full((5, 7), 128, np.uint8)])
    extension = ".tiff" if "tiff" in text else ".png"
    np.testing.assert_array_equal(decode(compressed(encode(extension, pixels), text), "front", PLAIN), RGB)


@pytest.mark.parametrize(
    "text",
    ["bgr8; jpeg compressed bgr8", "rgb8; jpeg compressed bgr8", "jpeg", "jpg", "jpg ", "", "jpeg compressed wrong"],
)
def test_a_jpeg(text, compressed, encode) -> None:
    orange = np.full((16, 24, 3), (10, 120, 240), np.uint8)
    decoded = decode(compressed(encode(".jpg", orange), text), "front", PLAIN)
    np.testing.assert_allclose(decoded, np.broadcast_to([240, 120, 10], (16, 24, 3)), atol=3)


@pytest.mark.parametrize(
    "text", ["mono8; jpeg compressed ", "mono8; jpeg compressed mono8", "jpeg", "16UC1; jpeg compressed "]
)
def test_a_gray_jpeg(text, compressed, encode) -> None:
    decoded = decode(compressed(encode(".jpg", np.full((16, 24), 77, np.uint8)), text), "front", PLAIN)
    np.testing.assert_allclose(decoded, np.full((16, 24, 3), 77), atol=1)


@pytest.mark.parametrize("text", ["mono8; png compressed ", "mono8; png compressed", "png", ""])
def test_a_gray_png(text, compressed, encode) -> None:
    decoded = decode(compressed(encode(".png", RGB[..., 0]), text), "front", PLAIN)
    np.testing.assert_array_equal(decoded, RGB[..., :1].repeat(3, axis=2))


@pytest.mark.parametrize(
    ("text", "pixels"), [("rgb16; png compressed bgr16", BGR), ("rgb16; png compressed rgb16", RGB), ("png", BGR)]
)
def test_16_bit_colours_are_converted_once(text, pixels, compressed, encode) -> None:
    # 257 * v + 128 rounds to v and 257 * v + 129 to v + 1, so dropping the low byte would not do.
    low = np.minimum(pixels, 254).astype(np.uint16)
    expected = np.minimum(RGB, 254)
    for offset, level in ((0, 0), (128, 0), (129, 1)):
        decoded = decode(compressed(encode(".png", low * 257 + offset), text), "front", PLAIN)
        np.testing.assert_array_equal(decoded, expected + level)


def test_16_bit_gray_is_depth_only_where_the_format_says_so(compressed, encode) -> None:
    png = encode(".png", np.array([[0, 257, 25700, 65535]], dtype=np.uint16))
    for text in ("mono16; png compressed ", "png"):
        decoded = decode(compressed(png, text), "front", PLAIN)
        np.testing.assert_array_equal(decoded[0, :, 0], [0, 1, 100, 255])
    assert decode(compressed(png, "16UC1; png compressed "), "front", PLAIN)[0, :, 0].tolist() == [0, 255, 1, 1]


def test_a_bayer_pattern_compressed_as_gray(compressed, encode) -> None:
    mosaic = np.tile(np.array([[50, 100], [100, 200]], np.uint8), (3, 4))
    decoded = decode(compressed(encode(".png", mosaic), "bayer_bggr8; png compressed "), "front", PLAIN)
    np.testing.assert_array_equal(decoded, np.broadcast_to([200, 100, 50], (6, 8, 3)))
    # Converted by the publisher, it is gray already.
    decoded = decode(compressed(encode(".png", mosaic), "bayer_bggr8; png compressed mono8"), "front", PLAIN)
    np.testing.assert_array_equal(decoded[..., 0], mosaic)


def jpeg_by_pillow(**options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((16, 24, 3), 90, np.uint8)).save(file, "JPEG", **options)
    return file.getvalue()


def test_exif_does_not_turn_the_picture_but_the_option_does(compressed) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    message = compressed(jpeg_by_pillow(exif=exif), "jpeg")
    assert decode(message, "front", PLAIN).shape == (16, 24, 3)
    assert decode(message, "front", DecodeOptions(rotate_deg=90)).shape == (24, 16, 3)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"comment": b"\xff\xd9"}])
def test_a_jpeg_that_is_cut_off_is_refused_and_one_with_padding_is_not(options, compressed) -> None:
    whole = jpeg_by_pillow(**options)
    for padding in (b"", bytes(50), b"\xff\xd9"):
        assert decode(compressed(whole + padding, "jpeg"), "front", PLAIN).shape == (16, 24, 3)
    with pytest.raises(ImageError, match=r"the JPEG is cut off: its \d+ bytes have no end-of-image marker"):
        decode(compressed(whole[:-2], "jpeg"), "front", PLAIN)
    for length in range(1, len(whole)):
        with pytest.raises(ImageError):
            decode(compressed(whole[:length], "jpeg"), "front", PLAIN)


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_of_size(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        PNG_MAGIC + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(9))) + png_chunk(b"IEND", b"")
    )


def jpeg_of_size(width: int, height: int) -> bytes:
    return b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 8, 8, height, width, 1) + b"\xff\xda\x00\x02\xff\xd9"


def tiff_of_size(width: int, height: int, order: str = "<") -> bytes:
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    entries = struct.pack(f"{order}HHIIHHII", 256, 4, 1, width, 257, 4, 1, height)
    return start + struct.pack(f"{order}IH", 8, 2) + entries + bytes(40)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "data is empty"),
        (
            b"abcdefghijkl",
            "data starts with 61 62 63 64 65 66 67 68, as no JPEG, PNG, TIFF, WebP, JPEG 2000 or BMP does",
        ),
        (b"BM" + bytes(60), "the BMP has a header of 0 bytes, which none has"),
        (PNG_MAGIC, "the 8 bytes of PNG data end within the header"),
        (b"\xff\xd8\xff", "the 3 bytes of JPEG data end within the header"),
        (b"\xff\xd8\xff\xe0\x00\x04ab", "hold no picture"),
        (b"\xff\xd8\xff\xda\x00\x02\xff\xd9", "the JPEG has no frame header before its pixels"),
        (b"II*\0" + bytes(2), "the 6 bytes of TIFF data end within the header"),
        (b"II*\0\x08\0\0\0\0\0", "size is 0x0"),
        (png_of_size(0, 5), "size is 0x5: a picture needs at least one pixel"),
        (png_of_size(2**31 - 1, 2**31 - 1), "more than 67108864"),
        (png_of_size(60000, 60000), "size is 60000x60000 = 3600000000 pixels, more than 67108864"),
        (jpeg_of_size(65535, 65535), "size is 65535x65535 = 4294836225 pixels, more than 67108864"),
        (jpeg_of_size(24, 0), "size is 24x0"),
        (tiff_of_size(60000, 50000), "size is 60000x50000"),
        (tiff_of_size(60000, 50000, ">"), "size is 60000x50000"),
        (png_of_size(4, 4)[:50], "the PNG is cut off: its 50 bytes have no IEND chunk"),
        (png_of_size(4, 4).replace(b"\x00\x00\x00\x0bIDAT", b"\x7f\xff\xff\xffIDAT"), "have no IEND chunk"),
        (png_of_size(4, 4), "bytes of PNG data are damaged or cut off"),
        (jpeg_of_size(4, 4), "bytes of JPEG data are damaged or cut off"),
    ],
)
def test_damaged_data(data, reason, compressed) -> None:
    for text in ("bgr8; jpeg compressed bgr8", "jpg"):
        with pytest.raises(ImageError) as caught:
            decode(compressed(data, text), "front", PLAIN)
        assert reason in caught.value.reason
        assert (caught.value.camera, caught.value.encoding) == ("front", text)


def test_an_absurd_size_in_a_compressed_depth_png(compressed) -> None:
    with pytest.raises(ImageError, match="size is 60000x60000"):
        decode(compressed(bytes(12) + png_of_size(60000, 60000), "16UC1; compressedDepth png"), "depth", PLAIN)


def test_a_png_that_is_cut_off(compressed, encode) -> None:
    whole = encode(".png", BGR)
    for length in range(1, len(whole) - 12):
        with pytest.raises(ImageError, match=r"as no JPEG|end within the header|the PNG is cut off"):
            decode(compressed(whole[:length], "png"), "front", PLAIN)


def test_whatever_the_bytes_are_there_is_a_picture_or_the_one_error(compressed, encode, encode_rvl) -> None:
    depth = np.arange(35, dtype=np.uint16).reshape(5, 7) * 100
    originals = [
        (encode(".jpg", BGR), "jpeg"),
        (encode(".png", BGR), "rgb8; png compressed bgr8"),
        (encode(".tiff", BGR), "rgb8; tiff compressed "),
        (encode(".tiff", depth.astype(np.float32)), "32FC1; tiff compressed "),
        (encode(".png", depth), "bayer_rggb16; png compressed "),
        (struct.pack("<iff", 0, 100.0, -3.0) + encode(".png", depth), "32FC1; compressedDepth png"),
        (struct.pack("<iff", 0, 100.0, -3.0) + encode_rvl(depth), "32FC1; compressedDepth rvl"),
    ]
    random = np.random.default_rng(13)
    refused = 0
    for data, text in originals:
        assert decode(compressed(data, text), "front", PLAIN).shape == (5, 7, 3)
        for _ in range(60):
            damaged = np.frombuffer(data, np.uint8).copy()
            damaged[random.integers(0, len(damaged), size=random.integers(1, 4))] = random.integers(0, 256)
            damaged = damaged[: random.integers(len(damaged) // 2, 2 * len(damaged))]
            try:
                rgb = decode(compressed(damaged.tobytes(), text), "front", DecodeOptions(max_pixels=10_000))
            except ImageError:
                refused += 1
            else:
                assert rgb.dtype == np.uint8
                assert rgb.ndim == 3
                assert rgb.shape[2] == 3
    assert 60 < refused < 7 * 60
