"""Loads an engine from a model's name, a device and a number format."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from ..checkpoints import find_checkpoint, model_name
from ..settings import DEFAULTS
from .checkpoint import check_loadable, load_checkpoint
from .checkpoint_files import CheckpointFiles, open_checkpoint
from .devices import multiplies_bfloat16
from .engine import Engine
from .engine_settings import EngineSettings
from .load_errors import with_plain_errors
from .memory import MemoryPlan, check_fits, free_bytes, plan_memory, within
from .quantise import check_quantisation
from .smoke import smoke_test

LOG = logging.getLogger(__name__)
MOST_PROVEN = 64
_PROVEN: OrderedDict[tuple[object, ...], None] = OrderedDict()
"""Models that passed the smoke test in this process, by their files, device, number format and options. A node with
`idle_unload_s` loads its model many times, and need not test it each time."""

BFLOAT16_PAYS_ABOVE = 100_000_000
"""Numbers of a model's weights above which bfloat16 is faster than float32 on a CPU that has instructions for it."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def place_and_dtype(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """The device and number format of two settings, each of which may be `auto`; that of a CPU is float32 then.

    Raises:
        ValueError: The device or dtype is unknown or not available.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device is {device!r}: give auto, cpu, cuda or cuda:N") from None
    if place.type not in ("cpu", "cuda"):
        raise ValueError(f"device is {device!r}: give auto, cpu, cuda or cuda:N")
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {device!r}, but torch {torch.__version__} finds no CUDA device here")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise ValueError(f"device is {device!r}, but the CUDA devices here end with cuda:{last}")
    if dtype == "auto":
        dtype = "bfloat16" if place.type == "cuda" else "float32"
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}: allowed are auto, {', '.join(DTYPES)}")
    return place, DTYPES[dtype]


@with_plain_errors
def check_model(
    model: str, *, device: str = DEFAULTS.device, dtype: str = DEFAULTS.dtype, bfloat16_on_cpu: bool = False
) -> MemoryPlan:
    """Check everything that `load_engine` checks before it reads a weight.

    Args:
        model: See `load_engine`.
        device: See `load_engine`.
        dtype: See `load_engine`.
        bfloat16_on_cpu: See `load_engine`.

    Returns:
        The memory that the model will need.

    Raises:
        CheckpointError: The model is missing, or its configuration, shapes of tensors or tokenizer are faulty.
        ValueError: The device or dtype is unknown or not available.
        MemoryError: The device has too little memory; the message gives the numbers.
    """
    place, _ = place_and_dtype(device, dtype)
    files = open_checkpoint(find_checkpoint(model))
    plan, _ = _planned(files, place, _number_format(files, device, dtype, bfloat16_on_cpu), EngineSettings())
    check_loadable(files)
    return plan


@with_plain_errors
def load_engine(
    model: str,
    *,
    device: str = DEFAULTS.device,
    dtype: str = DEFAULTS.dtype,
    attention: str = DEFAULTS.attention,
    quantize: str = DEFAULTS.quantize,
    bfloat16_on_cpu: bool = False,
    settings: EngineSettings | None = None,
) -> Engine:
    """Load a model, and test it with a smoke question in each mode.

    Args:
        model: A shipped name (`rooms`), else a directory, else a hub name `organisation/model`.
        device: auto (CUDA if available), cpu, cuda, cuda:1, ...
        dtype: auto (bfloat16 on CUDA, float32 on a CPU, but see `bfloat16_on_cpu`), float32, bfloat16 or float16.
        attention: Attention implementation of the vision tower: sdpa or eager.
        quantize: none; int8, which quantises the language model's layers (on CUDA through torchao); or int4, on CUDA.
        bfloat16_on_cpu: Whether `auto` is bfloat16 on a CPU where that is faster (`bfloat16_pays`). The node wants
            that; answers that are compared or repeated are not to depend on the CPU of a machine.
        settings: Limits of the caches and batches; None uses the defaults.

    Raises:
        CheckpointError: The model is missing, incomplete or unreadable, or cannot answer a smoke question; the message
            names the path and the fault.
        ValueError: The device, dtype or quantisation is unknown or not available.
        MemoryError: The device has too little memory; the message gives the numbers.
    """
    place, number_format = place_and_dtype(device, dtype)
    files = open_checkpoint(find_checkpoint(model))
    _check_once_quantised(files, quantize)
    check_quantisation(quantize, place, number_format)
    number_format = _number_format(files, device, dtype, bfloat16_on_cpu)
    plan, settings = _planned(files, place, number_format, settings or EngineSettings(), quantize)
    checkpoint = load_checkpoint(files, place, number_format, attention, quantize)
    key = (*_fingerprint(files), str(place), number_format, attention, quantize)
    if key not in _PROVEN:
        taken_s = smoke_test(Engine(checkpoint, settings, plan), f"model directory {files.directory}")
        LOG.info("model %s: a smoke question in each mode took %.1f s", checkpoint.name, taken_s)
        _PROVEN[key] = None
        while len(_PROVEN) > MOST_PROVEN:
            _PROVEN.popitem(last=False)
    # A new engine, so that caches and counters do not include the smoke test.
    engine = Engine(checkpoint, settings, plan)
    engine.prepare_steps()
    return engine


def bfloat16_pays(place: torch.device, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether bfloat16 is faster than float32 for a model on a CPU, as docs/performance.md has it measured.

    The CPU must have instructions for it, since it is emulated otherwise, and the model must be so large that the time
    goes into reading its weights.

    Args:
        place: Device of the model.
        shapes: Shape of each tensor, by name.
    """
    numbers = sum(math.prod(shape) for shape in shapes.values())
    return place.type == "cpu" and numbers >= BFLOAT16_PAYS_ABOVE and multiplies_bfloat16()


def _check_once_quantised(files: CheckpointFiles, quantize: str) -> None:
    """Refuse to quantise weights that are quantised already, and log those that are.

    Raises:
        ValueError: The setting asks for it.
    """
    if files.quantised is None:
        return
    name = model_name(files.directory)
    if quantize != "none":
        raise ValueError(
            f"quantize is {quantize!r}, but the weights of model {name!r} are quantised already ({files.quantised}): "
            "set it to none"
        )
    LOG.info("model %s: %d weights are quantised already (%s)", name, len(files.quantised.weights), files.quantised)


def _number_format(files: CheckpointFiles, device: str, dtype: str, bfloat16_on_cpu: bool) -> torch.dtype:
    """The number format of a model's weights; see `load_engine`."""
    place, number_format = place_and_dtype(device, dtype)
    if bfloat16_on_cpu and dtype == "auto" and bfloat16_pays(place, files.shapes):
        LOG.info("model %s: dtype auto is bfloat16 on this CPU", model_name(files.directory))
        return torch.bfloat16
    return number_format


def _planned(
    files: CheckpointFiles,
    place: torch.device,
    number_format: torch.dtype,
    settings: EngineSettings,
    quantize: str = "none",
) -> tuple[MemoryPlan, EngineSettings]:
    """A model's memory plan, and the settings with limits reduced to the free memory."""
    quantised = None if files.quantised is None else files.quantised.nbytes(number_format)
    planned = partial(
        plan_memory,
        files.config,
        files.shapes,
        dtype=number_format,
        device=place,
        quantize=quantize,
        quantised=quantised,
    )
    plan = planned(settings=settings)
    check_fits(plan, model_name(files.directory), place, settings.most_bytes)
    settings = within(settings, plan, free_bytes(place))
    return planned(settings=settings), settings


def _fingerprint(files: CheckpointFiles) -> tuple[tuple[Path, int, int], ...]:
    """Path, size in bytes and time of modification of every file of a checkpoint."""
    found = [(file, file.stat()) for file in sorted(files.directory.iterdir()) if file.is_file()]
    return tuple((file, state.st_size, state.st_mtime_ns) for file, state in found)
