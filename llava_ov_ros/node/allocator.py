"""Sets up glibc's allocator: which freed memory is kept for the next message and which returns to the kernel."""

from __future__ import annotations

import ctypes
import platform

# Options from <malloc.h>; the values below were measured with 1280x720 rgb8 at 30 Hz (docs/performance.md).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
# Pictures of up to 11 megapixels in rgb8 stay in the arenas. Larger blocks return to the kernel when they are freed;
# otherwise every thread's arena would keep the largest block that it has ever had.
MMAP_THRESHOLD = 32 * 2**20
TRIM_THRESHOLD = 2**30
TOP_PAD = 16 * 2**20
# Each arena keeps the most memory that it has ever needed; glibc would make eight arenas per core for the many threads.
ARENAS = 2


def keep_large_blocks() -> bool:
    """Set the allocator up for messages of megabytes; call this once, before the first message.

    Returns:
        Whether the allocator took all settings; only glibc has them.
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
    """Return all free memory to the kernel; otherwise the threads' arenas keep the memory of an unloaded model."""
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _is_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
