"""The outcomes of a camera's messages, and how often each occurred."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import Enum


class Outcome(Enum):
    """Whether a message's frame was admitted, or why it was not."""

    ADMITTED = "admitted"
    NOT_DUE = "not due at the admission rate"
    UNCHANGED = "changed too little"
    BLURRED = "not sharp enough"
    MALFORMED = "malformed"
    DAMAGED = "damaged"
    FUTURE_STAMP = "stamped in the future"
    OUT_OF_ORDER = "not newer than the frame before it"
    AWAITING_KEY_FRAME = "video before a key frame"
    WITHOUT_PICTURE = "parameters of a video, without a picture"


@dataclass(frozen=True)
class CameraCounts:
    """Counters of a camera's messages since the start; the diagnostics publish them.

    Each message counts as `received` and under its `Outcome`. `damaged` counts refused damaged pictures, and also those
    that are used (`DecodeOptions.on_damaged`), which count under their outcome, too. `blank` likewise counts pictures
    of one grey level. `shown_anew` counts frames that entered a clip with another range of values than before.
    """

    received: int = 0
    admitted: int = 0
    not_due: int = 0
    unchanged: int = 0
    blurred: int = 0
    malformed: int = 0
    damaged: int = 0
    future_stamps: int = 0
    out_of_order: int = 0
    awaiting_key_frame: int = 0
    without_picture: int = 0
    zero_stamps: int = 0
    jumps_back: int = 0
    blank: int = 0
    shown_anew: int = 0
    last_blank: str = ""
    last_error: str = ""
    last_change: float = 0.0
    last_sharpness: float = 0.0

    def after(self, outcome: Outcome) -> CameraCounts:
        """The counts after one more message."""
        name = _COUNTER[outcome]
        return replace(self, received=self.received + 1, **{name: getattr(self, name) + 1})

    def since(self, earlier: CameraCounts) -> CameraCounts:
        """The counts minus `earlier`; `last_error` is empty if no malformed or damaged message came in between."""
        counted = {name: getattr(self, name) - getattr(earlier, name) for name in _COUNTED}
        error = self.last_error if counted["malformed"] or counted["damaged"] else ""
        return replace(self, **counted, last_error=error)


_COUNTED = tuple(entry.name for entry in fields(CameraCounts) if not entry.name.startswith("last_"))
_COUNTER = {
    Outcome.ADMITTED: "admitted",
    Outcome.NOT_DUE: "not_due",
    Outcome.UNCHANGED: "unchanged",
    Outcome.BLURRED: "blurred",
    Outcome.MALFORMED: "malformed",
    Outcome.DAMAGED: "damaged",
    Outcome.FUTURE_STAMP: "future_stamps",
    Outcome.OUT_OF_ORDER: "out_of_order",
    Outcome.AWAITING_KEY_FRAME: "awaiting_key_frame",
    Outcome.WITHOUT_PICTURE: "without_picture",
}
