"""Clips spread over a recording are those that the node would cut, and none that it would refuse."""

from __future__ import annotations

import pytest

from llava_ov_ros.replay import ReplaySettings, image_topics, spread_clips

S = 1_000_000_000
T0_NS = 1_700_000_000 * S
TOPIC = "/front/image_raw"


@pytest.fixture
def spread(write_bag, shot, tmp_path):
    """Number and seconds of each clip of a bag of pictures at some times: `spread(times_s, levels, count)`."""

    def cut(times_s, levels, count, **settings):
        shots = [shot(TOPIC, at_s, level=level) for at_s, level in zip(times_s, levels, strict=True)]
        bag = write_bag(tmp_path / "bag", shots)
        (topic,) = image_topics(bag)
        clips = spread_clips(bag, topic, count, ReplaySettings(**settings))
        return {number: [(frame.stamp_ns - T0_NS) / S for frame in clip.frames] for number, clip in clips}

    return cut


def test_clips_end_at_equal_distances_and_hold_nothing_later(spread):
    times_s = [half / 2 for half in range(41)]
    found = spread(times_s, range(41), 4, window_ns=8 * S)
    assert list(found) == [0, 1, 2, 3]
    assert [seen[-1] for seen in found.values()] == [5, 10, 15, 20]
    assert [seen[0] for seen in found.values()] == [0, 2, 7, 12]
    assert [len(seen) for seen in found.values()] == [4] * 4
    assert found == {number: sorted(seen) for number, seen in found.items()}


def test_without_a_window_they_are_the_growing_clips(spread):
    times_s = [half / 2 for half in range(41)]
    assert spread(times_s, range(41), 4) == {0: [3, 4.5, 5], 1: [6, 7.5, 9, 10], 2: [12, 13.5, 15], 3: [18, 19.5, 20]}


def test_one_picture_is_all_that_a_camera_with_one_message_shows(spread):
    assert spread([3], [7], 3, max_frames=2) == {0: [3], 1: [3], 2: [3]}


def test_no_clip_where_the_camera_is_silent_or_frozen(spread):
    times_s = [0, 1, 2, *range(20, 31)]
    found = spread(times_s, [1, 2, 3, *([9] * 11)], 15)
    # Silent from 4 to 20 s; at 25 s the picture has been the same for 5 s.
    assert [2 * (number + 1) for number in found] == [2, 4, 20, 22, 24]
