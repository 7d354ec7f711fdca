"""Judges whether a camera shows the present: one rule for answers and diagnostics, with the cause in words."""

from __future__ import annotations

from dataclasses import dataclass

from ..frames import NS_PER_S, Camera
from ..frames.buffer import seconds
from .query import Status

OTHER_CLOCK = (
    "probably its driver stamps by another clock than the node's; synchronise the clocks, use simulated time on both "
    "sides or on none (use_sim_time), or set stamp_source: arrival for this camera"
)
"""Cause and remedy of stamps that are far off."""


@dataclass(frozen=True)
class Doubt:
    """The reason not to trust a camera's newest frames.

    Attributes:
        status: STALE or FROZEN.
        reason: In words, without the camera's name.
    """

    status: Status
    reason: str


def doubt_of(camera: Camera, now_ns: int, max_age_ns: int, frozen_after_ns: int) -> Doubt | None:
    """Judge the newest frames of a camera.

    Args:
        camera: The camera.
        now_ns: The clock that the frames' stamps belong to.
        max_age_ns: A camera whose newest usable frame is older is stale, and so is one whose newest frame lies further
            in the future than the camera's `future_tolerance_ns`: the clock was set back, and it may be of any age.
        frozen_after_ns: A camera with an identical picture for that long is frozen; 0 switches the test off.
    """
    age_ns = camera.age_ns(now_ns)
    if age_ns is None:
        return None
    newest = f"its newest usable frame, stamped {seconds(now_ns - age_ns)},"
    if age_ns > max_age_ns:
        return Doubt(
            Status.STALE,
            f"{newest} is {age_ns / NS_PER_S:.1f} s old, more than max_frame_age_s {max_age_ns / NS_PER_S:g}"
            + _late(camera, age_ns, max_age_ns)
            + messages_since(camera),
        )
    if -age_ns > camera.future_tolerance_ns:
        return Doubt(
            Status.STALE,
            f"{newest} lies {-age_ns / NS_PER_S:.1f} s in the future, more than future_tolerance_s "
            f"{camera.future_tolerance_ns / NS_PER_S:g}: the clock was set back after it came; the next frame that is "
            "stamped with the time of now ends this" + messages_since(camera),
        )
    same_ns = camera.same_picture_ns()
    if 0 < frozen_after_ns <= same_ns:
        return Doubt(
            Status.FROZEN,
            f"it sends new stamps with an identical picture for {same_ns / NS_PER_S:.1f} s "
            f"(frozen_after_s {frozen_after_ns / NS_PER_S:g}): restart its driver",
        )
    return None


def _late(camera: Camera, age_ns: int, max_age_ns: int) -> str:
    """Cause and remedy where the newest usable frame was too old already when it arrived; otherwise empty."""
    at_first_ns = camera.age_on_arrival_ns()
    # A frame that has become younger since tells of a clock that was set back.
    if not max_age_ns < at_first_ns <= age_ns:
        return ""
    return f", and was {at_first_ns / NS_PER_S:.1f} s old when it arrived: {OTHER_CLOCK}"


def messages_since(camera: Camera) -> str:
    """Tell what became of the messages since the newest usable frame, or of all messages where there was none.

    The text is the end of a sentence. Faults before that frame are left out: they do not explain the present.
    """
    counts = camera.counts_since_fresh
    reasons = [
        f"{count} {what}"
        for count, what in (
            (counts.malformed, "malformed"),
            (counts.damaged, "damaged"),
            (counts.awaiting_key_frame, "waiting for a key frame"),
            (counts.future_stamps, "stamped in the future"),
            (counts.out_of_order, "out of order"),
            (counts.blurred, "blurred"),
            (counts.not_due, "not due at admission_rate_hz"),
        )
        if count
    ]
    since = "" if counts.received == camera.counts.received else " since"
    remedy = f"; stamped in the future: {OTHER_CLOCK}" if counts.future_stamps else ""
    text = f" ({', '.join([f'{counts.received} messages received{since}', *reasons])})"
    return text + remedy + (f"; last error: {counts.last_error}" if counts.last_error else "")
