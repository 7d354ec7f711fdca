"""How the parameters become the settings of a camera; the node, replays and evaluations make their cameras so."""

from __future__ import annotations

from ..settings import Settings, StampSource, nanoseconds
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


def growth_settings(settings: Settings) -> GrowthSettings:
    """How the growing clips of all cameras grow."""
    return GrowthSettings(
        max_frames=settings.clip_frames,
        min_frames=settings.clip_min_frames,
        window_ns=nanoseconds(settings.clip_window_s),
        spacing_ns=nanoseconds(settings.clip_spacing_s),
    )
