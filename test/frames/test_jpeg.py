"""Damaged JPEGs are found in the one decode that makes the pixels; the truth is what libjpeg warns of."""

from __future__ import annotations

import io
import os
import tempfile
from collections import Counter

import cv2
import numpy as np
import pytest
from PIL import Image

from llava_ov_ros.frames import Camera, CameraSettings, DamagedError, DecodeOptions, ImageError, Outcome, decode
from llava_ov_ros.frames.jpeg import decode_jpeg, read_jpeg_header

USE = DecodeOptions(on_damaged="use")
NS_PER_S = 1_000_000_000
END = b"\xff\xd9"


def scene(height: int = 240, width: int = 320, seed: int = 1) -> np.ndarray:
    """A picture with slopes, waves and noise, as a camera gives."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([x / 3, y / 2, (x + y) / 5], axis=-1) + 60 * np.sin(x / 17)[..., None]
    noise = np.random.default_rng(seed).normal(0, 6, (height, width, 3))
    return np.clip(waves + noise, 0, 255).astype(np.uint8)


def by_pillow(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def warned(data: bytes) -> bool:
    """Whether libjpeg, in OpenCV, prints a warning on the standard error or gives up."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        return pixels is None or b"JPEG" in file.read()


def is_damaged(data: bytes) -> bool:
    try:
        return bool(decode_jpeg(data).damage)
    except ValueError:
        return True


def cuts(data: bytes, random: np.random.Generator) -> bytes:
    """Bytes of the codes lost in the middle or at the end, or one bit changed; the end-of-image marker stays."""
    start = read_jpeg_header(data).scan + 20
    at = int(random.integers(start, len(data) - 2))
    if random.random() < 0.3:
        flipped = bytearray(data)
        flipped[at] ^= 1 << int(random.integers(8))
        return bytes(flipped)
    if random.random() < 0.5:
        return data[:at] + END
    return data[:at] + data[min(at + int(random.integers(1, 500)), len(data) - 2) :]


KINDS = {
    "OpenCV": {},
    "Pillow": {"quality": 60},
    "not subsampled": {"quality": 90, "subsampling": 0},
    "optimised": {"optimize": True},
    "gray": {},
    "restarts": {"restart_marker_rows": 1},
    "progressive": {"progressive": True},
}


def file_of(kind: str, seed: int = 1) -> bytes:
    pixels = scene(seed=seed)
    if kind == "OpenCV":
        return cv2.imencode(".jpg", pixels)[1].tobytes()
    return by_pillow(pixels[..., 0] if kind == "gray" else pixels, **KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_whole_pictures_are_not_damaged_and_have_opencvs_pixels(kind) -> None:
    for seed in range(20):
        data = file_of(kind, seed)
        for padded in (data, data + bytes(50), data + END, data[:-2] + b"\xff\xff" + END):
            found = decode_jpeg(padded)
            assert found.damage == ""
            expected = cv2.imdecode(np.frombuffer(padded, np.uint8), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(found.pixels, expected[..., ::-1] if expected.ndim == 3 else expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 8), (17, 33), (5, 640), (480, 7)])
@pytest.mark.parametrize("level", [None, 0, 255])
def test_small_flat_and_dark_pictures_are_not_damaged(size, level) -> None:
    pixels = scene(*size) if level is None else np.full((*size, 3), level, np.uint8)
    for options in ({}, {"quality": 100, "subsampling": 0}, {"optimize": True}, {"restart_marker_blocks": 1}):
        assert decode_jpeg(by_pillow(pixels, **options)).damage == ""
    assert decode_jpeg(cv2.imencode(".jpg", pixels)[1].tobytes()).damage == ""


@pytest.mark.parametrize("kind", ["OpenCV", "Pillow", "not subsampled", "optimised", "gray"])
def test_what_libjpeg_warns_of_is_found(kind) -> None:
    random = np.random.default_rng(17)
    seen: Counter[tuple[bool, bool]] = Counter()
    for number in range(200):
        data = cuts(file_of(kind, number % 10), random)
        seen[warned(data), is_damaged(data)] += 1
    assert seen[False, True] == 0, "nothing is called damaged of which libjpeg says nothing"
    assert seen[True, True] > 100
    # Up to 8 bytes too few or too many are within what the decoder reads ahead.
    assert seen[True, False] <= 0.05 * seen[True, True]


def test_restart_markers_that_are_lost_are_found() -> None:
    data = file_of("restarts")
    marks = [
        at for at in range(read_jpeg_header(data).scan, len(data)) if data[at : at + 2] in (b"\xff\xd2", b"\xff\xd4")
    ]
    without_an_interval = data[: marks[0]] + data[marks[1] :]
    assert warned(without_an_interval)
    assert is_damaged(without_an_interval)


def test_a_jpeg_without_its_end_is_found_in_every_kind() -> None:
    for kind in KINDS:
        data = file_of(kind)
        for cut in (data[:-2], data[:-1], data[:-300]):
            assert decode_jpeg(cut).damage.endswith("bytes have no end-of-image marker")


def test_damaged_pictures_are_refused_or_used_and_counted(compressed) -> None:
    whole = file_of("OpenCV")
    start = read_jpeg_header(whole).scan
    broken = [whole[: len(whole) // 2], whole[: len(whole) // 2] + END, whole[: start + 9000] + whole[start + 9300 :]]
    for data in broken:
        with pytest.raises(DamagedError, match=r"camera 'front', encoding 'jpeg': the JPEG is (cut off|damaged): "):
            decode(compressed(data, "jpeg"), "front", DecodeOptions())
        used = decode(compressed(data, "jpeg"), "front", USE)
        # What lies before the damage is as it was.
        np.testing.assert_array_equal(used[:8], decode(compressed(whole, "jpeg"), "front", USE)[:8])
    for options, outcome in ((DecodeOptions(), Outcome.DAMAGED), (USE, Outcome.ADMITTED)):
        camera = Camera("front", CameraSettings(decode=options))
        for number, data in enumerate(broken, 1):
            message = compressed(data, "jpeg", stamp_ns=number * NS_PER_S)
            assert camera.offer(message, number * NS_PER_S) is outcome
        counts = camera.counts
        assert (counts.received, counts.damaged, counts.malformed) == (3, 3, 0)
        assert counts.admitted == (3 if outcome is Outcome.ADMITTED else 0)
        assert counts.last_error.startswith("camera 'front', encoding 'jpeg': the JPEG is damaged")
        assert camera.offer(compressed(whole, "jpeg", stamp_ns=9 * NS_PER_S), 9 * NS_PER_S) is Outcome.ADMITTED
        assert (camera.counts.damaged, camera.counts_since_fresh.last_error) == (3, "")


def test_the_channel_order_that_the_format_names_holds_for_jpegs(compressed, encode) -> None:
    rgb = scene(64, 64)
    plain = decode(compressed(encode(".jpg", rgb[..., ::-1]), "rgb8; jpeg compressed bgr8"), "front", USE)
    exchanged = decode(compressed(encode(".jpg", rgb), "rgb8; jpeg compressed rgb8"), "front", USE)
    assert np.abs(plain.astype(int) - rgb).mean() < 8
    assert np.abs(exchanged.astype(int) - rgb).mean() < 8


def test_four_channels_are_opencvs(compressed) -> None:
    file = io.BytesIO()
    Image.fromarray(scene(64, 64)).convert("CMYK").save(file, "JPEG")
    expected = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(decode(compressed(file.getvalue(), "jpeg"), "front", USE), expected)


def test_whatever_the_bytes_are_there_is_a_picture_or_the_one_error(compressed) -> None:
    random = np.random.default_rng(5)
    for kind in KINDS:
        data = file_of(kind)
        for _ in range(60):
            damaged = np.frombuffer(data, np.uint8).copy()
            damaged[random.integers(0, 700, size=random.integers(1, 4))] = random.integers(0, 256)
            try:
                rgb = decode(compressed(damaged.tobytes(), "jpeg"), "front", USE)
            except ImageError:
                continue
            assert (rgb.dtype, rgb.ndim) == (np.uint8, 3)


def test_a_wrong_choice_is_named() -> None:
    with pytest.raises(ValueError, match="on_damaged must be refuse or use, not 'keep'"):
        DecodeOptions(on_damaged="keep")
