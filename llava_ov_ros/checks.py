"""What a check of the machine has found: one line, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at, such as `shared memory`.
        level: OK; NOTE: something that only some need is not there; WARN: it may do harm; FAIL: it will not work.
        found: What is there, with the value.
        remedy: What to do; empty where all is well.
    """

    name: str
    level: Level
    found: str
    remedy: str = ""
