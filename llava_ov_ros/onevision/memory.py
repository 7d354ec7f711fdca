"""Plans a model's memory before it is loaded, and tells whether an error means that memory ran out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import psutil
import torch

from .engine_settings import EngineSettings
from .fixed_step import Capacity, bucketed, buffer_bytes
from .key_values import BLOCK_TOKENS
from .linear import packs_weights

GIB = 2**30
# A clip's prefix is kept together with the one that it will re-anchor to; so is the prefix of a prompt with pictures
# together with that of the next prompt, which has another picture of now.
PREFIXES_PER_CAMERA = 2
# Tokens of the text with a picture of a step that is done.
STEP_TOKENS = 32
# Usual tokens of a prompt's text, and of a question with its answer.
TEXT_TOKENS = 128
# Copies of the attention scores during the softmax: scores, weights, and weights in the model's number format.
SCORE_COPIES = 2.5
# Factor for the spare capacity of a growing prefix, up to half of its length.
SPARE = 1.5
# Share of the free memory that caches may fill; the rest is for the driver and for fragmentation.
CERTAIN = 0.95
# Texts of plain RuntimeErrors of torch's CPU allocator (c10/core/impl/alloc_cpu.cpp), of CUDA's own allocations for
# graphs or pinned memory (c10/cuda/CUDAException.cpp), and of cuBLAS (aten/src/ATen/cuda/Exceptions.cpp).
_OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, so that dropping caches or frames may help."""
    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or any(text in str(error) for text in _OUT_OF_MEMORY)


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that a model needs at most, for clips in mode video and one prompt with pictures between its texts.

    Attributes:
        weights: Bytes of all tensors.
        tables: Bytes of the rotary tables.
        features: Bytes of the visual tokens of all clips and of the pictures.
        key_values: Bytes of the keys and values of all clips, of the clips that they re-anchor to, and of the pictures.
        steps: Bytes of the buffers of decode steps in fixed shapes; 0 if steps are eager.
        workspace: Bytes of intermediate results of the tower and of a batch of questions, and of captured steps, whose
            memory serves nothing else.
        spare: Bytes that caches and buffers may use beyond that, up to their limits.
        frames: Frames of a clip for which the plan is made.
        cameras: Cameras for which the plan is made.
        pictures: Pictures of a prompt for which the plan is made, encoded as in mode multi_image.
        itemsize: Bytes of a number.
    """

    weights: int
    tables: int
    features: int
    key_values: int
    steps: int
    workspace: int
    spare: int
    frames: int
    cameras: int
    pictures: int = 0
    itemsize: int = 4

    @property
    def needed(self) -> int:
        """Bytes that the model must have: everything but `spare`."""
        return self.weights + self.tables + self.features + self.key_values + self.steps + self.workspace

    @property
    def total(self) -> int:
        """Bytes that the model may use at most."""
        return self.needed + self.spare

    def __str__(self) -> str:
        pictures = f" and {self.pictures} pictures" if self.pictures else ""
        parts = (
            (self.weights + self.tables, "weights"),
            (self.features, "features"),
            (self.key_values, f"keys and values of {self.frames} frames of {self.cameras} cameras{pictures}"),
            (self.steps, "decode steps"),
            (self.workspace, "workspace"),
        )
        return f"{self.needed / GIB:.2f} GiB: " + ", ".join(f"{size / GIB:.2f} {what}" for size, what in parts)


def usual_batch(config: Any, settings: EngineSettings) -> Capacity:
    """The largest batch for which memory is planned: full clips of all cameras in mode video, and short questions."""
    return Capacity(
        settings.batch, settings.cameras * (settings.clip_frames * _tokens_per_frame(config) + TEXT_TOKENS), TEXT_TOKENS
    )


def _tokens_per_frame(config: Any) -> int:
    """Visual tokens of a frame in mode video."""
    side = config.vision_config.image_size // config.vision_config.patch_size
    return int(((side + 1) // 2) ** 2)


def plan_memory(
    config: Any,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    dtype: torch.dtype,
    settings: EngineSettings,
    device: torch.device,
) -> MemoryPlan:
    """Predict the memory of a model from its configuration.

    Args:
        config: LlavaOnevisionConfig.
        shapes: Shape of each tensor, by name.
        dtype: Number format of the weights.
        settings: Clips and batches for which memory is planned, and limits of the caches.
        device: Device of the model.
    """
    itemsize = dtype.itemsize
    vision, text = config.vision_config, config.text_config
    batch, pictures = settings.batch, settings.pictures
    patches = (vision.image_size // vision.patch_size) ** 2
    per_frame = _tokens_per_frame(config)
    tokens = settings.clip_frames * per_frame + BLOCK_TOKENS
    per_picture = patches + 1
    of_pictures = pictures * (per_picture + STEP_TOKENS) + BLOCK_TOKENS if pictures else 0
    head = text.hidden_size // text.num_attention_heads
    per_token = 2 * text.num_hidden_layers * text.num_key_value_heads * head * itemsize
    attention = vision.num_attention_heads * patches**2 * itemsize
    tiles = settings.tiles_at_once(device)
    tower = tiles * (patches * (4 * vision.hidden_size + vision.intermediate_size) * itemsize + attention)
    chunk = (per_picture if pictures else per_frame) * (4 * text.hidden_size + 3 * text.intermediate_size) * itemsize
    longest = max(settings.cameras * tokens, of_pictures) + BLOCK_TOKENS
    per_score = text.num_attention_heads * SCORE_COPIES * torch.float32.itemsize
    scores = round(batch * STEP_TOKENS * longest * per_score)
    logits = 3 * batch * text.vocab_size * 4
    # Keys and values of the questions' suffixes and of their choices.
    suffixes = 2 * batch * BLOCK_TOKENS * per_token
    features = (settings.cameras * settings.clip_frames * per_frame + pictures * per_picture) * text.hidden_size
    features *= itemsize
    key_values = round((settings.cameras * tokens + of_pictures) * PREFIXES_PER_CAMERA * SPARE * per_token)
    # A head that is the embedding is packed beside it.
    is_tied = not any(name.endswith("lm_head.weight") for name in shapes)
    packed_head = text.vocab_size * text.hidden_size if is_tied and packs_weights(device, dtype) else 0
    steps = spare_steps = captured = 0
    if settings.has_fixed_steps(device):
        usual = bucketed(usual_batch(config, settings))
        steps = buffer_bytes(usual, per_token, text.vocab_size)
        if device.type == "cuda":
            captured = round(usual.rows * (usual.prefix + usual.suffix) * per_score) + logits
        spare_steps = max(0, settings.step_bytes - steps)
    return MemoryPlan(
        weights=(sum(math.prod(shape) for shape in shapes.values()) + packed_head) * itemsize,
        tables=2 * text.max_position_embeddings * head * itemsize,
        features=features,
        key_values=key_values,
        steps=min(steps, settings.step_bytes),
        workspace=max(tower, chunk) + scores + logits + suffixes + captured,
        spare=max(0, settings.feature_bytes - features) + max(0, settings.prefix_bytes - key_values) + spare_steps,
        frames=settings.clip_frames,
        cameras=settings.cameras,
        pictures=pictures,
        itemsize=itemsize,
    )


def within(settings: EngineSettings, plan: MemoryPlan, free: int) -> EngineSettings:
    """Reduce the limits of caches and buffers to the free memory; what the plan needs is not reduced.

    Args:
        settings: The settings that the user wants.
        plan: The memory plan of these settings.
        free: Bytes that can be allocated.
    """
    share = max(0.0, free * CERTAIN - plan.needed) / plan.spare if plan.spare else 1.0
    if share >= 1:
        return settings

    def bound(wished: int, needed: int) -> int:
        return min(wished, needed + int(share * max(0, wished - needed)))

    return replace(
        settings,
        feature_bytes=bound(settings.feature_bytes, plan.features),
        prefix_bytes=bound(settings.prefix_bytes, plan.key_values),
        step_bytes=bound(settings.step_bytes, plan.steps),
    )


def free_bytes(device: torch.device) -> int:
    """Bytes that can be allocated on a device now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def check_fits(plan: MemoryPlan, name: str, device: torch.device) -> None:
    """Check that a device has enough free memory for a model.

    Raises:
        MemoryError: It has not; the message gives the numbers.
    """
    free = free_bytes(device)
    if plan.needed > free:
        smaller_dtype = "dtype bfloat16, " if plan.itemsize > torch.bfloat16.itemsize else ""
        raise MemoryError(
            f"model {name!r} needs {plan}; {device} has {free / GIB:.2f} GiB free: take a smaller model, "
            f"{smaller_dtype}or fewer frames in a clip (parameter clip_frames, option --frames)"
        )
