"""Allowed values of some parameters, which the layers above also use as types or constants."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, get_args


class StampSource(StrEnum):
    """Source of a frame's time."""

    HEADER = "header"
    """`header.stamp` of the message; if that stamp is zero, the time of the message's arrival."""
    ARRIVAL = "arrival"
    """Time of the message's arrival, for drivers whose stamps come from another clock, such as time since boot."""


REFUSE, USE = "refuse", "use"
ON_DAMAGED = (REFUSE, USE)
"""What the node does with a JPEG whose picture is partly damaged: refuse the picture, or use it."""
Decoding = Literal["constrained", "free", "certified"]
"""How plans are made: constrained to the vocabulary's grammar, read from free text afterwards, or constrained and with
a planner's plan where the model's is not accepted."""
DECODINGS: tuple[Decoding, ...] = get_args(Decoding)
Validator = Literal["simulation", "pddl"]
"""Judge of plans: the simulation, or unified-planning's plan validator in PDDL."""
VALIDATORS: tuple[Validator, ...] = get_args(Validator)
CERTIFIED: Decoding = "certified"
DECOMPOSE = "decompose"
"""Decoding of a request that wants steps in the model's own words, in place of a plan."""
REQUEST_DECODINGS = (*DECODINGS, DECOMPOSE)
"""Decodings that a request for a plan may name."""
PLAN_DECODING: Decoding = "constrained"
"""Default of the parameter plan_decoding."""
ROTATIONS_DEG = (0, 90, 180, 270)
"""Clockwise rotations of a picture, in degrees."""
