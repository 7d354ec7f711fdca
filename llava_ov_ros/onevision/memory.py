"""Plans a model's memory before it is loaded, and tells whether an error means that memory ran out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import psutil
import torch

from .cache_sizes import STEP_TOKENS, bytes_per_token, cache_sizes, longest_prefix, needed, tokens_of_item
from .canonical_names import HEAD, canonical_name, is_product
from .engine_settings import MIB, EngineSettings
from .fixed_step import Capacity, bucketed, buffer_bytes
from .int8 import int8_bytes
from .key_values import BLOCK_TOKENS
from .linear import packs_weights
from .prefix_store import LONGEST_PIECE

GIB = 2**30
# Usual tokens of a prompt's text, and of a question with its answer.
TEXT_TOKENS = 128
# Copies of the attention scores during the softmax: scores, weights, and weights in the model's number format.
SCORE_COPIES = 2.5
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
    """Bytes that a model needs at most, for clips in one mode and one prompt with pictures between its texts.

    Attributes:
        weights: Bytes of all tensors.
        tables: Bytes of the rotary tables.
        features: Bytes of the visual tokens of all clips and of the pictures.
        key_values: Bytes of the keys and values of all clips, of the clips that they re-anchor to, and of the pictures.
        steps: Bytes of the buffers of decode steps in fixed shapes; 0 if steps are eager.
        workspace: Bytes of intermediate results of the tower and of a batch of questions, and of captured steps, whose
            memory serves nothing else.
        spare_features: Bytes that the cache of visual tokens may use beyond that, up to its limit.
        spare_key_values: Bytes that the cache of keys and values may use beyond that, up to its limit.
        spare_steps: Bytes that the buffers of decode steps may use beyond that, up to their limit.
        frames: Frames of a clip for which the plan is made.
        cameras: Cameras for which the plan is made.
        pictures: Pictures of a prompt for which the plan is made, encoded as in mode multi_image.
        itemsize: Bytes of a number.
        loading: Bytes of all tensors while the model is loaded, if they are more than `weights` because its layers are
            rounded to int8 afterwards; else 0.
    """

    weights: int
    tables: int
    features: int
    key_values: int
    steps: int
    workspace: int
    spare_features: int
    spare_key_values: int
    spare_steps: int
    frames: int
    cameras: int
    pictures: int = 0
    itemsize: int = 4
    loading: int = 0

    @property
    def needed(self) -> int:
        """Bytes that the model must have: everything but `spare`."""
        return self.weights + self.tables + self.features + self.key_values + self.steps + self.workspace

    @property
    def spare(self) -> int:
        """Bytes that caches and buffers may use beyond what is needed."""
        return self.spare_features + self.spare_key_values + self.spare_steps

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
        unit, name, digits = (GIB, "GiB", 2) if self.needed >= GIB else (MIB, "MiB", 1)
        shares = ", ".join(f"{size / unit:.{digits}f} {what}" for size, what in parts)
        return f"{self.needed / unit:.{digits}f} {name}: {shares}"

    def may_hold(self) -> dict[str, int]:
        """The parts of `total`, by name."""
        return {
            "weights": self.weights + self.tables,
            "features": self.features + self.spare_features,
            "keys and values": self.key_values + self.spare_key_values,
            "decode steps": self.steps + self.spare_steps,
            "workspace": self.workspace,
        }


def usual_batch(config: Any, settings: EngineSettings) -> Capacity:
    """The largest batch for which memory is planned: full clips of all cameras in mode video, and short questions."""
    tokens = settings.clip_frames * tokens_of_item(config, "video") + TEXT_TOKENS
    return Capacity(settings.batch, settings.cameras * tokens, TEXT_TOKENS)


def plan_memory(
    config: Any,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    dtype: torch.dtype,
    settings: EngineSettings,
    device: torch.device,
    quantize: str = "none",
    quantised: Mapping[str, int] | None = None,
) -> MemoryPlan:
    """Predict the memory of a model from its configuration.

    Args:
        config: PlainConfig or LlavaOnevisionConfig.
        shapes: Shape of each tensor, by name.
        dtype: Number format of the weights.
        settings: Clips and batches for which memory is planned, and limits of the caches.
        device: Device of the model.
        quantize: none, or how the language model's layers are quantised. On CUDA, where that needs the memory of the
            unquantised weights, the plan does not depend on it.
        quantised: Bytes of each weight that is quantised already, by canonical name; None: none is.
    """
    itemsize = dtype.itemsize
    vision, text = config.vision_config, config.text_config
    batch = settings.batch
    patches = (vision.image_size // vision.patch_size) ** 2
    head = text.hidden_size // text.num_attention_heads
    per_token = bytes_per_token(config, itemsize)
    need = needed(config, itemsize, settings, settings.mode)
    limits = cache_sizes(config, itemsize, settings)
    attention = vision.num_attention_heads * patches**2 * itemsize
    tiles = settings.tiles_at_once(device)
    tower = tiles * (patches * (4 * vision.hidden_size + vision.intermediate_size) * itemsize + attention)
    piece = tokens_of_item(config, "multi_image" if settings.pictures and settings.mode == "video" else settings.mode)
    chunk = min(piece, LONGEST_PIECE) * (4 * text.hidden_size + 3 * text.intermediate_size) * itemsize
    longest = longest_prefix(config, settings, settings.mode) + BLOCK_TOKENS
    per_score = text.num_attention_heads * SCORE_COPIES * torch.float32.itemsize
    scores = round(batch * STEP_TOKENS * longest * per_score)
    logits = 3 * batch * text.vocab_size * 4
    # Keys and values of the questions' suffixes and of their choices.
    suffixes = 2 * batch * BLOCK_TOKENS * per_token
    given = quantised or {}
    named = {canonical_name(name): shape for name, shape in shapes.items()}
    whole = sum(given.get(name, math.prod(shape) * itemsize) for name, shape in named.items())
    weights = weight_bytes(text, named, dtype=dtype, device=device, quantize=quantize, quantised=given)
    steps = spare_steps = captured = 0
    if settings.has_fixed_steps(device):
        usual = bucketed(usual_batch(config, settings))
        steps = buffer_bytes(usual, per_token, text.vocab_size)
        if device.type == "cuda":
            captured = round(usual.rows * (usual.prefix + usual.suffix) * per_score) + logits
        spare_steps = max(0, settings.step_bytes - steps)
    return MemoryPlan(
        weights=weights,
        tables=2 * text.max_position_embeddings * head * itemsize,
        features=need.features,
        key_values=need.prefixes,
        steps=min(steps, settings.step_bytes),
        workspace=max(tower, chunk) + scores + logits + suffixes + captured,
        spare_features=max(0, limits.features - need.features),
        spare_key_values=max(0, limits.prefixes - need.prefixes),
        spare_steps=spare_steps,
        frames=1 if settings.mode == "image" else settings.clip_frames,
        cameras=1 if settings.mode == "image" else settings.cameras,
        pictures=settings.pictures,
        itemsize=itemsize,
        loading=whole if whole > weights else 0,
    )


def weight_bytes(
    text: Any,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    dtype: torch.dtype,
    device: torch.device,
    quantize: str,
    quantised: Mapping[str, int],
) -> int:
    """Bytes of all weights as the engine holds them once they are loaded; see `plan_memory`.

    Args:
        text: Configuration of the language model.
        shapes: Shape of each tensor, by canonical name.
        dtype: Number format of the weights.
        device: Device of the model.
        quantize: none, or how the language model's layers are quantised.
        quantised: Bytes of each weight that is quantised already, by canonical name.
    """
    is_rounded = quantize == "int8" and device.type == "cpu"
    # A head that is the embedding is packed or rounded beside it.
    is_beside = is_rounded or packs_weights(device, dtype)
    named = {HEAD: (text.vocab_size, text.hidden_size), **shapes} if is_beside else shapes

    def held(name: str, shape: tuple[int, ...]) -> int:
        if name in quantised:
            return quantised[name]
        return int8_bytes(shape) if is_rounded and is_product(name) else math.prod(shape) * dtype.itemsize

    return sum(held(name, shape) for name, shape in named.items())


def within(settings: EngineSettings, plan: MemoryPlan, free: int) -> EngineSettings:
    """Reduce the limits of caches and buffers to the memory that is free and allowed; what is needed is not reduced.

    Args:
        settings: The settings that the user wants.
        plan: The memory plan of these settings.
        free: Bytes that can be allocated.
    """
    most = free * CERTAIN if settings.most_bytes is None else min(free * CERTAIN, settings.most_bytes)
    share = max(0.0, most - plan.needed) / plan.spare if plan.spare else 1.0
    if share >= 1:
        return settings

    def bound(chosen: int | None, need: int, spare: int) -> int:
        most = need + int(share * spare)
        return most if chosen is None else min(chosen, most)

    return replace(
        settings,
        feature_bytes=bound(settings.feature_bytes, plan.features, plan.spare_features),
        prefix_bytes=bound(settings.prefix_bytes, plan.key_values, plan.spare_key_values),
        step_bytes=bound(settings.step_bytes, plan.steps, plan.spare_steps),
    )


def free_bytes(device: torch.device) -> int:
    """Bytes that can be allocated on a device now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def check_fits(plan: MemoryPlan, name: str, device: torch.device, most_bytes: int | None = None) -> None:
    """Check that a model fits into the free memory of a device, and into the memory that it may use.

    Args:
        plan: What the model needs.
        name: The model's name.
        device: Where the model will be.
        most_bytes: Bytes that the model may use; None: all that are free.

    Raises:
        MemoryError: It does not; the message gives the numbers.
    """
    smaller_dtype = "dtype bfloat16, " if plan.itemsize > torch.bfloat16.itemsize else ""
    remedy = f"take a smaller model, {smaller_dtype}or fewer frames in a clip (parameter clip_frames, option --frames)"
    free = free_bytes(device)
    if plan.loading > free:
        raise MemoryError(
            f"model {name!r} needs {plan.loading / GIB:.2f} GiB until its layers are rounded to int8; {device} has "
            f"{free / GIB:.2f} GiB free: {remedy}"
        )
    if plan.needed > free:
        raise MemoryError(f"model {name!r} needs {plan}; {device} has {free / GIB:.2f} GiB free: {remedy}")
    if most_bytes is not None and plan.needed > most_bytes:
        raise MemoryError(
            f"model {name!r} needs {plan}; it may use {most_bytes / MIB:.1f} MiB: allow more (parameter memory_mb), "
            f"{remedy}"
        )
