"""Pictures of one grey level, or nearly so: what is said of them, and that good ones are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from llava_ov_ros.frames import AdmissionSettings, Camera, CameraSettings, DecodeOptions, Outcome
from llava_ov_ros.replay import read_messages

S = 1_000_000_000
RANDOM = np.random.default_rng(0)
ROOM_C = RANDOM.uniform(15.0, 35.0, (24, 32))
CENTIKELVIN = ((ROOM_C + 273.15) * 100).astype(np.uint16)
MILLIMETRES = RANDOM.integers(400, 4000, (24, 32), dtype=np.uint16)
TWELVE_BIT = RANDOM.integers(0, 4096, (24, 32), dtype=np.uint16)
COVERED = RANDOM.integers(60, 68, (24, 32), dtype=np.uint16)


def taken(message, value_range: str = "default") -> tuple[Camera, str]:
    """A camera that has admitted one message, and what it says of the frame."""
    decode = DecodeOptions(value_range=value_range)
    camera = Camera("ir", CameraSettings(decode=decode, admission=AdmissionSettings(rate_hz=0.0)))
    assert camera.offer(message, S) is Outcome.ADMITTED
    return camera, camera.growing_clip().frames[0].blank


@pytest.mark.parametrize(
    ("stored", "encoding", "told"),
    [
        (MILLIMETRES, "mono16", "almost one grey level (2 to 15 of 0 to 255): its values 4"),
        (TWELVE_BIT, "mono16", "almost one grey level (0 to 16 of 0 to 255): its values"),
        (CENTIKELVIN, "mono16", "almost one grey level (112 to 120 of 0 to 255): its values 288"),
        (CENTIKELVIN, "16UC1", "one grey level (1): its values 288"),
        (np.zeros((24, 32), np.uint16), "16UC1", "one grey level (0): no pixel holds a measurement"),
        (np.full((24, 32), np.nan, np.float32), "32FC1", "one grey level (0): no pixel holds a measurement"),
        (np.zeros((24, 32), np.uint16), "mono16", "one grey level (0): every pixel is 0"),
        (np.full((24, 32), 65535, np.uint16), "mono16", "one grey level (255): its values 65535 to 65535 are shown"),
        (np.zeros((24, 32), np.uint8), "mono8", "one grey level (0)"),
        (np.full((24, 32, 3), 255, np.uint8), "rgb8", "one grey level (255)"),
        (np.tile(np.array([0, 154, 0], np.uint8), (24, 32, 1)), "rgb8", "one colour (0, 154, 0)"),
    ],
)
def test_what_shows_nothing_by_default_is_counted_and_said(stored, encoding, told, image) -> None:
    camera, blank = taken(image(stored, encoding, 32, 24, stamp_ns=S))
    assert blank.startswith(told)
    assert (camera.counts.blank, camera.counts.last_blank) == (1, blank)
    assert blank == told or ": " in blank


@pytest.mark.parametrize(
    ("stored", "encoding", "numbers"),
    [
        (MILLIMETRES, "mono16", "4000..400"),
        (TWELVE_BIT, "mono16", "0..4095"),
        (CENTIKELVIN, "mono16", "28815..30815"),
        (CENTIKELVIN, "16UC1", "28815..30815"),
        (ROOM_C.astype(np.float32), "32FC1", "15..35"),
    ],
)
def test_a_range_that_fits_and_the_automatic_one_show_it(stored, encoding, numbers, image) -> None:
    for value_range in (numbers, "auto"):
        camera, blank = taken(image(stored, encoding, 32, 24, stamp_ns=S), value_range)
        assert (blank, camera.counts.blank) == ("", 0)
        assert np.ptp(camera.growing_clip().frames[0].rgb) > 200


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (np.zeros((24, 32), np.uint16), "one grey level (0): every pixel is 0"),
        (np.full((24, 32), 700, np.uint16), "one grey level (0): every pixel that holds a measurement has the value 7"),
        (COVERED, "almost one grey level"),
    ],
)
def test_an_automatic_range_makes_no_picture_of_nothing(stored, told, image) -> None:
    camera, blank = taken(image(stored, "mono16", 32, 24, stamp_ns=S), "auto")
    assert blank.startswith(told)
    assert camera.counts.blank == 1
    assert np.ptp(camera.growing_clip().frames[0].rgb) < 32


def test_depth_with_gaps_and_pictures_with_a_mark_are_pictures(image) -> None:
    wall = np.full((24, 32), 2000, np.uint16)
    wall[:, 20:] = 0
    dot = np.zeros((24, 32, 3), np.uint8)
    dot[20, 20] = 9
    for stored, encoding in ((wall, "16UC1"), (dot, "rgb8")):
        camera, blank = taken(image(stored, encoding, 32, 24, stamp_ns=S))
        assert (blank, camera.counts.blank) == ("", 0)


@pytest.mark.parametrize("value_range", ["default", "auto"])
def test_no_picture_of_a_real_camera_shows_nothing(value_range, recordings) -> None:
    for bag, topics in {
        "bottles_5hz_mcap": ["/camera/image_raw/compressed"],
        "spot_raw_mcap": [
            "/spot/camera/hand_color/image",
            "/spot/camera/frontleft/image",
            "/spot/camera/hand_mono/image",
            "/spot/depth/frontleft/image",
        ],
    }.items():
        for message in read_messages(recordings / bag, topics):
            camera = Camera("real", CameraSettings(decode=DecodeOptions(value_range=value_range)))
            camera.offer(message.message, message.time_ns)
            assert camera.counts.blank == 0
