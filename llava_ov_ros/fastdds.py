"""What Fast DDS does by itself, and the profile that is shipped for large pictures."""

from __future__ import annotations

from pathlib import Path

from .share import shipped

# Fast DDS 2 (Jazzy) reads the first name, Fast DDS 3 (Kilted) the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
DEFAULT_SEGMENT_BYTES = 512 * 1024
"""Shared memory of a participant without a profile."""
_PROFILE = "config/fastdds.xml"


def shipped_profile() -> Path | None:
    """The shipped profile, or None where it is not there."""
    return shipped(_PROFILE)


def named_profile() -> str:
    """The shipped profile for people: its path, or how it is called in the package."""
    return str(shipped_profile() or _PROFILE)
