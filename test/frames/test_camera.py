"""One camera from messages to clips: what is admitted, refused, counted, and when it is stale or frozen."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from llava_ov_ros.frames import (
    NS_PER_S,
    AdmissionSettings,
    Camera,
    CameraSettings,
    DecodeOptions,
    GrowthSettings,
    ImageError,
    NoFramesError,
    Outcome,
    StampSource,
)

MS = 1_000_000
EVERY_FRAME = AdmissionSettings(rate_hz=0.0)


@pytest.fixture
def gray(image) -> Any:
    """Builds a gray 16x12 Image of one level, or of given pixels."""

    def build(stamp_ns: int, level: int | np.ndarray = 100, **fields: Any) -> Any:
        pixels = np.broadcast_to(np.asarray(level, dtype=np.uint8), (12, 16))
        return image(pixels, "mono8", 16, 12, stamp_ns=stamp_ns, **fields)

    return build


def camera_with(**settings: Any) -> Camera:
    return Camera("front", CameraSettings(**{"admission": EVERY_FRAME, **settings}))


def stamps(camera: Camera) -> list[int]:
    return [frame.stamp_ns for frame in camera.clip(-(10**30), 10**30, 10_000).frames]


def test_a_frame_carries_what_the_message_says(gray) -> None:
    camera = camera_with(decode=DecodeOptions(rotate_deg=90))
    assert camera.offer(gray(3 * NS_PER_S + 7, 42, frame_id="optical"), 4 * NS_PER_S) is Outcome.ADMITTED
    (frame,) = camera.recent_clip(0, 1).frames
    assert (frame.camera, frame.stamp_ns, frame.frame_id) == ("front", 3 * NS_PER_S + 7, "optical")
    np.testing.assert_array_equal(frame.rgb, np.full((16, 12, 3), 42))
    assert camera.buffered == (1, 16 * 12 * 3)


def test_by_arrival_a_frame_has_the_time_of_the_clock_whatever_its_message_says(gray) -> None:
    camera = camera_with(stamp_source=StampSource.ARRIVAL)
    own = [7, 0, 3 * NS_PER_S, 10**9 * NS_PER_S]
    for i, stamp in enumerate(own):
        assert camera.offer(gray(stamp, 10 * i), (100 + i) * NS_PER_S) is Outcome.ADMITTED
    frames = camera.clip(0, 10**30, 10).frames
    assert [frame.stamp_ns for frame in frames] == [(100 + i) * NS_PER_S for i in range(4)]
    assert [frame.header_stamp_ns for frame in frames] == own
    assert camera.age_ns(105 * NS_PER_S) == 2 * NS_PER_S
    counts = camera.counts
    assert (counts.zero_stamps, counts.future_stamps, counts.out_of_order, counts.jumps_back) == (0, 0, 0, 0)


def test_by_arrival_a_clock_that_stands_makes_no_disorder(gray) -> None:
    camera = camera_with(stamp_source=StampSource.ARRIVAL)
    outcomes = [camera.offer(gray(i, i), NS_PER_S) for i in range(1, 4)]
    assert outcomes == [Outcome.ADMITTED, Outcome.NOT_DUE, Outcome.NOT_DUE]


def test_by_arrival_a_clock_that_was_set_back_starts_the_buffer_anew(gray) -> None:
    camera = camera_with(stamp_source=StampSource.ARRIVAL)
    camera.offer(gray(1), 100 * NS_PER_S)
    assert camera.offer(gray(2), 50 * NS_PER_S) is Outcome.ADMITTED
    assert (stamps(camera), camera.counts.jumps_back) == ([50 * NS_PER_S], 1)


def test_compressed_messages_take_the_same_path(compressed, encode) -> None:
    camera = camera_with()
    message = compressed(encode(".jpg", np.full((8, 8, 3), 90, np.uint8)), "jpeg", stamp_ns=NS_PER_S)
    assert camera.offer(message, NS_PER_S) is Outcome.ADMITTED
    assert camera.recent_clip(0, 1).frames[0].rgb.shape == (8, 8, 3)


def test_the_rate_is_applied_before_decoding(gray) -> None:
    """A message that is not due is not looked into: most pictures here are malformed, and nobody notices."""
    camera = camera_with(admission=AdmissionSettings(rate_hz=2.0))
    for i in range(5, 50):
        camera.offer(gray(i * 100 * MS, step=3 if i % 5 else 16), 10 * NS_PER_S)
    assert stamps(camera) == [i * 500 * MS for i in range(1, 10)]
    assert (camera.counts.malformed, camera.counts.not_due, camera.counts.received) == (0, 36, 45)


def test_a_malformed_frame_leaves_its_turn_to_the_next(gray) -> None:
    camera = camera_with(admission=AdmissionSettings(rate_hz=1.0))
    camera.offer(gray(NS_PER_S), 9 * NS_PER_S)
    assert camera.offer(gray(2 * NS_PER_S, step=3), 9 * NS_PER_S) is Outcome.MALFORMED
    assert camera.offer(gray(2 * NS_PER_S + 100 * MS), 9 * NS_PER_S) is Outcome.ADMITTED
    assert camera.counts.last_error == ("camera 'front', encoding 'mono8': step is 3, a row of 16 pixels has 16 bytes")
    assert camera.age_ns(3 * NS_PER_S) == 900 * MS


def test_unchanged_frames_are_refused_but_keep_the_camera_fresh(gray) -> None:
    camera = camera_with(admission=AdmissionSettings(rate_hz=0.0, min_change=5.0))
    levels = [100, 104, 100, 106, 103, 112]
    outcomes = [camera.offer(gray((i + 1) * NS_PER_S, level), 9 * NS_PER_S) for i, level in enumerate(levels)]
    taken, kept = Outcome.ADMITTED, Outcome.UNCHANGED
    assert outcomes == [taken, kept, kept, taken, kept, taken]
    assert stamps(camera) == [NS_PER_S, 4 * NS_PER_S, 6 * NS_PER_S]
    assert camera.counts.last_change == pytest.approx(6)
    camera.offer(gray(8 * NS_PER_S, 112), 9 * NS_PER_S)
    assert camera.recent_clip(0, 1).newest_ns == 6 * NS_PER_S
    assert camera.age_ns(9 * NS_PER_S) == NS_PER_S


def test_slow_change_adds_up(gray) -> None:
    """Each frame is compared with the last one admitted, not with the one before it."""
    camera = camera_with(admission=AdmissionSettings(rate_hz=0.0, min_change=5.0))
    for i in range(1, 31):
        camera.offer(gray(i * NS_PER_S, 100 + i), 99 * NS_PER_S)
    assert stamps(camera) == [i * NS_PER_S for i in range(1, 31, 5)]


def test_blurred_frames_are_refused_and_leave_their_turn(gray) -> None:
    checks = np.indices((12, 16)).sum(axis=0) % 2 * 255
    camera = camera_with(admission=AdmissionSettings(rate_hz=1.0, min_sharpness=50.0))
    assert camera.offer(gray(NS_PER_S, 100), 9 * NS_PER_S) is Outcome.BLURRED
    assert camera.counts.last_sharpness == 0
    assert camera.age_ns(9 * NS_PER_S) is None
    assert camera.offer(gray(NS_PER_S + 100 * MS, checks), 9 * NS_PER_S) is Outcome.ADMITTED
    assert camera.offer(gray(NS_PER_S + 200 * MS, checks), 9 * NS_PER_S) is Outcome.NOT_DUE
    assert camera.counts.last_sharpness > 50


def test_zero_stamps_take_the_clocks_time(gray) -> None:
    camera = camera_with()
    for now_s in (5, 6):
        assert camera.offer(gray(0), now_s * NS_PER_S) is Outcome.ADMITTED
    assert stamps(camera) == [5 * NS_PER_S, 6 * NS_PER_S]
    assert camera.counts.zero_stamps == 2


def test_future_stamps_are_refused_and_the_camera_goes_on(gray) -> None:
    camera = camera_with(future_tolerance_ns=500 * MS)
    now = 10 * NS_PER_S
    assert camera.offer(gray(now), now) is Outcome.ADMITTED
    assert camera.offer(gray(now + 501 * MS), now) is Outcome.FUTURE_STAMP
    assert camera.offer(gray(10**6 * NS_PER_S), now) is Outcome.FUTURE_STAMP
    assert camera.offer(gray(now + 33 * MS), now + 33 * MS) is Outcome.ADMITTED
    assert camera.counts.future_stamps == 2


def test_the_camera_recovers_from_a_stamp_within_the_tolerance(gray) -> None:
    """One early stamp costs as long as it is early, plus the turn that it used."""
    camera = camera_with(admission=AdmissionSettings(rate_hz=10.0), future_tolerance_ns=500 * MS)
    camera.offer(gray(10 * NS_PER_S + 400 * MS), 10 * NS_PER_S)
    for i in range(1, 20):
        now = 10 * NS_PER_S + i * 100 * MS
        camera.offer(gray(now), now)
    expected = [10 * NS_PER_S + i * 100 * MS for i in range(4, 20)]
    assert stamps(camera) == expected
    assert camera.counts.out_of_order == 4


def test_a_generous_tolerance_is_undone_by_the_jump_back(gray) -> None:
    camera = camera_with(future_tolerance_ns=5 * NS_PER_S, jump_back_ns=NS_PER_S)
    camera.offer(gray(14 * NS_PER_S), 10 * NS_PER_S)
    assert camera.offer(gray(10 * NS_PER_S + MS), 10 * NS_PER_S + MS) is Outcome.ADMITTED
    assert stamps(camera) == [10 * NS_PER_S + MS]


@pytest.mark.parametrize("jump_back_s", [1, 10**6])
def test_after_the_clock_was_set_back_the_next_frame_starts_the_buffer_anew(gray, jump_back_s) -> None:
    """By little or much: what is buffered lies in the future, and stamps of now are not out of order."""
    for back_ms in (600, 3_600_000):
        camera = camera_with(future_tolerance_ns=500 * MS, jump_back_ns=jump_back_s * NS_PER_S)
        now = 10_000 * NS_PER_S
        camera.offer(gray(now), now)
        now -= back_ms * MS
        assert camera.age_ns(now) == -back_ms * MS
        assert camera.offer(gray(now), now) is Outcome.ADMITTED
        assert stamps(camera) == [now]
        assert (camera.counts.jumps_back, camera.counts.out_of_order) == (1, 0)


def test_what_was_counted_since_a_usable_frame(gray) -> None:
    camera = camera_with()
    camera.offer(gray(NS_PER_S, step=3), 9 * NS_PER_S)
    assert (camera.counts_since_fresh.received, camera.counts_since_fresh.malformed) == (1, 1)
    camera.offer(gray(2 * NS_PER_S), 9 * NS_PER_S)
    since = camera.counts_since_fresh
    assert (since.received, since.malformed, since.last_error) == (0, 0, "")
    camera.offer(gray(20 * NS_PER_S), 9 * NS_PER_S)
    since = camera.counts_since_fresh
    assert (since.received, since.future_stamps, since.malformed, since.admitted) == (1, 1, 0, 0)


def test_equal_and_older_stamps_are_out_of_order(gray) -> None:
    camera = camera_with(jump_back_ns=NS_PER_S)
    now = 9 * NS_PER_S
    camera.offer(gray(5 * NS_PER_S, 1), now)
    assert camera.offer(gray(5 * NS_PER_S, 2), now) is Outcome.OUT_OF_ORDER
    assert camera.offer(gray(4 * NS_PER_S, 3), now) is Outcome.OUT_OF_ORDER
    assert camera.offer(gray(5 * NS_PER_S + 1, 4), now) is Outcome.ADMITTED
    assert stamps(camera) == [5 * NS_PER_S, 5 * NS_PER_S + 1]
    assert (camera.counts.out_of_order, camera.counts.jumps_back) == (2, 0)


def test_a_camera_that_repeats_one_stamp_grows_old(gray) -> None:
    camera = camera_with()
    for i in range(10):
        camera.offer(gray(5 * NS_PER_S, i), 5 * NS_PER_S + i * NS_PER_S)
    assert camera.age_ns(15 * NS_PER_S) == 10 * NS_PER_S
    assert camera.counts.out_of_order == 9


def test_every_message_of_a_camera_that_sends_each_twice_is_used_once(gray) -> None:
    camera = camera_with(admission=AdmissionSettings(rate_hz=10.0))
    for i in range(1, 21):
        for _ in range(2):
            camera.offer(gray(i * 100 * MS), 9 * NS_PER_S)
    assert stamps(camera) == [i * 100 * MS for i in range(1, 21)]
    assert camera.counts.out_of_order == 20


def test_a_looped_bag_starts_the_buffer_anew(gray) -> None:
    camera = camera_with(admission=AdmissionSettings(rate_hz=2.0, min_change=1.0), jump_back_ns=NS_PER_S)
    for _ in range(2):
        for i in range(1, 41):
            camera.offer(gray(i * 100 * MS, i), 100 * NS_PER_S)
    assert stamps(camera) == [(100 + 500 * i) * MS for i in range(8)]
    assert camera.counts.jumps_back == 1
    assert camera.counts.admitted == 16
    assert camera.age_ns(4 * NS_PER_S) == 400 * MS


def test_the_first_frame_after_a_jump_back_is_admitted_though_it_shows_the_same(gray) -> None:
    camera = camera_with(admission=AdmissionSettings(0.0, min_change=5.0))
    for stamp_s in (10, 11, 3):
        camera.offer(gray(stamp_s * NS_PER_S), 99 * NS_PER_S)
    assert stamps(camera) == [3 * NS_PER_S]


def test_a_frozen_camera_is_seen(gray) -> None:
    camera = camera_with()
    assert camera.same_picture_ns() == 0
    camera.offer(gray(NS_PER_S, 1), 99 * NS_PER_S)
    assert camera.same_picture_ns() == 0
    for i in range(2, 8):
        camera.offer(gray(i * NS_PER_S, 2), 99 * NS_PER_S)
    assert camera.same_picture_ns() == 5 * NS_PER_S
    camera.offer(gray(8 * NS_PER_S, 3), 99 * NS_PER_S)
    assert camera.same_picture_ns() == 0


def test_one_grey_level_in_one_pixel_is_life(gray) -> None:
    camera = camera_with()
    picture = np.full((12, 16), 50)
    for i in range(1, 9):
        picture[3, 4] = 50 + i % 2
        camera.offer(gray(i * NS_PER_S, picture), 99 * NS_PER_S)
    assert camera.same_picture_ns() == 0


def test_a_frozen_camera_is_seen_where_its_frames_are_not_admitted(gray) -> None:
    for admission in (AdmissionSettings(0.0, min_change=3.0), AdmissionSettings(0.0, min_sharpness=10.0)):
        camera = camera_with(admission=admission)
        for i in range(1, 9):
            camera.offer(gray(i * NS_PER_S), 99 * NS_PER_S)
        assert camera.counts.admitted <= 1
        assert camera.same_picture_ns() == 7 * NS_PER_S


def test_padding_that_changes_does_not_hide_a_frozen_camera(image) -> None:
    camera = camera_with()
    for i in range(1, 6):
        rows = np.pad(np.full((12, 16), 100, np.uint8), ((0, 0), (0, 4)), constant_values=i)
        camera.offer(image(rows, "mono8", 16, 12, stamp_ns=i * NS_PER_S), 99 * NS_PER_S)
    assert camera.same_picture_ns() == 4 * NS_PER_S


def test_a_jump_back_ends_the_frozen_time(gray) -> None:
    camera = camera_with()
    for stamp_s in (10, 20, 3):
        camera.offer(gray(stamp_s * NS_PER_S), 99 * NS_PER_S)
    assert camera.same_picture_ns() == 0


def test_windows_end_with_the_newest_frame(gray) -> None:
    camera = camera_with()
    for i in range(1, 11):
        camera.offer(gray(i * NS_PER_S), 99 * NS_PER_S)
    clip = camera.recent_clip(3 * NS_PER_S, 9)
    assert [frame.stamp_ns // NS_PER_S for frame in clip.frames] == [7, 8, 9, 10]
    assert [frame.stamp_ns // NS_PER_S for frame in camera.recent_clip(9 * NS_PER_S, 4).frames] == [1, 4, 7, 10]
    assert [frame.stamp_ns // NS_PER_S for frame in camera.clip(2 * NS_PER_S, 4 * NS_PER_S, 9).frames] == [2, 3, 4]


def test_a_camera_without_frames_says_so(gray) -> None:
    camera = camera_with()
    for ask in (lambda: camera.recent_clip(NS_PER_S, 4), lambda: camera.clip(0, NS_PER_S, 4)):
        with pytest.raises(NoFramesError, match="camera 'front' has sent no usable frame"):
            ask()
    assert camera.age_ns(0) is None
    camera.offer(gray(NS_PER_S), NS_PER_S)
    with pytest.raises(NoFramesError, match=r"1 frames from 1.000 s to 1.000 s are buffered"):
        camera.clip(2 * NS_PER_S, 3 * NS_PER_S, 4)


def test_the_buffer_is_bounded_in_frames_and_bytes(gray) -> None:
    by_frames, by_bytes = camera_with(buffer_frames=3), camera_with(buffer_bytes=1500)
    for i in range(1, 20):
        for camera in (by_frames, by_bytes):
            camera.offer(gray(i * NS_PER_S), 99 * NS_PER_S)
    assert by_frames.buffered == (3, 3 * 576)
    assert by_bytes.buffered == (2, 2 * 576)


def test_every_message_is_counted_once(gray) -> None:
    camera = camera_with(admission=AdmissionSettings(rate_hz=2.0, min_change=2.0))
    random = np.random.default_rng(8)
    outcomes = []
    for _ in range(400):
        stamp = int(random.integers(0, 60)) * 100 * MS
        outcomes.append(
            camera.offer(gray(stamp, int(random.integers(0, 9)), step=int(random.choice([3, 16]))), 5 * NS_PER_S)
        )
    counts = camera.counts
    for outcome, counted in (
        (Outcome.ADMITTED, counts.admitted),
        (Outcome.NOT_DUE, counts.not_due),
        (Outcome.UNCHANGED, counts.unchanged),
        (Outcome.MALFORMED, counts.malformed),
        (Outcome.FUTURE_STAMP, counts.future_stamps),
        (Outcome.OUT_OF_ORDER, counts.out_of_order),
    ):
        assert counted == outcomes.count(outcome) > 0
    assert counts.received == 400


def test_messages_and_clips_in_two_threads(gray) -> None:
    camera = camera_with(buffer_frames=4)
    messages = [gray(i * MS, i % 200) for i in range(1, 1500)]
    camera.offer(messages[0], NS_PER_S)
    done = threading.Event()
    clips = []

    def cut() -> None:
        while not done.is_set():
            clips.append(camera.recent_clip(NS_PER_S, 4))

    reader = threading.Thread(target=cut)
    reader.start()
    for message in messages[1:]:
        camera.offer(message, 2 * NS_PER_S)
    done.set()
    reader.join(10)
    assert not reader.is_alive()
    for clip in clips:
        for frame in clip.frames:
            assert int(frame.rgb[0, 0, 0]) == frame.stamp_ns // MS % 200
        assert sorted({frame.stamp_ns for frame in clip.frames}) == [frame.stamp_ns for frame in clip.frames]


def test_a_growing_clip_is_the_same_however_much_is_kept_for_longer_windows(gray) -> None:
    growth = GrowthSettings(max_frames=8, min_frames=2, window_ns=100 * NS_PER_S, spacing_ns=0)
    bounds = ({"buffer_frames": 3}, {"buffer_bytes": 3 * 16 * 12 * 3}, {"buffer_bytes": 1})
    for bound in bounds:
        small = camera_with(growth=growth, **bound)
        large = camera_with(growth=growth, **bound, kept_frames=1000, kept_bytes=2**20)
        for second in range(1, 21):
            for camera in (small, large):
                camera.offer(gray(second * NS_PER_S, second), second * NS_PER_S)
            small_ns, large_ns = ([frame.stamp_ns for frame in one.growing_clip().frames] for one in (small, large))
            assert large_ns == small_ns
        assert len(small_ns) <= len(stamps(small)) < len(stamps(large)) == 20


def test_messages_that_are_not_read_have_the_outcomes_of_those_that_are(gray) -> None:
    random = np.random.default_rng(5)
    for seed in range(20):
        settings = {
            "admission": AdmissionSettings(rate_hz=float(random.choice([0.0, 2.0, 30.0]))),
            "stamp_source": StampSource.ARRIVAL if seed % 4 == 3 else StampSource.HEADER,
        }
        whole, unread = camera_with(**settings), camera_with(**settings)
        read: list[int] = []
        now = 100 * NS_PER_S
        for number in range(200):
            now += int(random.choice([0, 33, 500])) * MS
            offset = int(random.choice([0, 0, 0, 0, -1, -20 * NS_PER_S, NS_PER_S]))
            stamp = 0 if random.random() < 0.05 else now + offset
            message = gray(stamp, number % 256, step=3 if random.random() < 0.1 else None)

            def reading(message: Any = message, number: int = number, read: list[int] = read) -> Any:
                read.append(number)
                return message

            outcome = whole.offer(message, now)
            assert unread.offer_unread(stamp, reading, now) is outcome
            passed_over = outcome in (Outcome.NOT_DUE, Outcome.OUT_OF_ORDER, Outcome.FUTURE_STAMP)
            assert (number in read) == (not passed_over)
        assert unread.counts == whole.counts
        assert unread.counts.received == 200
        assert stamps(unread) == stamps(whole)
        assert unread.age_ns(now) == whole.age_ns(now)


def test_a_message_that_cannot_be_read_is_malformed_and_the_next_one_is_due(gray) -> None:
    camera = camera_with(admission=AdmissionSettings(rate_hz=1.0))

    def unreadable() -> Any:
        raise ImageError("front", "sensor_msgs/msg/Image", "it is cut off")

    assert camera.offer_unread(NS_PER_S, unreadable, 9 * NS_PER_S) is Outcome.MALFORMED
    assert camera.counts.last_error == "camera 'front', encoding 'sensor_msgs/msg/Image': it is cut off"
    assert camera.offer_unread(NS_PER_S + MS, lambda: gray(NS_PER_S + MS), 9 * NS_PER_S) is Outcome.ADMITTED
    assert camera.offer_unread(NS_PER_S + 2 * MS, unreadable, 9 * NS_PER_S) is Outcome.NOT_DUE
