"""The result of one check of `llava-ov doctor`: a level, one line about the finding, and a remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How serious a result is."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: Name of the check, such as `shared memory`.
        level: OK; NOTE: an optional part is missing; WARN: this may do harm; FAIL: the node will not work.
        found: The state of the machine, with the value that was measured.
        remedy: What the user should do; empty if the level is OK.
    """

    name: str
    level: Level
    found: str
    remedy: str = ""
