"""Divides `memory_mb` among models, pictures for servers and frames of the cameras, and says what they may hold."""

from __future__ import annotations

from collections.abc import Mapping

from ..checkpoints import is_address
from ..remote.pictures import MOST_BYTES
from ..settings import Settings

MIB = 2**20
PICTURE_BYTES = 1280 * 720 * 3
"""Bytes of a picture for which room is kept in the buffers; of larger pictures the buffers may have to hold fewer."""


def model_bytes(settings: Settings) -> int | None:
    """Most bytes that the models on this machine may hold together; None: `memory_mb` sets no limit.

    That is what `memory_mb` leaves beside a clip of 1280 x 720 pixels of each camera, and pictures for the servers.

    Raises:
        MemoryError: It leaves nothing; the message gives the numbers.
    """
    if settings.memory_mb == 0:
        return None
    servers = sum(map(is_address, (settings.model, settings.shadow_model)))
    frames = len(settings.cameras) * _least_buffer_bytes(settings)
    left = settings.memory_mb * MIB - frames - servers * MOST_BYTES
    if left < 0:
        pictures = f" and {MOST_BYTES // MIB} MiB for the pictures of each of {servers} servers" if servers else ""
        raise MemoryError(
            f"memory_mb is {settings.memory_mb}, and a clip of {settings.clip_frames} frames of 1280 x 720 pixels of "
            f"each of {len(settings.cameras)} cameras takes {frames / MIB:.0f} MiB{pictures}: raise memory_mb, or take "
            "fewer frames (clip_frames)"
        )
    return left


def buffer_bytes(settings: Settings, may_hold: Mapping[str, int]) -> int:
    """Most bytes of the frames that are kept of each camera: `buffer_mb`, or what `memory_mb` leaves for it.

    Args:
        settings: The parameters.
        may_hold: Most bytes of the models and of pictures for servers, by name.
    """
    if settings.memory_mb == 0:
        return settings.buffer_mb * MIB
    left = (settings.memory_mb * MIB - sum(may_hold.values())) // len(settings.cameras)
    return max(_least_buffer_bytes(settings), min(settings.buffer_mb * MIB, left))


def held_at_most(settings: Settings, may_hold: Mapping[str, int]) -> str:
    """One line about all that may be held, for the log.

    Args:
        settings: The parameters.
        may_hold: Most bytes of the models and of pictures for servers, by name.
    """
    cameras = len(settings.cameras)
    frames = f"frames of {cameras} camera{'s' if cameras > 1 else ''}"
    parts = {**may_hold, frames: cameras * buffer_bytes(settings, may_hold)}
    shares = ", ".join(f"{size / MIB:.0f} {name}" for name, size in parts.items() if size)
    limit = f"memory_mb {settings.memory_mb}" if settings.memory_mb else "memory_mb 0: no limit of its own"
    return f"may hold up to {sum(parts.values()) / MIB:.0f} MiB ({limit}): {shares}"


def _least_buffer_bytes(settings: Settings) -> int:
    """Bytes of one camera's frames for which room is always kept."""
    return min(settings.buffer_mb * MIB, settings.clip_frames * PICTURE_BYTES)
