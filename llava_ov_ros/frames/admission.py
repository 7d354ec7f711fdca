"""Decides which frames enter a camera's buffer: by rate before decoding, by change and sharpness after it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..settings import DEFAULTS
from .frame import NS_PER_S, Rgb

THUMBNAIL_PX = 32
SHARPNESS_PX = 160


@dataclass(frozen=True)
class AdmissionSettings:
    """The rate, change and sharpness that a frame needs to enter the buffer; zero switches a test off.

    The defaults are those of the parameters.

    Attributes:
        rate_hz: At most this many frames per second of stamp time.
        min_change: Least mean absolute difference of the frame's 32x32 grey thumbnail to that of the last admitted
            frame, in grey levels (0 to 255). Camera noise is about 1, a hand moving through the picture about 5.
        min_sharpness: Least variance of the Laplacian of the picture scaled to 160 px width. Typical values depend on
            the scene: look at the diagnostics before you set it.

    Raises:
        ValueError: A value is negative.
    """

    rate_hz: float = DEFAULTS.admission_rate_hz
    min_change: float = DEFAULTS.admission_min_change
    min_sharpness: float = DEFAULTS.admission_min_sharpness

    def __post_init__(self) -> None:
        for name in ("rate_hz", "min_change", "min_sharpness"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 (off) or more")


class RateGate:
    """Lets stamps through at a mean rate, choosing for each due time the frame nearest to it.

    A camera that runs at just the gate's rate and jitters by up to a sixth of its period loses no frame.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = round(NS_PER_S / rate_hz) if rate_hz > 0 else 0
        self._due_ns: int | None = None

    def is_due(self, stamp_ns: int, interval_ns: int) -> bool:
        """Whether a frame may enter.

        Args:
            stamp_ns: The frame's stamp in nanoseconds.
            interval_ns: Time since the previous frame, admitted or not, in nanoseconds; the next frame is expected
                after the same time.
        """
        if self._due_ns is None or self._period_ns == 0:
            return True
        # Of two frames around the due time the earlier is nearer if at most half an interval lies before it.
        early_ns = min(interval_ns, self._period_ns) // 2
        return stamp_ns + early_ns >= self._due_ns

    def advance(self, stamp_ns: int) -> None:
        """Move the due time on by one period after the frame with this stamp was let through."""
        # After a pause the due times restart at this stamp, so that no burst makes up for missed frames.
        if self._due_ns is None or stamp_ns - self._due_ns > self._period_ns // 2:
            self._due_ns = stamp_ns
        self._due_ns += self._period_ns

    def reset(self) -> None:
        """Forget the due time, for example after stamps that jumped back."""
        self._due_ns = None


def thumbnail(rgb: Rgb) -> npt.NDArray[np.float32]:
    """Grey picture for comparing two frames, float32 (32, 32).

    Args:
        rgb: Picture, uint8 (height, width, 3).
    """
    small = cv2.resize(rgb, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.float32)


def change(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> float:
    """Mean absolute difference of two thumbnails, float32 (32, 32) each, in grey levels."""
    return float(np.abs(before - after).mean())


def sharpness(rgb: Rgb) -> float:
    """Variance of the Laplacian at 160 px width (Pech-Pacheco et al. 2000), in squared grey levels.

    Args:
        rgb: Picture, uint8 (height, width, 3).
    """
    height = max(1, round(rgb.shape[0] * SHARPNESS_PX / rgb.shape[1]))
    small = cv2.resize(rgb, (SHARPNESS_PX, height), interpolation=cv2.INTER_AREA)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(gray, cv2.CV_64F).var())
