"""Remarks about blank pictures: pictures of one grey level, or nearly so, in which nothing can be seen."""

from __future__ import annotations

from collections.abc import Sequence

from ..frames import Clip
from ..frames.buffer import seconds

REMEDY = "look at value_range, the exposure and the lens (a cap on it?)"
"""What to do about a picture of one grey level."""


def blank_pictures(count: int, last: str) -> str:
    """Tell how many pictures of a camera were blank, describe the last of them, and say what to check."""
    return f"next to nothing is to be seen in {count} pictures, the last has {last}; {REMEDY}"


def blank_remark(clips: Sequence[Clip]) -> str:
    """Tell which frames of some clips are blank and what to check; empty where none is."""
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
