"""Finds what is shipped beside the package: the small model, configuration, the demonstration's bag."""

from __future__ import annotations

from pathlib import Path

PACKAGE = "llava_ov_ros"


def shipped(relative: str) -> Path | None:
    """Path of a file or folder such as `models/rooms`, or None where it is not there.

    Looks in the source tree, in a colcon install space and in a pip environment: each has it at a fixed place
    above this module.
    """
    for folder in Path(__file__).absolute().parents:
        if (folder / "package.xml").is_file() and (folder / relative).exists():
            return folder / relative
        if (folder / "share" / PACKAGE / relative).exists():
            return folder / "share" / PACKAGE / relative
    return None
