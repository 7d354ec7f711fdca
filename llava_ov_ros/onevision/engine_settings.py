"""What an engine may keep, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..bounds import check_whole
from ..settings import DEFAULTS

# A tile at a time costs a CPU nothing extra, and a single new frame does not wait for three others' worth of work.
TOWER_BATCH = {"cpu": 1, "cuda": 4}
MIB = 2**20


@dataclass(frozen=True)
class EngineSettings:
    """Bounds of what the engine keeps.

    Attributes:
        feature_bytes: Visual tokens of frames; 0 keeps none.
        prefix_bytes: Keys and values of prompts' beginnings; 0 keeps none.
        batch: Most questions that are answered together.
        tower_batch: Tiles that the tower takes at once; None: 1 on a CPU, 4 on CUDA.
        static_steps: Decode in fixed shapes, as captured graphs on CUDA; None: on CUDA only.
        step_bytes: Buffers of fixed shapes; a batch that needs more decodes as it comes.
        clip_frames: Longest clip that memory is planned for. The default is more than that of the parameter
            clip_frames, for callers that do not say how long their clips will be.
        cameras: How many have one.
        pictures: Most pictures of a prompt that has them between its texts, for which memory is planned beside the
            clips; 0: there are no such prompts.

    Raises:
        ValueError: A number is too small.
    """

    feature_bytes: int = DEFAULTS.feature_cache_mb * MIB
    prefix_bytes: int = DEFAULTS.prefix_cache_mb * MIB
    batch: int = DEFAULTS.batch_size
    tower_batch: int | None = None
    static_steps: bool | None = None
    step_bytes: int = 1024 * MIB
    clip_frames: int = 16
    cameras: int = 1
    pictures: int = 0

    def __post_init__(self) -> None:
        for name in ("batch", "clip_frames", "cameras"):
            check_whole(name, getattr(self, name), 1)
        for name in ("feature_bytes", "prefix_bytes", "step_bytes", "pictures"):
            check_whole(name, getattr(self, name), 0)
        if self.tower_batch is not None:
            check_whole("tower_batch", self.tower_batch, 1)

    def has_fixed_steps(self, device: torch.device) -> bool:
        """Whether decode steps have fixed shapes on a device."""
        return device.type == "cuda" if self.static_steps is None else self.static_steps

    def tiles_at_once(self, device: torch.device) -> int:
        """The tower's batch on a device."""
        return self.tower_batch or TOWER_BATCH.get(device.type, 1)


@dataclass(frozen=True)
class Counters:
    """What the engine has computed since it was loaded, and what it did not need to.

    Attributes:
        frames_encoded: Frames through the vision tower.
        tiles_encoded: Tiles through the vision tower; more than one per frame in mode image only.
        feature_hits: Times that a frame's tokens were found.
        prefix_tokens: Tokens prefilled into prefixes.
        prefix_tokens_reused: Tokens of prefixes that were found prefilled.
        suffix_tokens: Tokens prefilled behind prefixes: the questions.
        decoded_tokens: Tokens generated.
        feature_bytes: Held now.
        prefix_bytes: Held now.
        step_bytes: Buffers of decode steps in fixed shapes, held now.
        step_shapes: Shapes of decode steps that are there, on CUDA as captured graphs.
        step_shortage: Why decode steps are not of fixed shapes, though they should be; empty where they are.
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
