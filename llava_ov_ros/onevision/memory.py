"""How much memory a model will need, known before it is loaded; and whether an error means that memory ran out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from .key_values import BLOCK_TOKENS

GIB = 2**30
# A clip's prefix and the one that it will re-anchor to live side by side; so do a prompt's that has pictures and the
# next one's, which has another picture of now.
PREFIXES_PER_CAMERA = 2
# Of the text that goes with a picture: a step that is done.
STEP_TOKENS = 32
# A prefix that grows frame by frame has up to half as much again in reserve.
SPARE = 1.5
# torch's CPU allocator raises a plain RuntimeError; this is its text (c10/core/impl/alloc_cpu.cpp).
_CPU_ALLOCATOR = "DefaultCPUAllocator: can't allocate memory"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether dropping caches, or asking about less, may help."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or _CPU_ALLOCATOR in str(error)


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that a model will need at most, for clips in mode video and one prompt with pictures between its texts.

    Attributes:
        weights: All tensors.
        features: Visual tokens of the frames of all clips, and of the pictures.
        key_values: Keys and values of all clips, those that they re-anchor to included, and of the pictures.
        workspace: Intermediate results of the tower and of a batch of questions.
        frames: Frames of a clip that this is for.
        cameras: Cameras that this is for.
        pictures: Pictures of a prompt that this is for, as mode multi_image has them.
        itemsize: Bytes of a number.
    """

    weights: int
    features: int
    key_values: int
    workspace: int
    frames: int
    cameras: int
    pictures: int = 0
    itemsize: int = 4

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.features + self.key_values + self.workspace

    def __str__(self) -> str:
        pictures = f" and {self.pictures} pictures" if self.pictures else ""
        parts = (
            (self.weights, "weights"),
            (self.features, "features"),
            (self.key_values, f"keys and values of {self.frames} frames of {self.cameras} cameras{pictures}"),
            (self.workspace, "workspace"),
        )
        return f"{self.total / GIB:.2f} GiB: " + ", ".join(f"{size / GIB:.2f} {what}" for size, what in parts)


def plan_memory(
    config: Any,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    itemsize: int,
    frames: int,
    cameras: int,
    tower_batch: int,
    batch: int,
    pictures: int = 0,
) -> MemoryPlan:
    """Predicts the memory of a model from its configuration.

    Args:
        config: LlavaOnevisionConfig.
        shapes: Of all tensors.
        itemsize: Bytes of a number.
        frames: Longest clip.
        cameras: How many have one.
        tower_batch: Tiles that the tower takes at once.
        batch: Most questions answered together.
        pictures: Most pictures of a prompt that has them between its texts.
    """
    vision, text = config.vision_config, config.text_config
    patches = (vision.image_size // vision.patch_size) ** 2
    per_frame = math.ceil(math.isqrt(patches) / 2) ** 2
    tokens = frames * per_frame + BLOCK_TOKENS
    per_picture = patches + 1
    of_pictures = pictures * (per_picture + STEP_TOKENS) + BLOCK_TOKENS if pictures else 0
    head = text.hidden_size // text.num_attention_heads
    per_token = 2 * text.num_hidden_layers * text.num_key_value_heads * head * itemsize
    attention = vision.num_attention_heads * patches**2 * itemsize
    tower = tower_batch * (patches * (4 * vision.hidden_size + vision.intermediate_size) * itemsize + attention)
    chunk = (per_picture if pictures else per_frame) * (4 * text.hidden_size + 3 * text.intermediate_size) * itemsize
    scores = batch * text.num_attention_heads * 32 * (max(tokens, of_pictures) + BLOCK_TOKENS) * 4
    logits = 3 * batch * text.vocab_size * 4
    return MemoryPlan(
        weights=sum(math.prod(shape) for shape in shapes.values()) * itemsize,
        features=(cameras * frames * per_frame + pictures * per_picture) * text.hidden_size * itemsize,
        key_values=round((cameras * tokens + of_pictures) * PREFIXES_PER_CAMERA * SPARE * per_token),
        workspace=max(tower, chunk) + scores + logits,
        frames=frames,
        cameras=cameras,
        pictures=pictures,
        itemsize=itemsize,
    )


def free_bytes(device: torch.device) -> int:
    """What can be allocated on a device now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def check_fits(plan: MemoryPlan, name: str, device: torch.device) -> None:
    """Refuse a model that the device has no room for.

    Raises:
        MemoryError: The text gives the numbers.
    """
    free = free_bytes(device)
    if plan.total > free:
        smaller_dtype = "dtype bfloat16, " if plan.itemsize > torch.bfloat16.itemsize else ""
        raise MemoryError(
            f"model {name!r} needs {plan}; {device} has {free / GIB:.2f} GiB free: take a smaller model, "
            f"{smaller_dtype}or fewer frames in a clip (parameter clip_frames, option --frames)"
        )
