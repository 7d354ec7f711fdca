"""The rate gate and the measures of change and sharpness."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import cv2
import numpy as np
import pytest

from llava_ov_ros.frames import NS_PER_S, AdmissionSettings
from llava_ov_ros.frames.admission import RateGate, change, sharpness, thumbnail

MS = 1_000_000


def admitted(stamps: Iterable[int], rate_hz: float) -> list[int]:
    """The stamps that pass when every frame that is due is good."""
    gate = RateGate(rate_hz)
    passed, before = [], None
    for stamp in stamps:
        if gate.is_due(stamp, 0 if before is None else stamp - before):
            gate.advance(stamp)
            passed.append(stamp)
        before = stamp
    return passed


def test_a_zero_rate_lets_everything_through() -> None:
    assert admitted(range(100), 0.0) == list(range(100))


@pytest.mark.parametrize(("camera_hz", "rate_hz"), [(30, 2), (30, 10), (30, 7), (13, 10), (15, 10), (60, 59)])
def test_the_mean_rate_is_kept(camera_hz, rate_hz) -> None:
    """Over 100 s one frame in each period is due, whatever the ratio of the rates."""
    stamps = [i * NS_PER_S // camera_hz for i in range(100 * camera_hz)]
    assert abs(len(admitted(stamps, rate_hz)) - 100 * rate_hz) <= 1


@pytest.mark.parametrize("rate_hz", [5.0, 10.0, 30.0])
def test_a_camera_at_just_the_rate_loses_nothing_to_jitter(rate_hz) -> None:
    period = NS_PER_S / rate_hz
    for seed in range(20):
        jitter = np.random.default_rng(seed).uniform(-period / 6, period / 6, 500)
        stamps = [NS_PER_S + round(i * period + late) for i, late in enumerate(jitter)]
        assert admitted(stamps, rate_hz) == stamps


def test_a_camera_at_just_the_rate_whose_first_frame_is_late() -> None:
    stamps = [30 * MS] + [i * 100 * MS for i in range(1, 50)]
    assert admitted(stamps, 10.0) == stamps


def test_a_slow_camera_loses_nothing() -> None:
    for milliseconds in (101, 120, 150, 199, 250, 1000):
        stamps = [i * milliseconds * MS for i in range(50)]
        assert admitted(stamps, 10.0) == stamps


def test_jitter_does_not_raise_the_rate() -> None:
    intervals = np.random.default_rng(2).uniform(5 * MS, 60 * MS, 3000)
    stamps = list(accumulate(int(interval) for interval in intervals))
    seconds = (stamps[-1] - stamps[0]) / NS_PER_S
    assert len(admitted(stamps, 4.0)) == pytest.approx(4 * seconds, abs=2)


def test_a_pause_is_not_made_up_for_in_a_burst() -> None:
    stamps = [*range(0, NS_PER_S, 10 * MS), *range(20 * NS_PER_S, 21 * NS_PER_S, 10 * MS)]
    after = [stamp for stamp in admitted(stamps, 2.0) if stamp >= 20 * NS_PER_S]
    assert after == [20 * NS_PER_S, 20 * NS_PER_S + 500 * MS]


def test_a_turn_that_was_not_used_is_kept() -> None:
    gate = RateGate(1.0)
    gate.advance(0)
    assert not gate.is_due(900 * MS, 100 * MS)
    assert gate.is_due(1000 * MS, 100 * MS)
    assert gate.is_due(1100 * MS, 100 * MS)
    gate.advance(1100 * MS)
    assert not gate.is_due(1900 * MS, 100 * MS)


def test_reset_makes_any_stamp_due() -> None:
    gate = RateGate(1.0)
    gate.advance(100 * NS_PER_S)
    assert not gate.is_due(0, 0)
    gate.reset()
    assert gate.is_due(0, 0)


@pytest.mark.parametrize("name", ["rate_hz", "min_change", "min_sharpness"])
def test_negative_settings_are_refused(name) -> None:
    with pytest.raises(ValueError, match=rf"{name} is -1: it must be 0 \(off\) or more"):
        AdmissionSettings(**{name: -1})


def test_change_is_the_mean_difference_in_grey_levels() -> None:
    before = np.full((64, 96, 3), 100, np.uint8)
    after = before.copy()
    assert change(thumbnail(before), thumbnail(after)) == 0
    after[:, :48] = 140
    assert change(thumbnail(before), thumbnail(after)) == pytest.approx(20)


def test_noise_changes_less_than_a_hand() -> None:
    random = np.random.default_rng(4)
    scene = cv2.resize(random.integers(0, 256, (6, 8, 3), dtype=np.uint8), (640, 480))
    noisy = np.clip(scene + random.normal(0, 5, scene.shape), 0, 255).astype(np.uint8)
    hand = scene.copy()
    hand[120:360, 160:400] = (200, 150, 130)
    assert change(thumbnail(scene), thumbnail(noisy)) < 1 < 5 < change(thumbnail(scene), thumbnail(hand))


def test_blur_lowers_sharpness_whatever_the_resolution() -> None:
    small = np.random.default_rng(6).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for scale in (8, 16):
        sharp = cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        blurred = cv2.GaussianBlur(sharp, (0, 0), 3 * scale)
        assert sharpness(blurred) * 20 < sharpness(sharp)
    assert sharpness(np.full((480, 640, 3), 90, np.uint8)) == 0


def test_measures_take_the_smallest_picture() -> None:
    pixel = np.full((1, 1, 3), 7, np.uint8)
    assert thumbnail(pixel).shape == (32, 32)
    assert sharpness(pixel) == 0
