"""How the parameters become the settings of a camera; the node, replays and evaluations make their cameras so."""

from __future__ import annotations

from ..settings import DEFAULTS, Settings, StampSource, nanoseconds
from ..settings.value_range import DEFAULT
from .admission import AdmissionSettings
from .camera import CameraSettings
from .decode_options import DecodeOptions
from .growing import GrowthSettings


def camera_settings(settings: Settings, index: int) -> CameraSettings:
    """The settings of one camera.

    Args:
        settings: The parameters; lists have one entry, or one for each camera.
        index: Which of the parameter `cameras` it is, from 0.
    """
    return CameraSettings(
        stamp_source=StampSource(settings.per_camera("stamp_source")[index]),
        decode=DecodeOptions(
            rotate_deg=settings.per_camera("rotations_deg")[index],
            value_range=settings.per_camera("value_range")[index],
            max_pixels=settings.max_image_pixels,
            on_damaged=settings.on_damaged,
        ),
        admission=AdmissionSettings(
            settings.admission_rate_hz, settings.admission_min_change, settings.admission_min_sharpness
        ),
        growth=growth_settings(settings),
        buffer_frames=settings.buffer_frames,
        buffer_bytes=settings.buffer_mb * 2**20,
        future_tolerance_ns=nanoseconds(settings.future_tolerance_s),
        jump_back_ns=nanoseconds(settings.jump_back_s),
    )


def recording_settings(
    *,
    max_frames: int = DEFAULTS.clip_frames,
    rate_hz: float = DEFAULTS.admission_rate_hz,
    rotate_deg: int = 0,
    value_range: str = DEFAULT,
    kept_frames: int = DEFAULTS.buffer_frames,
    kept_bytes: int | None = None,
) -> CameraSettings:
    """The settings of a camera of a recording: all else is as a node with default parameters has it.

    Args:
        max_frames: The parameter clip_frames; a node with more of them than its buffer holds has a larger buffer.
        rate_hz: The parameter admission_rate_hz.
        rotate_deg: Clockwise turn of the pictures: 0, 90, 180 or 270.
        value_range: default, auto, or two numbers such as `0..4095`.
        kept_frames: Most frames kept for windows and ranges of time that are longer than a node's buffer.
        kept_bytes: Most bytes of pictures kept likewise; None: buffer_mb.
    """
    buffer_frames = max(DEFAULTS.buffer_frames, max_frames)
    return CameraSettings(
        decode=DecodeOptions(rotate_deg=rotate_deg, value_range=value_range),
        admission=AdmissionSettings(rate_hz=rate_hz),
        growth=GrowthSettings(max_frames=max_frames, min_frames=min(DEFAULTS.clip_min_frames, max_frames)),
        buffer_frames=buffer_frames,
        kept_frames=max(buffer_frames, kept_frames),
        kept_bytes=kept_bytes,
    )


def growth_settings(settings: Settings) -> GrowthSettings:
    """How the growing clips of all cameras grow."""
    return GrowthSettings(
        max_frames=settings.clip_frames,
        min_frames=settings.clip_min_frames,
        window_ns=nanoseconds(settings.clip_window_s),
        spacing_ns=nanoseconds(settings.clip_spacing_s),
    )
