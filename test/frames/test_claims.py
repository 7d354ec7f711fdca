"""What a message may cost before it is decoded: sizes that are declared twice, or for which there are no data."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from llava_ov_ros.frames import DecodeOptions, ImageError, decode
from llava_ov_ros.frames.decode_options import PIXELS_WITHOUT_PROOF
from llava_ov_ros.frames.rvl import decode_rvl

SMALL = DecodeOptions(max_pixels=10_000)
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
SHORT, LONG, LONG8 = 3, 4, 16
WIDTH, HEIGHT, BITS, SAMPLES, TILE_WIDTH, TILE_HEIGHT = 256, 257, 258, 277, 322, 323

Tag = tuple[int, int, int, int]
"""Tag, type, number of values, and the value or where it is."""


def tiff_with(before: list[Tag], after: list[Tag], without: tuple[int, ...] = (), side: int = 64) -> bytes:
    """A gray TIFF of Pillow's with other tags in its directory, which is written anew behind the pixels."""
    file = io.BytesIO()
    Image.fromarray(np.full((side, side), 90, np.uint8)).save(file, "TIFF")
    data = file.getvalue()
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    own = [struct.unpack_from("<HHII", data, directory + 2 + 12 * number) for number in range(entries)]
    tags = [*before, *(tag for tag in own if tag[0] not in without), *after]
    written = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + written


def test_a_tiff_that_declares_its_size_twice(compressed) -> None:
    twice = tiff_with([], [(WIDTH, LONG, 1, 8), (HEIGHT, LONG, 1, 8)])
    # OpenCV goes by the first of the tags, so the last ones must not decide whether the size is allowed.
    assert cv2.imdecode(np.frombuffer(twice, np.uint8), cv2.IMREAD_UNCHANGED).shape == (64, 64)
    for options in (SMALL, DecodeOptions(max_pixels=100)):
        with pytest.raises(ImageError, match="the TIFF has the tag ImageWidth twice"):
            decode(compressed(twice, "tiff"), "front", options)
    with pytest.raises(ImageError, match="the TIFF has the tag ImageLength twice"):
        decode(compressed(tiff_with([], [(HEIGHT, SHORT, 1, 64)]), "tiff"), "front", SMALL)


def test_the_tiff_with_each_tag_once_is_a_picture(compressed) -> None:
    assert decode(compressed(tiff_with([], []), "tiff"), "front", SMALL).shape == (64, 64, 3)
    assert decode(compressed(tiff_with([(WIDTH, SHORT, 1, 64)], [], (WIDTH,)), "tiff"), "front", SMALL).mean() == 90


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ([(WIDTH, LONG8, 1, 8)], "the TIFF's tag ImageWidth has 1 values of type 16, not one SHORT or LONG"),
        ([(WIDTH, LONG, 2, 8)], "the TIFF's tag ImageWidth has 2 values of type 4"),
        ([(SAMPLES, SHORT, 1, 9)], "the TIFF has 72 bits a pixel, more than 64"),
        ([(TILE_WIDTH, LONG, 1, 30_000), (TILE_HEIGHT, LONG, 1, 30_000)], "the TIFF has tiles of 900000000 pixels"),
        ([(WIDTH, LONG, 1, 2**31), (HEIGHT, LONG, 1, 2**31)], "more than 10000"),
    ],
)
def test_a_tiff_whose_tags_could_ask_for_more_than_they_seem_to(tags, reason, compressed) -> None:
    data = tiff_with(tags, [], tuple(tag[0] for tag in tags))
    with pytest.raises(ImageError, match=reason):
        decode(compressed(data, "tiff"), "front", SMALL)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_header(width: int, height: int, bits: int = 8, colour: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def test_a_png_that_declares_its_size_twice_or_late(compressed, encode) -> None:
    whole = encode(".png", np.full((8, 8), 90, np.uint8))
    assert whole.startswith(PNG_MAGIC + png_header(8, 8))
    rest = whole.removeprefix(PNG_MAGIC + png_header(8, 8))
    with pytest.raises(ImageError, match="the PNG declares its size twice"):
        decode(compressed(PNG_MAGIC + png_header(8, 8) + png_header(9000, 9000) + rest, "png"), "front", SMALL)
    late = chunk(b"teSt", struct.pack(">II", 8, 8)) + png_header(9000, 9000)
    with pytest.raises(ImageError, match="the PNG begins with a chunk 'teSt', not with its IHDR"):
        decode(compressed(PNG_MAGIC + late + rest, "png"), "front", SMALL)


def zeros_in_rvl(width: int, height: int) -> bytes:
    """The compressedDepth data of a picture without any measurement: one count of zeros."""
    nibbles, zeros = [], width * height
    while zeros > 7:
        nibbles.append(zeros & 7 | 8)
        zeros >>= 3
    nibbles += [zeros, 0]
    nibbles += [0] * (16 - len(nibbles))
    words = [int("".join(f"{nibble:x}" for nibble in nibbles[i : i + 8]), 16) for i in (0, 8)]
    return bytes(12) + struct.pack("<IIII", width, height, *words)


def one_colour_png(width: int, height: int, bits: int, colour: int, channels: int) -> bytes:
    row = b"\0" + bytes(width * channels * bits // 8)
    pixels = zlib.compressobj(9)
    data = b"".join(pixels.compress(row) for _ in range(height)) + pixels.flush()
    return PNG_MAGIC + png_header(width, height, bits, colour) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def one_colour(side: int, form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 90, np.uint8)).save(file, form)
    return file.getvalue()


def test_a_few_bytes_that_declare_a_large_picture(compressed) -> None:
    few = [
        (zeros_in_rvl(8000, 8000), "16UC1; compressedDepth rvl", 16),
        (PNG_MAGIC + png_header(8000, 8000) + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "png", 57),
        (tiff_with([(WIDTH, LONG, 1, 8000), (HEIGHT, LONG, 1, 8000)], [], (WIDTH, HEIGHT), side=1), "tiff", None),
    ]
    for data, text, length in few:
        reason = f"size is 8000x8000 = 64000000 pixels, but there are only {length or len(data)} bytes of data"
        with pytest.raises(ImageError, match=reason):
            decode(compressed(data, text), "front", DecodeOptions())


def test_a_depth_picture_without_a_measurement_is_a_picture(compressed) -> None:
    for width, height in ((640, 480), (4096, 3072)):
        message = compressed(zeros_in_rvl(width, height), "16UC1; compressedDepth rvl")
        rgb = decode(message, "depth", DecodeOptions())
        assert rgb.shape == (height, width, 3)
        assert not rgb.any()


def test_a_large_picture_of_one_colour_is_a_picture(compressed, encode) -> None:
    white = np.full((5000, 5000), 255, np.uint8)
    assert white.size > PIXELS_WITHOUT_PROOF
    for extension in (".png", ".jpg"):
        assert decode(compressed(encode(extension, white), ""), "front", DecodeOptions()).min() == 255


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (one_colour_png(80, 80, 16, 6, 4), "png"),
        (one_colour_png(80, 80, 16, 2, 3), "png"),
        (one_colour(80, "JPEG2000"), "jpeg2000"),
        (tiff_with([(BITS, SHORT, 1, 16), (SAMPLES, SHORT, 1, 4)], [], (BITS, SAMPLES), side=80), "tiff"),
    ],
    ids=["rgba16 png", "rgb16 png", "jpeg 2000", "rgba16 tiff"],
)
def test_a_pixel_that_takes_twice_the_memory_counts_twice(data, text, compressed) -> None:
    reason = r"size is 80x80 = 6400 pixels, more than 5000 \(half of max_image_pixels"
    with pytest.raises(ImageError, match=reason):
        decode(compressed(data, text), "front", SMALL)


def test_a_pixel_of_16_bit_gray_counts_once(compressed) -> None:
    data = one_colour_png(80, 80, 16, 0, 1)
    assert decode(compressed(data, "png"), "front", SMALL).shape == (80, 80, 3)


MEASURE = """
import sys
from types import SimpleNamespace
from llava_ov_ros.frames import DecodeOptions, decode

def most_memory():
    # Of this program alone: ru_maxrss would begin with that of the process that has started it.
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

text, path = sys.argv[1:]
message = SimpleNamespace(format=text, data=open(path, "rb").read())
before = most_memory()
rgb = decode(message, "front", DecodeOptions())
print((most_memory() - before) / (rgb.shape[0] * rgb.shape[1]))
"""


@pytest.mark.alone
@pytest.mark.parametrize(
    ("data", "text", "most"),
    [
        (zeros_in_rvl(4096, 4096), "16UC1; compressedDepth rvl", 8),
        (bytes(12) + one_colour_png(4096, 4096, 16, 0, 1), "16UC1; compressedDepth png", 8),
        (one_colour_png(4096, 4096, 8, 2, 3), "png", 9),
        (one_colour(4096, "JPEG"), "jpeg", 11),
        (one_colour(4096, "WEBP"), "webp", 9),
        (one_colour(4096, "JPEG2000"), "jpeg2000", 21),
        (one_colour_png(4096, 4096, 16, 6, 4), "png", 18),
    ],
    ids=["rvl", "depth png", "rgb8 png", "jpeg", "webp", "jpeg 2000", "rgba16 png"],
)
def test_the_bytes_of_memory_that_a_pixel_takes(data, text, most, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, text, str(path)], capture_output=True, text=True, check=True, timeout=300
    )
    # As docs/frames.md has it. The picture itself takes 3 of them.
    assert 3 <= float(done.stdout) < most


def test_values_across_the_pieces_in_which_rvl_is_split(encode_rvl) -> None:
    depth = np.random.default_rng(3).integers(0, 65536, (400, 500), dtype=np.uint16)
    depth[depth < 9000] = 0
    code = encode_rvl(depth)
    # More than one piece of 2**16 words, and values of one to six nibbles, so that some lie across the border.
    assert len(code) > 4 * 2**16
    np.testing.assert_array_equal(decode_rvl(code, depth.size), depth)


def test_an_rvl_value_without_an_end() -> None:
    endless = struct.pack("<II", 1000, 1000) + b"\xff" * 400_000
    with pytest.raises(ValueError, match=r"RVL value of \d+ nibbles, more than 10"):
        decode_rvl(endless, 1_000_000)
