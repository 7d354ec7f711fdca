"""The limits of an engine's caches and batches, and its counters."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..bounds import check_whole
from ..modes import Mode
from ..settings import DEFAULTS

# Larger batches gain a CPU nothing, and a single new frame would cost the work of a whole batch.
TOWER_BATCH = {"cpu": 1, "cuda": 4}
MIB = 2**20


@dataclass(frozen=True)
class EngineSettings:
    """Limits of an engine's caches and batches, and the clips for which its memory is planned.

    Attributes:
        feature_bytes: Most bytes of cached visual tokens; 0 keeps none, None keeps what the clips need.
        prefix_bytes: Most bytes of cached prefixes (keys and values); 0 keeps none, None keeps what the clips need.
        batch: Most questions that are answered together.
        tower_batch: Tiles per pass of the vision tower; None is 1 on a CPU and 4 on CUDA.
        static_steps: Whether decode steps have fixed shapes, as captured graphs on CUDA; None does so on CUDA only.
        step_bytes: Most bytes of the buffers for fixed shapes; a batch that needs more takes eager steps.
        clip_frames: Most frames of a clip for which memory is planned. The default is more than that of the parameter
            clip_frames, for callers that do not say how long their clips will be.
        cameras: Number of clips for which memory is planned, one per camera.
        pictures: Most pictures between the texts of a prompt, for which memory is planned in addition; 0 plans none.
        mode: How the frames of most clips become visual tokens.
        most_bytes: Most bytes of weights, caches and intermediate results together; None: as many as are free.

    Raises:
        ValueError: A number is no integer or too small.
    """

    feature_bytes: int | None = None
    prefix_bytes: int | None = None
    batch: int = DEFAULTS.batch_size
    tower_batch: int | None = None
    static_steps: bool | None = None
    step_bytes: int = 1024 * MIB
    clip_frames: int = 16
    cameras: int = 1
    pictures: int = 0
    mode: Mode = "video"
    most_bytes: int | None = None

    def __post_init__(self) -> None:
        for name in ("batch", "clip_frames", "cameras"):
            check_whole(name, getattr(self, name), 1)
        for name in ("step_bytes", "pictures"):
            check_whole(name, getattr(self, name), 0)
        for name, least in (("feature_bytes", 0), ("prefix_bytes", 0), ("most_bytes", 0), ("tower_batch", 1)):
            if (value := getattr(self, name)) is not None:
                check_whole(name, value, least)

    def has_fixed_steps(self, device: torch.device) -> bool:
        """Whether decode steps have fixed shapes on a device."""
        return device.type == "cuda" if self.static_steps is None else self.static_steps

    def tiles_at_once(self, device: torch.device) -> int:
        """Tiles per pass of the vision tower on a device."""
        return self.tower_batch or TOWER_BATCH.get(device.type, 1)


@dataclass(frozen=True)
class Counters:
    """The engine's work since it was loaded, the work that its caches saved, and the present size of the caches.

    Attributes:
        frames_encoded: Frames that the vision tower encoded.
        tiles_encoded: Tiles that the vision tower encoded; more than one per frame only in mode image.
        feature_hits: How often the cache had a frame's visual tokens.
        prefix_tokens: Tokens prefilled into prefixes.
        prefix_tokens_reused: Tokens of prefixes that the cache had already.
        suffix_tokens: Tokens prefilled as suffixes (questions and choices).
        decoded_tokens: Tokens generated.
        feature_bytes: Present bytes of cached visual tokens.
        prefix_bytes: Present bytes of cached prefixes.
        step_bytes: Present bytes of the buffers of decode steps in fixed shapes.
        step_shapes: Number of prepared shapes of decode steps, on CUDA as captured graphs.
        step_shortage: Why decode steps are eager although they should have fixed shapes; empty if they have.
    """

    frames_encoded: int
    tiles_encoded: int
    feature_hits: int
    prefix_tokens: int
    prefix_tokens_reused: int
    suffix_tokens: int
    decoded_tokens: int
    feature_bytes: int
    prefix_bytes: int
    step_bytes: int = 0
    step_shapes: int = 0
    step_shortage: str = ""
