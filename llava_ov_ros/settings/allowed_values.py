"""Choices of parameters that layers above work with, too."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, get_args


class StampSource(StrEnum):
    """Where a frame's time comes from."""

    HEADER = "header"
    """`header.stamp` of the message; where that is zero, its arrival."""
    ARRIVAL = "arrival"
    """The clock when the message arrived, for drivers that stamp by another clock, as one that counts since boot."""


REFUSE, USE = "refuse", "use"
ON_DAMAGED = (REFUSE, USE)
"""What is done with a picture of which parts are damaged."""
Decoding = Literal["constrained", "free"]
"""How plans are decoded: held to the vocabulary's grammar, or read from free text."""
DECODINGS: tuple[Decoding, ...] = get_args(Decoding)
PLAN_DECODING: Decoding = "constrained"
"""The default of plan_decoding."""
ROTATIONS_DEG = (0, 90, 180, 270)
"""Clockwise turns of a picture."""
