"""Zstandard from the standard library or, before Python 3.14, from a package that rosbags depends on."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"\x28\xb5\x2f\xfd"
"""First bytes of every Zstandard frame. No CDR message begins so, because its first byte is 0."""

__all__ = ["MAGIC", "zstd"]
