"""Which frames serve a query, and when an answer would be a guess; with real cameras."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from llava_ov_ros.frames import AdmissionSettings, Camera, CameraSettings, GrowthSettings
from llava_ov_ros.questions import Query, RefusedError, Status, cut_clips, new_request_id

S = 1_000_000_000
GROWTH = GrowthSettings(max_frames=4, min_frames=2, spacing_ns=0)
WINDOW = {"window_ns": 8 * S}
IN_BOTH = pytest.mark.parametrize("fields", [{}, WINDOW], ids=["growing", "window"])


def image(stamp_ns, level, **fields):
    header = SimpleNamespace(stamp=SimpleNamespace(sec=stamp_ns // S, nanosec=stamp_ns % S), frame_id="optical")
    content = {"height": 4, "width": 6, "encoding": "mono8", "is_bigendian": 0, "step": 6}
    data = np.full(24, level, np.uint8)
    return SimpleNamespace(__msgtype__="sensor_msgs/msg/Image", header=header, data=data, **{**content, **fields})


def camera(name, *stamps_s, level=None):
    """A camera that has sent pictures with these stamps, all alike where a level is given."""
    one = Camera(name, CameraSettings(admission=AdmissionSettings(rate_hz=0.0), growth=GROWTH))
    for i, stamp_s in enumerate(stamps_s):
        one.offer(image(round(stamp_s * S), i if level is None else level), 100 * S)
    return one


def cut(cameras, now_s, names=("front",), frozen_after_s=5.0, **fields):
    by_name = {one.name: one for one in cameras}
    query = Query("?", names, **fields)
    return cut_clips(query, by_name, round(now_s * S), max_age_ns=2 * S, frozen_after_ns=round(frozen_after_s * S))


def seconds(clips):
    return {clip.camera: [frame.stamp_ns / S for frame in clip.frames] for clip in clips}


def test_the_window_ends_with_the_newest_frame():
    front = camera("front", *range(1, 11))
    assert seconds(cut([front], 10.5, window_ns=3 * S, max_frames=9)) == {"front": [7, 8, 9, 10]}
    assert seconds(cut([front], 10.5, window_ns=60 * S, max_frames=4)) == {"front": [1, 4, 7, 10]}


def test_the_growing_clip_stands_for_now():
    assert seconds(cut([camera("front", 1, 2, 3, 4)], 4)) == {"front": [1, 2, 3, 4]}
    assert seconds(cut([camera("front", 1, 2, 3, 4, 5)], 5)) == {"front": [4, 5]}


def test_cameras_come_in_the_order_in_which_they_are_asked_for():
    cameras = [camera("front", 1, 2), camera("side", 1.5)]
    assert list(seconds(cut(cameras, 2, names=("side", "front")))) == ["side", "front"]
    assert seconds(cut(cameras, 2, names=("side",))) == {"side": [1.5]}


def test_a_past_range_is_neither_stale_nor_frozen():
    front = camera("front", *range(1, 11), level=7)
    assert seconds(cut([front], 1000, range_ns=(2 * S, 4 * S), max_frames=9)) == {"front": [2, 3, 4]}


@IN_BOTH
def test_an_old_frame_is_stale(fields):
    front = camera("front", 1, 2)
    assert cut([front], 4.0, **fields)
    with pytest.raises(RefusedError) as refused:
        cut([front], 4.1, **fields)
    assert refused.value.status is Status.STALE
    assert "camera 'front': its newest usable frame, stamped 2.000 s, is 2.1 s old" in refused.value.message
    assert "more than max_frame_age_s 2 (0 messages received since)" in refused.value.message


@IN_BOTH
def test_a_frame_from_before_the_clock_was_set_back_is_stale(fields):
    front = camera("front", 90, 91)
    assert cut([front], 90.5, **fields), "half a second is tolerated when a frame comes, and so is it later"
    with pytest.raises(RefusedError) as refused:
        cut([front], 8, **fields)
    assert refused.value.status is Status.STALE
    assert (
        "camera 'front': its newest usable frame, stamped 91.000 s, lies 83.0 s in the future, more than "
        "future_tolerance_s 0.5: the clock was set back after it came" in refused.value.message
    )
    front.offer(image(9 * S, 5), 9 * S)
    assert seconds(cut([front], 9, **fields)) == {"front": [9]}


def test_a_frame_that_comes_while_a_clip_is_cut_makes_no_old_clip_fresh():
    class Interrupted(Camera):
        def recent_clip(self, window_ns, max_frames):
            clip = super().recent_clip(window_ns, max_frames)
            self.offer(image(60 * S, 9), 60 * S)
            return clip

    front = Interrupted("front", CameraSettings(admission=AdmissionSettings(rate_hz=0.0), growth=GROWTH))
    front.offer(image(S, 0), S)
    with pytest.raises(RefusedError, match=r"stamped 1.000 s, is 59.0 s old"):
        cut([front], 60, **WINDOW)


def test_a_refusal_tells_of_the_messages_after_the_newest_usable_frame_only():
    front = camera("front")
    front.offer(image(S, 0, step=1), 100 * S)
    front.offer(image(2 * S, 0), 100 * S)
    with pytest.raises(RefusedError, match=r"max_frame_age_s 2 \(0 messages received since\)$"):
        cut([front], 9)
    front.offer(image(3 * S, 0, height=5), 100 * S)
    front.offer(image(2 * S, 0), 100 * S)
    with pytest.raises(RefusedError) as refused:
        cut([front], 9)
    assert "(2 messages received since, 1 malformed, 1 out of order); last error: camera" in refused.value.message
    assert "step is 1" not in refused.value.message


def test_a_frame_that_was_old_when_it_arrived_tells_of_another_clock():
    front = camera("front")
    front.offer(image(2 * S, 0), 100 * S)
    with pytest.raises(RefusedError) as refused:
        cut([front], 101)
    assert "is 99.0 s old, more than max_frame_age_s 2, and was 98.0 s old when it arrived" in refused.value.message
    assert "set stamp_source: arrival for this camera (0 messages received since)" in refused.value.message
    # One that has only grown old since does not.
    front.offer(image(101 * S, 1), 102 * S)
    with pytest.raises(RefusedError) as refused:
        cut([front], 110)
    assert refused.value.message.endswith("is 9.0 s old, more than max_frame_age_s 2 (0 messages received since)")


def test_one_old_camera_of_two_is_enough():
    with pytest.raises(RefusedError, match="camera 'side'"):
        cut([camera("front", 9), camera("side", 1)], 9, names=("front", "side"))


def test_the_same_picture_for_long_is_frozen():
    still = camera("front", 1, 3, 5.9, level=7)
    assert cut([still], 6)
    still = camera("front", 1, 3, 6, level=7)
    with pytest.raises(RefusedError) as refused:
        cut([still], 6)
    assert refused.value.status is Status.FROZEN
    assert "identical picture for 5.0 s (frozen_after_s 5): restart its driver" in refused.value.message
    assert cut([still], 6, frozen_after_s=0)


@pytest.mark.parametrize("fields", [{}, WINDOW, {"range_ns": (0, 9 * S)}])
def test_no_frame_at_all(fields):
    silent = camera("front")
    silent.offer(image(S, 0, step=1), 100 * S)
    silent.offer(image(200 * S, 0), 100 * S)
    with pytest.raises(RefusedError) as refused:
        cut([silent], 2, **fields)
    assert refused.value.status is Status.NO_FRAMES
    assert (
        "has sent no usable frame (2 messages received, 1 malformed, 1 stamped in the future)" in refused.value.message
    )
    assert "last error: camera 'front', encoding 'mono8': step is 1" in refused.value.message


def test_a_range_without_frames_says_what_is_buffered():
    with pytest.raises(
        RefusedError, match=r"between 5.000 s and 6.000 s; 2 frames from 1.000 s to 2.000 s are buffered$"
    ):
        cut([camera("front", 1, 2)], 2, range_ns=(5 * S, 6 * S))


def test_requests_get_ids_of_their_own():
    assert len({new_request_id() for _ in range(1000)}) == 1000
    assert Query("?", ("front",)).request_id != Query("?", ("front",)).request_id


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "image"},
        {"window_ns": 0},
        {"window_ns": S},
        {"range_ns": (0, S)},
        {"max_frames": 1},
    ],
)
def test_queries_with_other_clips_are_not_answered_together(fields):
    plain = Query("Is there a cup?", ("front", "side"))
    assert plain.clips_key == Query("Where is it?", ("front", "side"), max_new_tokens=3, deadline_s=1.0).clips_key
    assert plain.clips_key != Query("Is there a cup?", ("front", "side"), **fields).clips_key
    assert plain.clips_key != Query("Is there a cup?", ("side", "front")).clips_key
