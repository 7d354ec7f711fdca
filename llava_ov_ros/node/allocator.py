"""Settles with glibc which freed memory it keeps for the next message and which it gives back to the kernel."""

from __future__ import annotations

import ctypes
import platform

# Numbers of <malloc.h>; the values were measured with 1280x720 rgb8 at 30 Hz (docs/performance.md).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
# Pictures of up to 11 megapixels in rgb8 stay in the arenas. Larger blocks go back to the kernel when they are freed:
# every thread's arena would keep the largest that it has ever had.
MMAP_THRESHOLD = 32 * 2**20
TRIM_THRESHOLD = 2**30
TOP_PAD = 16 * 2**20
# Each arena keeps what its largest moment took; glibc would give the node's many threads eight for every core.
ARENAS = 2


def keep_large_blocks() -> bool:
    """Set the allocator up for megabyte messages; to be called once, before the first of them.

    Returns:
        Whether it was possible: only glibc has these settings.
    """
    if not _is_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(
        mallopt(setting, value) == 1
        for setting, value in (
            (M_MMAP_THRESHOLD, MMAP_THRESHOLD),
            (M_TRIM_THRESHOLD, TRIM_THRESHOLD),
            (M_TOP_PAD, TOP_PAD),
            (M_ARENA_MAX, ARENAS),
        )
    )


def give_back() -> None:
    """Give the kernel all that is free now; each thread's arena would keep what a model has left there."""
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _is_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
