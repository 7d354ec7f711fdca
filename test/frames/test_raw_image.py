"""sensor_msgs/Image to RGB: exact pixels for every encoding, and the text of every refusal."""

from __future__ import annotations

import numpy as np
import pytest

from llava_ov_ros.frames import DecodeOptions, ImageError, decode

PLAIN = DecodeOptions()
# Where red, green, blue and alpha (as letters) lie in a pixel, and the type of a sample.
PACKED = {
    "rgb8": ("rgb", "u1"),
    "bgr8": ("bgr", "u1"),
    "rgba8": ("rgba", "u1"),
    "bgra8": ("bgra", "u1"),
    "8UC3": ("bgr", "u1"),
    "8UC4": ("bgra", "u1"),
    "mono8": ("r", "u1"),
    "8UC1": ("r", "u1"),
    "rgb16": ("rgb", "u2"),
    "bgr16": ("bgr", "u2"),
    "rgba16": ("rgba", "u2"),
    "bgra16": ("bgra", "u2"),
    "mono16": ("r", "u2"),
}
YUV_422 = {"uyvy": "uyvy", "yuv422": "uyvy", "yuyv": "yuyv", "yuv422_yuy2": "yuyv"}


def pack(rgb: np.ndarray, encoding: str, big_endian: bool, alpha: np.ndarray) -> np.ndarray:
    """Samples of an RGB picture in an encoding's order, as bytes (height, bytes of a row)."""
    letters, sample = PACKED[encoding]
    channels = np.stack([alpha if letter == "a" else rgb[..., "rgb".index(letter)] for letter in letters], axis=-1)
    samples = channels if sample == "u1" else channels.astype(np.uint16) * 257
    stored = samples.astype(("<", ">")[big_endian] + sample)
    return np.frombuffer(stored.tobytes(), dtype=np.uint8).reshape(len(rgb), -1)


@pytest.mark.parametrize("encoding", PACKED)
def test_packed_encodings_for_random_sizes_steps_and_byte_orders(encoding, image) -> None:
    random = np.random.default_rng(sum(map(ord, encoding)))
    for _ in range(25):
        height, width = random.integers(1, 12, size=2)
        rgb = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if PACKED[encoding][0] == "r":
            rgb[..., 1:] = rgb[..., :1]
        big_endian = bool(random.integers(2))
        rows = pack(rgb, encoding, big_endian, random.integers(0, 256, (height, width), dtype=np.uint8))
        padding = random.integers(0, 256, (height, random.integers(0, 8)), dtype=np.uint8)
        data = np.concatenate([rows, padding], axis=1).tobytes()
        step = len(data) // height
        if random.integers(2):
            data = data[: len(data) - padding.shape[1]]
        message = image(data, encoding, int(width), int(height), step=step, is_bigendian=int(big_endian))
        decoded = decode(message, "front", PLAIN)
        np.testing.assert_array_equal(decoded, rgb)
        assert decoded.dtype == np.uint8
        assert decoded.flags.c_contiguous
        assert not decoded.flags.writeable


def test_16_bits_are_scaled_as_cv_bridge_scales_them(image) -> None:
    levels = np.arange(65536, dtype="<u2")
    decoded = decode(image(levels, "mono16", 256, 256), "front", PLAIN)
    np.testing.assert_array_equal(decoded[..., 0].ravel(), np.rint(np.arange(65536) * (255 / 65535)))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns(pattern, bits, image) -> None:
    colour = {"r": 200, "g": 100, "b": 50}
    tile = np.array([colour[letter] for letter in pattern]).reshape(2, 2)
    mosaic = np.tile(tile, (3, 4)).astype("u1") if bits == 8 else (np.tile(tile, (3, 4)) * 257).astype(">u2")
    decoded = decode(image(mosaic, f"bayer_{pattern}{bits}", 8, 6, is_bigendian=1), "front", PLAIN)
    np.testing.assert_array_equal(decoded, np.broadcast_to([200, 100, 50], (6, 8, 3)))


def bt601(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """RGB of studio-range YUV (ITU-R BT.601), as floats (height, width, 3)."""
    luma, blue, red = 255 / 219 * (y.astype(float) - 16), u.astype(float) - 128, v.astype(float) - 128
    channels = luma + 1.596 * red, luma - 0.391 * blue - 0.813 * red, luma + 2.018 * blue
    return np.clip(np.stack(channels, axis=-1), 0, 255)


def random_planes(width: int, height: int, across: int, down: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Luma of full and chroma of lower resolution."""
    random = np.random.default_rng(7)
    y = random.integers(16, 236, (height, width), dtype=np.uint8)
    u, v = random.integers(16, 240, (2, height // down, width // across), dtype=np.uint8)
    return y, u, v


@pytest.mark.parametrize("encoding", YUV_422)
def test_yuv_with_half_chroma(encoding, image) -> None:
    y, u, v = random_planes(8, 5, 2, 1)
    first, second = y[:, 0::2], y[:, 1::2]
    columns = [u, first, v, second] if YUV_422[encoding] == "uyvy" else [first, u, second, v]
    rows = np.stack(columns, axis=-1).reshape(5, 16)
    padded = np.concatenate([rows, np.full((5, 3), 99, np.uint8)], axis=1)
    decoded = decode(image(padded, encoding, 8, 5, is_bigendian=1), "front", PLAIN)
    expected = bt601(y, u.repeat(2, axis=1), v.repeat(2, axis=1))
    np.testing.assert_allclose(decoded, expected, atol=1.5)


@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_yuv_with_quarter_chroma(encoding, padding, image) -> None:
    y, u, v = random_planes(8, 6, 2, 2)
    chroma = np.stack([u, v] if encoding == "nv12" else [v, u], axis=-1).reshape(3, 8)
    planes = np.pad(np.concatenate([y, chroma]), ((0, 0), (0, padding)))
    decoded = decode(image(planes, encoding, 8, 6, step=8 + padding), "front", PLAIN)
    expected = bt601(y, *(plane.repeat(2, axis=0).repeat(2, axis=1) for plane in (u, v)))
    np.testing.assert_allclose(decoded, expected, atol=1.5)


@pytest.mark.parametrize("padding", [0, 4])
def test_yuv_with_full_chroma(padding, image) -> None:
    y, u, v = random_planes(7, 5, 1, 1)
    luma = np.pad(y, ((0, 0), (0, padding)))
    chroma = np.pad(np.stack([u, v], axis=-1).reshape(5, 14), ((0, 0), (0, 2 * padding)))
    message = image(luma.tobytes() + chroma.tobytes(), "nv24", 7, 5, step=7 + padding)
    np.testing.assert_allclose(decode(message, "front", PLAIN), bt601(y, u, v), atol=1.5)


@pytest.mark.parametrize(("encoding", "octets"), [("nv12", 72), ("nv21", 72), ("nv24", 144)])
def test_a_step_of_twice_the_width_with_packed_planes(encoding, octets, image) -> None:
    data = np.random.default_rng(3).integers(0, 256, octets, dtype=np.uint8)
    by_two_channels, by_luma = (decode(image(data, encoding, 8, 6, step=step), "front", PLAIN) for step in (16, 8))
    np.testing.assert_array_equal(by_two_channels, by_luma)


def test_rgb8_is_a_view_that_cannot_be_written(image) -> None:
    message = image(np.arange(24, dtype=np.uint8), "rgb8", 4, 2)
    decoded = decode(message, "front", PLAIN)
    assert np.shares_memory(decoded, message.data)
    with pytest.raises(ValueError, match="read-only"):
        decoded[0, 0, 0] = 1


def test_a_frame_keeps_no_more_alive_than_its_pixels(image) -> None:
    message = image(bytes(10_000), "rgb8", 4, 2, step=12)
    assert not np.shares_memory(decode(message, "front", PLAIN), message.data)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (0, [[1, 2, 3], [4, 5, 6]]),
        (90, [[4, 1], [5, 2], [6, 3]]),
        (180, [[6, 5, 4], [3, 2, 1]]),
        (270, [[3, 6], [2, 5], [1, 4]]),
    ],
)
def test_rotation_is_clockwise(degrees, expected, image) -> None:
    message = image(np.arange(1, 7, dtype=np.uint8), "mono8", 3, 2)
    decoded = decode(message, "front", DecodeOptions(rotate_deg=degrees))
    np.testing.assert_array_equal(decoded[..., 0], expected)
    assert decoded.flags.c_contiguous
    assert not decoded.flags.writeable


@pytest.mark.parametrize(
    ("data", "encoding", "width", "height", "step", "reason"),
    [
        (bytes(23), "rgb8", 4, 2, 12, "data has 23 bytes, 2 rows with step 12 have 24"),
        (b"", "mono8", 4, 2, 4, "data has 0 bytes, 2 rows with step 4 have 8"),
        (bytes(24), "rgb8", 4, 2, 11, "step is 11, a row of 4 pixels has 12 bytes"),
        (bytes(24), "rgb8", 4, 2, 0, "step is 0, a row of 4 pixels has 12 bytes"),
        (bytes(24), "rgb24", 4, 2, 12, "the encoding is unknown; known are 16sc1, 16uc1, 32fc1, 8uc1"),
        (bytes(24), "", 4, 2, 12, "the encoding is unknown"),
        (bytes(24), "rgb8", 0, 2, 12, "size is 0x2: a picture needs at least one pixel"),
        (b"", "rgb8", 0, 0, 0, "size is 0x0"),
        (bytes(24), "rgb8", 2**31, 2**31, 2**31, f"more than {PLAIN.max_pixels}"),
        (bytes(24), "yuyv", 3, 2, 8, "width is 3, but chroma of half the resolution needs an even one"),
        (bytes(24), "uyvy", 3, 2, 8, "width is 3"),
        (bytes(24), "nv12", 3, 2, 4, "width is 3"),
        (bytes(24), "nv21", 4, 3, 4, "height is 3, but chroma of half the resolution needs an even one"),
        (bytes(11), "nv12", 4, 2, 4, "data has 11 bytes, 3 rows with step 4 have 12"),
        (bytes(23), "nv24", 4, 2, 4, "data has 15 bytes, 2 rows with step 8 have 16"),
        (bytes(4), "bayer_rggb8", 2, 2, 2, "size is 2x2, a Bayer pattern needs 3 pixels each way"),
        (bytes(15), "16UC1", 4, 2, 8, "data has 15 bytes"),
        (bytes(31), "32FC1", 4, 2, 16, "data has 31 bytes"),
    ],
)
def test_malformed_messages(data, encoding, width, height, step, reason, image) -> None:
    with pytest.raises(ImageError) as caught:
        decode(image(data, encoding, width, height, step=step), "front", PLAIN)
    assert caught.value.camera == "front"
    assert caught.value.encoding == encoding
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"camera 'front', encoding {encoding!r}: ")


def test_the_size_limit_is_the_camera_owners(image) -> None:
    message = image(bytes(8), "mono8", 4, 2)
    assert decode(message, "front", DecodeOptions(max_pixels=8)).shape == (2, 4, 3)
    with pytest.raises(ImageError, match="size is 4x2 = 8 pixels, more than 7"):
        decode(message, "front", DecodeOptions(max_pixels=7))


@pytest.mark.parametrize(("width", "height"), [(33, 1), (1, 33), (100_000, 2)])
def test_a_picture_that_is_as_good_as_a_line(width, height, image) -> None:
    with pytest.raises(ImageError, match=f"size is {width}x{height}: one side is more than 32 times the other"):
        decode(image(bytes(width * height), "mono8", width, height), "front", PLAIN)
    narrow = (width, height) if max(width, height) < 1000 else (64, 2)
    wide = tuple(min(side, 32 * min(narrow)) for side in narrow)
    assert decode(image(bytes(wide[0] * wide[1]), "mono8", *wide), "front", PLAIN).shape[:2] == wide[::-1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rotate_deg": 45}, "rotate_deg must be 0, 90, 180 or 270, not 45"),
        ({"value_range": "2..2"}, "value_range is '2..2': allowed are default, auto, or"),
        ({"value_range": "0..inf"}, "value_range is '0..inf'"),
        ({"value_range": "nan..10"}, "value_range is 'nan..10'"),
        ({"value_range": "4095"}, "value_range is '4095'"),
        ({"value_range": ""}, "value_range is ''"),
        ({"max_pixels": 0}, "max_pixels must be at least 1, not 0"),
    ],
)
def test_impossible_options(options, text) -> None:
    with pytest.raises(ValueError, match=text):
        DecodeOptions(**options)


def test_the_classes_of_rclpy() -> None:
    from sensor_msgs.msg import CompressedImage, Image

    message = Image(height=2, width=4, encoding="rgb8", step=12, data=bytes(range(24)))
    decoded = decode(message, "front", PLAIN)
    np.testing.assert_array_equal(decoded.ravel(), np.arange(24))
    assert np.shares_memory(decoded, np.frombuffer(message.data, dtype=np.uint8))
    with pytest.raises(ImageError, match="data starts with 00 01 02"):
        decode(CompressedImage(format="jpeg", data=bytes(range(24))), "front", PLAIN)
