"""Zstandard, from the standard library or from the package that rosbags brings for older Pythons."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"\x28\xb5\x2f\xfd"
"""What every frame of Zstandard begins with. No message of CDR does: its first byte is 0."""

__all__ = ["MAGIC", "zstd"]
