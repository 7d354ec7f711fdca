"""Fast DDS: its environment variables and default shared memory, and the profile shipped for large pictures."""

from __future__ import annotations

from pathlib import Path

from .share import shipped

# Fast DDS 2 (Jazzy) reads the first name, Fast DDS 3 (Kilted) the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
DEFAULT_SEGMENT_BYTES = 512 * 1024
"""Shared memory of a DDS participant without a profile, in bytes."""
_PROFILE = "config/fastdds.xml"


def shipped_profile() -> Path | None:
    """Path of the shipped profile, or None if it is not installed."""
    return shipped(_PROFILE)


def named_profile() -> str:
    """The shipped profile for messages: its path, or its path within the package if it is not installed."""
    return str(shipped_profile() or _PROFILE)
