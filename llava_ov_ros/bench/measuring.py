"""What the engine's benchmark measures with: clips, clocks, and the record of one measurement."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..frames import Clip, Frame
from ..frames.growing import GrowthSettings
from ..onevision.engine import Engine

HEIGHT, WIDTH = 720, 1280
QUESTIONS = [f"Question {number}: what stands on the table now?" for number in range(16)]
NEW_TOKENS = 32
STANDING_TOKENS = 16
# Bytes and operations per second that a device's data sheet allows in practice (docs/performance.md).
PEAKS = {"H200": (790e12, 4.3e12), "H100": (790e12, 3.0e12)}


@dataclass(frozen=True)
class Measurement:
    """The measurement of one goal.

    Attributes:
        goal: P1 to P9, as in docs/performance.md.
        what: What was measured, in words.
        ours_s: Median time of this engine in seconds; None for ratios that are no times.
        theirs_s: Median time of the other side in seconds; None for ratios that are no times.
        ratio: theirs_s / ours_s; if `at_most` is set, the ratio that `what` describes.
        floor_s: Least time that the device's arithmetic and memory allow, in seconds; None if unknown.
        target: The ratio aimed at on this kind of device: at least this much, or at most if `at_most` is set.
        identical_tokens: Whether both sides gave the same tokens; None if no tokens are compared.
        counters: Further counts, of P6 and P9.
        at_most: Whether a smaller ratio is better.
    """

    goal: str
    what: str
    ours_s: float | None
    theirs_s: float | None
    ratio: float
    floor_s: float | None
    target: float
    identical_tokens: bool | None
    counters: dict[str, float] | None = None
    at_most: bool = False


@dataclass(frozen=True)
class Bench:
    """The engine under test and the size of its measurements.

    Attributes:
        engine: The engine.
        frames: Number of frames of a clip.
        repeats: How often each side runs.
    """

    engine: Engine
    frames: int
    repeats: int

    @property
    def model(self) -> Any:
        """The same weights as a model of transformers."""
        return self.engine.transformers_model

    @property
    def on_cuda(self) -> bool:
        """Whether the device works asynchronously and must be waited for."""
        return self.engine.device.type == "cuda"

    def target(self, cuda: float, cpu: float) -> float:
        """Return the goal for this kind of device."""
        return cuda if self.on_cuda else cpu


def camera_frames(count: int, seed: int) -> list[Frame]:
    """Return frames of 1280x720 with large and small structure, stamped as those of a camera at 1 Hz."""
    rng = np.random.default_rng(seed)
    frames = []
    for index in range(count):
        blocks = rng.integers(0, 256, (HEIGHT // 40, WIDTH // 40, 3), dtype=np.uint8)
        rgb = np.asarray(Image.fromarray(blocks).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
        frames.append(Frame("camera", (seed * 1000 + index) * 10**9, "optical", rgb))
    return frames


def clip_of(frames: Sequence[Frame]) -> Clip:
    """Return a clip of the one camera."""
    return Clip("camera", tuple(frames))


def timed(bench: Bench, work: Callable[..., Any], *args: Any, **options: Any) -> tuple[float, Any]:
    """Call a function and return the seconds it took, the device's work included, and its result."""
    if bench.on_cuda:
        torch.cuda.synchronize(bench.engine.device)
    started_s = time.perf_counter()
    result = work(*args, **options)
    if bench.on_cuda:
        torch.cuda.synchronize(bench.engine.device)
    return time.perf_counter() - started_s, result


def prepare_all(engine: Engine, clip: Clip | None) -> None:
    """Encode and prefill a whole clip."""
    while clip is not None and engine.prepare([clip]):
        pass


def growth(bench: Bench) -> GrowthSettings:
    """Return settings of clips that grow to the bench's length and then begin anew with half of it."""
    # Every frame stays, so that each is counted.
    return GrowthSettings(max_frames=bench.frames, min_frames=max(1, bench.frames // 2), spacing_ns=0)


def compared(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Return the medians of both sides and their ratio."""
    median_ours, median_theirs = statistics.median(ours), statistics.median(theirs)
    return median_ours, median_theirs, median_theirs / median_ours


def decode_floor_s(bench: Bench) -> float | None:
    """Return the seconds to read all weights of the language model once; None if the device's bandwidth is unknown."""
    if not bench.on_cuda:
        return None
    name = torch.cuda.get_device_name(bench.engine.device)
    bandwidth = next((peak[1] for known, peak in PEAKS.items() if known in name), None)
    if bandwidth is None:
        return None
    language = bench.model.model.language_model
    weights = {t.data_ptr(): t.nbytes for t in [*language.layers.parameters(), bench.model.lm_head.weight]}
    return float(sum(weights.values()) / bandwidth)
