"""Pictures with more than 8 bits: which values are shown darkest and brightest, by every way that they come."""

from __future__ import annotations

import gc
import struct
import weakref
from itertools import pairwise

import cv2
import numpy as np
import pytest

from llava_ov_ros.frames import (
    AdmissionSettings,
    Camera,
    CameraSettings,
    DecodeOptions,
    GrowthSettings,
    Outcome,
    decode,
)
from llava_ov_ros.frames.automatic_range import automatic_range
from llava_ov_ros.frames.values import Meaning, Values, spread_of
from llava_ov_ros.replay import read_messages
from llava_ov_ros.settings.value_range import ValueRange, given_range

S = 1_000_000_000
BIG = 2**70
AUTO = DecodeOptions(value_range="auto")
NO_HEADER = bytes(12)
EVERY_FRAME = AdmissionSettings(rate_hz=0.0)


def shown(message, value_range: str) -> np.ndarray:
    rgb = decode(message, "thermal", DecodeOptions(value_range=value_range))
    assert (rgb == rgb[..., :1]).all()
    return rgb[..., 0]


def noise(low: float, high: float, seed: int = 0, shape: tuple[int, int] = (24, 32)) -> np.ndarray:
    """Values all over a range, uint16."""
    return np.random.default_rng(seed).integers(low, high + 1, shape, dtype=np.uint16)


@pytest.mark.parametrize("text", ["0..4095", "4095..0", "-20..40.5", "0.3..10", "28815..31315"])
def test_a_range_as_text(text) -> None:
    assert str(given_range(text)) == text


@pytest.mark.parametrize("text", ["Auto", "0-4095", "0..", "..1", "0..0", "0..1..2", "nan..1", "0..inf", "a..b"])
def test_no_range(text) -> None:
    with pytest.raises(ValueError, match="allowed are default, auto, or the values shown darkest and brightest"):
        given_range(text)


def test_two_numbers_scale_as_opencv_does(image) -> None:
    """cv_bridge's formula for mono16 (convertScaleAbs) with the camera's own white in place of 65535."""
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    message = image(every, "mono16", 256, 256)
    np.testing.assert_array_equal(shown(message, "default"), cv2.convertScaleAbs(every, alpha=255 / 65535))
    np.testing.assert_array_equal(shown(message, "0..4095"), cv2.convertScaleAbs(every, alpha=255 / 4095))


def test_a_range_is_the_same_by_every_way(image, compressed, encode, encode_rvl) -> None:
    """16UC1 that is a thermal picture in hundredths of a kelvin: 15 C dark, 40 C bright."""
    kelvin = np.array([[0, 273.15, 288.15, 293.15], [300.65, 313.15, 330.0, 655.35]])
    stored = (kelvin * 100).round().astype(np.uint16)
    levels = [[0, 1, 1, 52], [128, 255, 255, 255]]
    png = encode(".png", stored)
    for message in (
        image(stored, "16UC1", 4, 2),
        image(stored.astype(">u2"), "16UC1", 4, 2, is_bigendian=1),
        image(np.pad(stored, ((0, 0), (0, 1))), "16UC1", 4, 2),
        compressed(png, "16UC1; png compressed "),
        compressed(NO_HEADER + png, "16UC1; compressedDepth png"),
        compressed(NO_HEADER + encode_rvl(stored), "16UC1; compressedDepth rvl"),
    ):
        np.testing.assert_array_equal(shown(message, "28815..31315"), levels)
    # As brightness the darkest is 0, for no pixel stands for "not measured".
    for message in (image(stored, "mono16", 4, 2), compressed(png, "mono16; png compressed "), compressed(png, "png")):
        np.testing.assert_array_equal(shown(message, "28815..31315"), [[0, 0, 0, 51], [128, 255, 255, 255]])


def test_signed_and_floating_values_below_zero(image, compressed, encode) -> None:
    celsius = np.array([[-40.0, -20.0, 0.0, 10.0, 40.0, np.nan]], dtype=np.float32)
    levels = [[1, 1, 86, 128, 255, 0]]
    np.testing.assert_array_equal(shown(image(celsius, "32FC1", 6, 1), "-20..40"), levels)
    np.testing.assert_array_equal(
        shown(compressed(encode(".tiff", celsius), "32FC1; tiff compressed "), "-20..40"), levels
    )
    tenths = np.nan_to_num(celsius * 10).astype(np.int16)
    np.testing.assert_array_equal(shown(image(tenths, "16SC1", 6, 1), "-200..400"), [[1, 1, 86, 128, 255, 86]])


def test_metres_as_compressed_depth_stores_them(compressed, encode) -> None:
    a, b = 10100.0, -1009.0
    metres = np.array([[1.0, 2.0, 3.0]])
    payload = encode(".png", (a / metres + b).round().astype(np.uint16))
    message = compressed(struct.pack("<iff", 0, a, b) + payload, "32FC1; compressedDepth png")
    np.testing.assert_allclose(shown(message, "3..1"), [[255, 128, 1]], atol=1)
    assert decode(message, "depth", AUTO)[0, :, 0].tolist() == [255, 128, 1]


def test_colours_bayer_patterns_and_8_bits_have_no_range(image) -> None:
    for encoding, sample, channels in (("rgb16", np.uint16, 3), ("bayer_rggb16", np.uint16, 1), ("mono8", np.uint8, 1)):
        pixels = np.random.default_rng(0).integers(0, 256, (8, 8, channels)).astype(sample)
        message = image(pixels, encoding, 8, 8)
        for text in ("auto", "0..10"):
            options = DecodeOptions(value_range=text)
            assert (decode(message, "front", options) == decode(message, "front", DecodeOptions())).all()


@pytest.mark.parametrize("meaning", list(Meaning))
@pytest.mark.parametrize(("low", "high"), [(29315, 30415), (0, 4095), (500, 65535), (1, 40)])
def test_an_automatic_range_holds_the_percentiles_of_numpy_and_little_more(meaning, low, high) -> None:
    stored = noise(low, high, shape=(200, 300)).astype(np.float32 if meaning is Meaning.METRES else np.uint16)
    values = Values(stored, meaning)
    p1, p99 = np.percentile(stored[stored > 0], (1, 99))
    spread = spread_of(values)
    assert (spread.low, spread.high) == (p1, p99)
    found = automatic_range(spread, is_depth=values.is_depth, step=values.step)
    bottom, top = sorted((found.black, found.white))
    assert (found.black > found.white) == values.is_depth
    least = 256 * values.step
    if p99 - p1 >= least:
        np.testing.assert_allclose([bottom, top], [p1, p99], atol=values.step)
        assert bottom <= p1 + 1e-6
        assert top >= p99 - 1e-6
    else:
        assert 0 <= bottom < p1
        assert top > p99
        assert top - bottom <= least + 2 * values.step


def test_nothing_to_see_is_no_range() -> None:
    for stored in (np.zeros((4, 4), np.uint16), np.full((4, 4), 700, np.uint16)):
        spread = spread_of(Values(stored, Meaning.BRIGHTNESS))
        assert automatic_range(spread, is_depth=False, step=1.0) is None
    # One warm pixel of a thousand before a wall of one temperature.
    stored = np.full((100, 100), 29315, np.uint16)
    stored[0, :5] = 31015
    spread = spread_of(Values(stored, Meaning.BRIGHTNESS))
    assert automatic_range(spread, is_depth=False, step=1.0) == ValueRange(29315.0, 31015.0)


def test_a_real_depth_camera_fills_the_levels(recordings) -> None:
    topic = "/spot/depth/frontleft/image"
    message = next(iter(read_messages(recordings / "spot_raw_mcap", [topic]))).message
    stored = np.frombuffer(bytes(message.data), "<u2").reshape(message.height, message.width)
    p1, p99 = np.percentile(stored[stored > 0], (1, 99))
    levels = shown(message, "auto")
    assert (levels[stored == 0] == 0).all()
    near, far = levels[(stored > 0) & (stored <= p1)], levels[stored >= p99]
    assert near.min() >= 254
    assert far.max() <= 2
    by_default = shown(message, "default")
    measured = stored > 0
    assert np.ptp(np.percentile(levels[measured], (1, 99))) > np.ptp(np.percentile(by_default[measured], (1, 99)))


def camera(**settings) -> Camera:
    growth = GrowthSettings(max_frames=3, min_frames=2, window_ns=BIG, spacing_ns=0)
    return Camera("ir", CameraSettings(**{"decode": AUTO, "admission": EVERY_FRAME, "growth": growth, **settings}))


def offer(one: Camera, image, stored: np.ndarray, at: int, encoding: str = "mono16") -> Outcome:
    message = image(stored, encoding, stored.shape[1], stored.shape[0], stamp_ns=at * S)
    return one.offer(message, at * S)


def test_a_clip_keeps_its_range_while_it_grows_and_carries_frames_into_the_next(image) -> None:
    one = camera()
    tops = [1000, 3000, 8000, 20000, 40000, 60000]
    clips, coming = [], []
    for at, top in enumerate(tops, 1):
        assert offer(one, image, noise(1, top, seed=at), at) is Outcome.ADMITTED
        clips.append(one.growing_clip())
        coming.append(one.coming_clip())
    firsts = [clip.frames[0].stamp_ns // S for clip in clips]
    assert firsts == [1, 1, 1, 3, 3, 5]
    for before, after in pairwise(clips):
        if before.frames[0].stamp_ns == after.frames[0].stamp_ns:
            # Nothing that was encoded changes: the very same frames.
            assert after.frames[: len(before.frames)] == before.frames
    for clip, first in zip(clips, firsts, strict=True):
        expected = decode(image(noise(1, tops[first - 1], seed=first), "mono16", 32, 24), "ir", AUTO)
        np.testing.assert_array_equal(clip.frames[0].rgb, expected)
        assert len({frame.value_range for frame in clip.frames}) == 1
    # The clip that was to come is the clip that came.
    assert coming[2].frames[0] is clips[3].frames[0]
    assert coming[4].frames[0] is clips[5].frames[0]
    # Frames 3 and 5 were carried over, each into another range.
    assert one.counts.shown_anew == 2
    # A clip chosen by time with the same first frame is the same clip.
    assert one.clip(5 * S, 6 * S, 8).frames == clips[5].frames
    assert one.counts.shown_anew == 2
    assert one.recent_clip(0, 1).frames[0].value_range != clips[5].frames[1].value_range
    assert one.counts.shown_anew == 3


def test_like_scenes_have_one_range_and_nothing_is_encoded_anew(image) -> None:
    one = camera()
    p1, p99 = np.percentile(noise(1001, 2999, seed=1), (1, 99))
    for at in range(1, 20):
        offer(one, image, noise(1000 + at, 3000 - at, seed=at), at)
        ranges = {one.growing_clip().frames[0].value_range, one.recent_clip(3 * S, 4).frames[0].value_range}
        assert ranges == {ValueRange(np.floor(p1), np.ceil(p99))}
    assert one.counts.shown_anew == 0
    # A tenth of the span, and what is found counts.
    offer(one, image, noise(1300, 3000, seed=20), 20)
    assert 1290 < one.recent_clip(0, 1).frames[0].value_range.black < 1350


def test_a_buffer_counts_the_values_that_it_keeps_and_nothing_else(image) -> None:
    one = camera(buffer_bytes=5 * 24 * 32 * 2)
    for at in range(1, 9):
        offer(one, image, noise(1, 1000 * at, seed=at), at)
        for frame in (*one.growing_clip().frames, *one.recent_clip(BIG, 8).frames):
            assert frame.rgb.shape == (24, 32, 3)
    assert one.buffered == (5, 5 * 24 * 32 * 2)


def test_what_clips_have_shown_goes_with_the_frames_of_the_buffer(image) -> None:
    one = camera(buffer_frames=3)
    shown = []
    for at in range(1, 9):
        offer(one, image, noise(1, 1000 * at, seed=at), at)
        shown += [weakref.ref(one.growing_clip().frames[-1]), weakref.ref(one.recent_clip(BIG, 8).frames[-1])]
    gc.collect()
    kept = {reference().stamp_ns // S for reference in shown if reference() is not None}
    assert kept == {6, 7, 8}


def test_a_kept_picture_does_not_keep_the_padding_of_its_message_alive(image) -> None:
    one = camera()
    stored = np.pad(noise(1, 500), ((0, 0), (0, 3000)))
    one.offer(image(stored, "mono16", 32, 24, stamp_ns=S), S)
    assert one.growing_clip().frames[0].picture.values.stored.base is None


def test_a_frozen_camera_stays_frozen_whatever_range_its_clips_have(image) -> None:
    one = camera()
    offer(one, image, noise(1, 60000, seed=1), 1)
    for at in range(2, 9):
        offer(one, image, noise(1, 900, seed=2), at)
        one.growing_clip()
    assert len({frame.value_range for frame in one.recent_clip(BIG, 8).frames}) == 1
    assert one.same_picture_ns() == 6 * S


@pytest.mark.parametrize("text", ["default", "0..100", "auto"])
def test_a_camera_whose_values_move_is_not_frozen_though_all_are_shown_alike(text, image) -> None:
    """A thermal picture as 16UC1: all of it is farther than 10 m."""
    one = camera(decode=DecodeOptions(value_range=text))
    for at in range(1, 9):
        offer(one, image, noise(29315, 29320, seed=at), at, "16UC1")
    assert one.same_picture_ns() == 0


def test_a_new_range_is_no_change_of_the_scene_and_a_change_is_one(image) -> None:
    one = camera(admission=AdmissionSettings(rate_hz=0.0, min_change=5.0))
    room = noise(1000, 2000)
    flare = room.copy()
    # Of 768 pixels 10 are much brighter: the 99th percentile, and so the frame's own range, is another altogether.
    flare.ravel()[::80] = 60000
    assert offer(one, image, room, 1) is Outcome.ADMITTED
    assert offer(one, image, flare, 2) is Outcome.UNCHANGED
    assert offer(one, image, room // 2, 3) is Outcome.ADMITTED


@pytest.mark.parametrize("value_range", ["auto", "0..4095"])
def test_pictures_are_turned_as_others_are(value_range, image) -> None:
    one = camera(decode=DecodeOptions(rotate_deg=90, value_range=value_range))
    ramp = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 5
    offer(one, image, ramp, 1)
    frame = one.growing_clip().frames[0]
    assert frame.picture.shape == (32, 24, 3)
    upright = decode(image(ramp, "mono16", 32, 24), "ir", DecodeOptions(value_range=value_range))
    np.testing.assert_array_equal(frame.rgb, cv2.rotate(upright, cv2.ROTATE_90_CLOCKWISE))
