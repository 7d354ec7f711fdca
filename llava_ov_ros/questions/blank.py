"""What is said of an answer that rests on pictures in which there is nothing to see."""

from __future__ import annotations

from collections.abc import Sequence

from ..frames import Clip
from ..frames.buffer import seconds

REMEDY = "look at value_range, the exposure and the lens (a cap on it?)"
"""What to do about a picture of one grey level."""


def blank_pictures(count: int, last: str) -> str:
    """How many pictures of a camera showed one grey level, what the last of them showed, and what to do."""
    return f"next to nothing is to be seen in {count} pictures, the last has {last}; {REMEDY}"


def blank_remark(clips: Sequence[Clip]) -> str:
    """Which frames of some clips show one grey level or nearly so, and what to do; empty where there are none."""
    remarks = []
    for clip in clips:
        blank = [frame for frame in clip.frames if frame.blank]
        if blank:
            newest = blank[-1]
            remarks.append(
                f"camera {clip.camera!r}: {len(blank)} of {len(clip.frames)} frames used show next to nothing: the one "
                f"stamped {seconds(newest.stamp_ns)} has {newest.blank}; {REMEDY}"
            )
    return "; ".join(remarks)
