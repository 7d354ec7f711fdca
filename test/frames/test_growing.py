"""The growing clip: its beginning changes rarely, and what will be its beginning is known before."""

from __future__ import annotations

import numpy as np
import pytest

from llava_ov_ros.frames import NS_PER_S, Frame, GrowingClip, GrowthSettings

RGB = np.zeros((2, 2, 3), np.uint8)


def grown(count: int, settings: GrowthSettings, oldest: int = 0) -> tuple[GrowingClip, list[list[int]]]:
    """A clip after so many frames at 1 Hz, and the stamps in seconds that it held after each."""
    clip = GrowingClip("camera", settings)
    history = []
    for second in range(count):
        clip.add(Frame("camera", second * NS_PER_S, "", RGB), oldest * NS_PER_S)
        history.append(seconds(clip))
    return clip, history


def seconds(clip: GrowingClip) -> list[int]:
    return [frame.stamp_ns // NS_PER_S for frame in clip.current.frames] if clip.current else []


def test_it_grows_and_re_anchors() -> None:
    _, history = grown(9, GrowthSettings(max_frames=4, min_frames=2, window_ns=100 * NS_PER_S, spacing_ns=0))
    assert history == [
        [0],
        [0, 1],
        [0, 1, 2],
        [0, 1, 2, 3],
        [3, 4],
        [3, 4, 5],
        [3, 4, 5, 6],
        [6, 7],
        [6, 7, 8],
    ]


@pytest.mark.parametrize(("most", "least"), [(4, 2), (16, 8), (5, 5), (1, 1), (7, 1)])
def test_what_is_coming_is_what_comes(most: int, least: int) -> None:
    settings = GrowthSettings(max_frames=most, min_frames=least, window_ns=1000 * NS_PER_S, spacing_ns=0)
    clip, announced, anchor = GrowingClip("camera", settings), [], 0
    changes = 0
    for second in range(60):
        clip.add(Frame("camera", second * NS_PER_S, "", RGB), 0)
        now = seconds(clip)
        if now[0] != anchor:
            assert now[: len(announced)] == announced
            assert len(announced) == least - 1, "all but the newest frame could have been prepared"
            anchor = now[0]
            changes += 1
        announced = [f.stamp_ns // NS_PER_S for f in clip.coming.frames] if clip.coming else []
    assert changes == (60 - most - 1) // (most - least + 1) + 1


def test_old_frames_leave_after_a_pause() -> None:
    clip, _ = grown(3, GrowthSettings(max_frames=8, min_frames=4, window_ns=5 * NS_PER_S))
    clip.add(Frame("camera", 60 * NS_PER_S, "", RGB), 0)
    assert seconds(clip) == [60]


def test_the_window_re_anchors_to_the_least_number() -> None:
    _, history = grown(8, GrowthSettings(max_frames=100, min_frames=2, window_ns=4 * NS_PER_S, spacing_ns=0))
    assert history[4] == [0, 1, 2, 3, 4]
    assert history[5] == [4, 5]


def test_frames_that_the_buffer_has_dropped_leave() -> None:
    clip = GrowingClip("camera", GrowthSettings(max_frames=8, min_frames=8, window_ns=100 * NS_PER_S, spacing_ns=0))
    for second in range(6):
        clip.add(Frame("camera", second * NS_PER_S, "", RGB), oldest_ns=max(0, second - 2) * NS_PER_S)
        assert len(seconds(clip)) <= 3
    assert seconds(clip) == [3, 4, 5]


def test_clear() -> None:
    clip, _ = grown(3, GrowthSettings())
    clip.clear()
    assert clip.current is None
    assert clip.coming is None


def test_frames_closer_than_the_spacing_only_stand_at_the_end() -> None:
    settings = GrowthSettings(max_frames=4, min_frames=2, window_ns=100 * NS_PER_S, spacing_ns=3 * NS_PER_S)
    _, history = grown(14, settings)
    assert history[:10] == [
        [0],
        [0, 1],
        [0, 2],
        [0, 3],
        [0, 3, 4],
        [0, 3, 5],
        [0, 3, 6],
        [0, 3, 6, 7],
        [0, 3, 6, 8],
        [6, 9],
    ]
    assert all(len(stamps) <= 4 for stamps in history)


def test_one_frame_is_always_the_newest() -> None:
    for spacing_ns in (0, 2 * NS_PER_S):
        _, history = grown(4, GrowthSettings(max_frames=1, min_frames=1, spacing_ns=spacing_ns))
        assert history == [[0], [1], [2], [3]]


@pytest.mark.parametrize("values", [{"min_frames": 0}, {"min_frames": 5}, {"window_ns": -1}, {"spacing_ns": -1}])
def test_impossible_settings_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        GrowthSettings(**values)
