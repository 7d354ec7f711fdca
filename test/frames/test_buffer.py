"""The bounded buffer of one camera and the clips cut from it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from llava_ov_ros.frames import NS_PER_S, Clip, Frame, FrameBuffer, NoFramesError
from llava_ov_ros.frames.buffer import seconds, spread


def frame(stamp_ns: int, width: int = 2) -> Frame:
    return Frame("front", stamp_ns, "optical", np.zeros((1, width, 3), np.uint8))


def filled(stamps: range, max_frames: int = 1000, max_bytes: int = 10**9) -> FrameBuffer:
    buffer = FrameBuffer("front", max_frames, max_bytes)
    for stamp in stamps:
        buffer.append(frame(stamp))
    return buffer


def stamps(clip: Clip) -> list[int]:
    return [one.stamp_ns for one in clip.frames]


def test_the_bound_in_frames_drops_the_oldest() -> None:
    buffer = filled(range(10), max_frames=3)
    assert stamps(buffer.clip(0, 100, 100)) == [7, 8, 9]
    assert (len(buffer), buffer.nbytes) == (3, 18)


def test_the_bound_in_bytes_drops_the_oldest() -> None:
    buffer = filled(range(10), max_bytes=25)
    assert stamps(buffer.clip(0, 100, 100)) == [6, 7, 8, 9]
    buffer.append(frame(10, width=5))
    assert stamps(buffer.clip(0, 100, 100)) == [9, 10]
    assert buffer.nbytes == 21


def test_the_newest_frame_stays_even_where_it_alone_is_too_large() -> None:
    buffer = filled(range(3), max_bytes=20)
    buffer.append(frame(3, width=100))
    assert stamps(buffer.clip(0, 100, 100)) == [3]
    buffer.append(frame(4))
    assert stamps(buffer.clip(0, 100, 100)) == [4]
    assert buffer.nbytes == 6


@pytest.mark.parametrize("stamp", [4, 3, -1])
def test_stamps_must_increase(stamp) -> None:
    with pytest.raises(ValueError, match=f"stamp {stamp} is not newer than 4"):
        filled(range(5)).append(frame(stamp))


@pytest.mark.parametrize(("max_frames", "max_bytes"), [(0, 1), (1, 0)])
def test_bounds_must_be_positive(max_frames, max_bytes) -> None:
    with pytest.raises(ValueError, match=f"camera 'front': max_frames {max_frames} and max_bytes {max_bytes}"):
        FrameBuffer("front", max_frames, max_bytes)


def test_clear_forgets_all() -> None:
    buffer = filled(range(5))
    buffer.clear()
    assert (len(buffer), buffer.nbytes, buffer.newest) == (0, 0, None)
    buffer.append(frame(1))
    assert buffer.newest is not None
    assert buffer.newest.stamp_ns == 1


def test_both_ends_of_a_range_belong_to_it() -> None:
    assert stamps(filled(range(0, 50, 10)).clip(10, 30, 9)) == [10, 20, 30]


def test_nanoseconds_are_exact() -> None:
    """As floats these stamps would be equal."""
    first = 1_700_000_000 * NS_PER_S + 123_456_789
    buffer = filled(range(first, first + 3))
    assert stamps(buffer.clip(first + 1, first + 1, 9)) == [first + 1]


def test_an_empty_buffer_says_so() -> None:
    with pytest.raises(NoFramesError, match="camera 'front' has sent no usable frame"):
        filled(range(0)).clip(0, 9, 1)


def test_an_empty_range_says_what_is_buffered() -> None:
    buffer = filled(range(2 * NS_PER_S, 5 * NS_PER_S, NS_PER_S))
    with pytest.raises(NoFramesError) as caught:
        buffer.clip(5_500_000_000, 6 * NS_PER_S, 1)
    assert str(caught.value) == (
        "camera 'front' has no frame between 5.500 s and 6.000 s; 3 frames from 2.000 s to 4.000 s are buffered"
    )


def test_thinning_is_even_and_keeps_both_ends() -> None:
    assert stamps(filled(range(9)).clip(0, 9, 3)) == [0, 4, 8]
    assert stamps(filled(range(9)).clip(0, 9, 1)) == [8]
    for total in range(1, 40):
        frames = [frame(stamp) for stamp in range(total)]
        for count in range(1, 45):
            chosen = [one.stamp_ns for one in spread(frames, count)]
            assert len(chosen) == min(total, count)
            assert chosen[-1] == total - 1
            gaps = [after - before for before, after in pairwise(chosen)]
            assert not gaps or max(gaps) - min(gaps) <= 1


def test_a_clip_of_no_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="a clip of 0 frames was asked for"):
        filled(range(3)).clip(0, 9, 0)
    with pytest.raises(ValueError, match="a clip of camera 'front' needs at least one frame"):
        Clip("front", ())


def test_a_clip_knows_its_newest_stamp() -> None:
    assert filled(range(5)).clip(1, 3, 9).newest_ns == 3


@pytest.mark.parametrize(
    ("stamp_ns", "text"),
    [
        (0, "0.000 s"),
        (1_999_999_999, "1.999 s"),
        (-1_500_000_000, "-1.500 s"),
        (1_700_000_000_123_456_789, "1700000000.123 s"),
    ],
)
def test_stamps_as_text(stamp_ns, text) -> None:
    assert seconds(stamp_ns) == text
