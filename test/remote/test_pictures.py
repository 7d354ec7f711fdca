"""Frames as pictures: encoded once, exact as PNG, gone with the frames."""

from __future__ import annotations

import base64
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from fixtures.waiting import PATIENCE_S

from llava_ov_ros.frames import Frame, Rgb
from llava_ov_ros.remote import RemoteSettings
from llava_ov_ros.remote.pictures import Pictures
from llava_ov_ros.remote.squash import squashed


def frame(number: int = 0, shape: tuple[int, int] = (48, 64)) -> Frame:
    """A frame of noise, read-only as those of cameras."""
    rgb = np.random.default_rng(number).integers(0, 256, (*shape, 3), dtype=np.uint8)
    rgb.setflags(write=False)
    return Frame("front", number, "", rgb)


def decoded(text: str) -> Rgb:
    """The pixels of a picture in base64, decoded by OpenCV."""
    data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    found = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert found is not None
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB).astype(np.uint8)


@pytest.mark.parametrize("whole", [False, True])
def test_png_changes_no_pixel(whole: bool):
    shown = frame()
    pictures = Pictures(RemoteSettings(image_px=32, image_format="png"))
    np.testing.assert_array_equal(decoded(pictures.of(shown, whole)), shown.rgb if whole else squashed(shown.rgb, 32))


def test_jpeg_is_a_picture_of_its_quality():
    rows, columns = np.mgrid[0:64, 0:64]
    smooth = Frame("front", 0, "", np.stack([rows * 3, columns * 3, rows + columns], axis=-1).astype(np.uint8))
    sizes = []
    for quality in (30, 95):
        text = Pictures(RemoteSettings(image_px=64, jpeg_quality=quality)).of(smooth, whole=False)
        assert base64.b64decode(text)[:3] == b"\xff\xd8\xff"
        assert np.abs(decoded(text).astype(int) - smooth.rgb).mean() < 6
        sizes.append(len(text))
    assert sizes[0] < sizes[1]


def test_the_addresses_of_pictures():
    shown = [frame(0), frame(1)]
    pictures = Pictures(RemoteSettings(image_px=16, image_format="png"))
    begin, _, parts = pictures.video_url(shown).partition(",")
    assert begin == "data:video/jpeg;base64"
    assert parts.split(",") == [pictures.of(one, whole=False) for one in shown]
    assert pictures.image_url(shown[0], whole=True) == "data:image/png;base64," + pictures.of(shown[0], whole=True)


def test_a_frame_is_encoded_once_for_each_use():
    pictures, shown = Pictures(RemoteSettings(image_px=16)), [frame(0), frame(1)]
    for _ in range(3):
        pictures.video_url(shown)
    assert (pictures.encoded, pictures.reused) == (2, 4)
    pictures.image_url(shown[1], whole=True)
    pictures.image_url(shown[1], whole=True)
    assert (pictures.encoded, pictures.reused) == (3, 5)
    assert pictures.missing(shown, whole=False) is None
    assert pictures.missing(shown, whole=True) is shown[0]


def test_pictures_vanish_with_their_frames():
    pictures, shown = Pictures(RemoteSettings(image_px=16)), [frame(number) for number in range(5)]
    pictures.video_url(shown)
    assert len(pictures._kept) == 5
    del shown[1:]
    gc.collect()
    assert list(pictures._kept) == shown


def test_the_newest_pictures_are_kept_up_to_a_number_of_bytes():
    settings = RemoteSettings(image_px=16, image_format="png")
    shown = [frame(number) for number in range(20)]
    of_one = len(Pictures(settings).of(shown[0], whole=True))
    pictures = Pictures(settings, most_bytes=5 * of_one)
    for one in shown:
        given = pictures.of(one, whole=True)
        np.testing.assert_array_equal(decoded(given), one.rgb)
        assert pictures.nbytes <= 5 * of_one
    assert pictures.nbytes >= 4 * of_one - 100
    assert pictures.missing(shown[-4:], whole=True) is None
    assert pictures.missing(shown, whole=True) is shown[0]
    least = Pictures(settings, most_bytes=1)
    assert [least.of(one, whole=True) for one in shown] == [pictures.of(one, whole=True) for one in shown]
    assert list(least._kept) == shown[-1:], "the picture in use stays, however large"


@dataclass(eq=False)
class Slow:
    """Stored values that are rendered when all threads ask for them."""

    pixels: Rgb
    everybody: threading.Barrier
    renderings: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and 3."""
        return (*self.pixels.shape[:2], 3)

    @property
    def nbytes(self) -> int:
        """Bytes."""
        return self.pixels.nbytes

    def rgb(self) -> Rgb:
        """The picture, late."""
        self.renderings += 1
        threading.Event().wait(0.2)
        return self.pixels


def test_several_threads_encode_a_frame_once():
    everybody = threading.Barrier(6)
    slow = Slow(frame().rgb, everybody)
    shown = Frame("front", 0, "", slow)
    pictures = Pictures(RemoteSettings(image_px=16))

    def encode() -> str:
        everybody.wait(PATIENCE_S)
        return pictures.of(shown, whole=False)

    with ThreadPoolExecutor(6) as threads:
        texts = {outcome.result() for outcome in [threads.submit(encode) for _ in range(6)]}
    assert len(texts) == 1
    assert (slow.renderings, pictures.encoded, pictures.reused) == (1, 1, 5)


@dataclass(eq=False)
class Broken:
    """Stored values that cannot be rendered the first time."""

    pixels: Rgb
    shape: tuple[int, int, int] = (48, 64, 3)
    nbytes: int = 0
    tries: int = 0

    def rgb(self) -> Rgb:
        """The picture, the second time."""
        self.tries += 1
        if self.tries == 1:
            raise MemoryError("not now")
        return self.pixels


def test_a_frame_that_could_not_be_encoded_is_tried_again():
    shown = Frame("front", 0, "", Broken(frame().rgb))
    pictures = Pictures(RemoteSettings(image_px=16))
    with pytest.raises(MemoryError):
        pictures.of(shown, whole=True)
    assert pictures.missing([shown], whole=True) is shown
    assert decoded(pictures.of(shown, whole=True)).shape == (48, 64, 3)


def test_a_picture_that_no_jpeg_can_hold_is_an_error_with_its_size():
    # JPEG has 16 bits for each side.
    shown = frame(0, (1, 70_000))
    with pytest.raises(ValueError, match="70000 x 1 pixels"):
        Pictures(RemoteSettings()).of(shown, whole=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("image_format", "webp"), ("image_px", 0), ("image_px", 1.5), ("jpeg_quality", 101), ("requests", True)],
        *[("connect_s", 0.0), ("silence_s", float("nan")), ("retries", -1), ("clip_frames", 0)],
    ],
)
def test_settings_that_are_none_are_refused(name: str, value: object):
    with pytest.raises(ValueError, match=name):
        RemoteSettings(**{name: value})  # type: ignore[arg-type]
