"""From a model's name, a device and a number format to an engine."""

from __future__ import annotations

import logging
from collections import OrderedDict
from functools import partial
from pathlib import Path

import torch

from ..checkpoints import find_checkpoint, model_name
from ..settings import DEFAULTS
from .checkpoint import check_loadable, load_checkpoint
from .checkpoint_files import CheckpointFiles, open_checkpoint
from .devices import on_device
from .engine import Engine
from .engine_settings import EngineSettings
from .load_errors import with_plain_errors
from .memory import MemoryPlan, check_fits, free_bytes, plan_memory, within
from .quantise import check_quantisation, quantise
from .smoke import smoke_test

LOG = logging.getLogger(__name__)
MOST_PROVEN = 64
_PROVEN: OrderedDict[tuple[object, ...], None] = OrderedDict()
"""Files, device and number format of models that have answered in this process: a node that rests loads its model
many times, and need not ask it the same smoke questions each time."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def place_and_dtype(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """The device and number format of two settings, each of which may be `auto`.

    Raises:
        ValueError: The device or dtype is not to be had.
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
def check_model(model: str, *, device: str = DEFAULTS.device, dtype: str = DEFAULTS.dtype) -> MemoryPlan:
    """Checks all that `load_engine` checks before it reads a weight, and returns what memory the model will need.

    Args:
        model: As `load_engine` takes it.
        device: As `load_engine` takes it.
        dtype: As `load_engine` takes it.

    Raises:
        CheckpointError: The model is not there, or its files are not whole by configuration, shapes and tokenizer.
        ValueError: The device or dtype is not to be had.
        MemoryError: The device has no room for it; the text gives the numbers.
    """
    files, plan, _ = _planned(model, *place_and_dtype(device, dtype), EngineSettings())
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
    settings: EngineSettings | None = None,
) -> Engine:
    """Loads a model.

    Args:
        model: A shipped name (`rooms`), else a directory, else a hub name `organisation/model`.
        device: auto (CUDA where there is one), cpu, cuda, cuda:1, ...
        dtype: auto (bfloat16 on CUDA, float32 on a CPU), float32, bfloat16 or float16.
        attention: Of the vision tower: sdpa or eager.
        quantize: none, or on CUDA int8 or int4: the language model's weights only, through torchao.
        settings: Bounds of what is kept.

    Raises:
        CheckpointError: The model is not there, not whole, not readable, or its answer to a smoke question is none; the
            text names the path and what is wrong.
        ValueError: The device, dtype or quantisation is not to be had.
        MemoryError: The device has no room for it; the text gives the numbers.
    """
    place, number_format = place_and_dtype(device, dtype)
    check_quantisation(quantize, place, number_format)
    settings = settings or EngineSettings()
    files, plan, settings = _planned(model, place, number_format, settings)
    checkpoint = load_checkpoint(files, place, number_format, attention)
    if quantize != "none":
        with on_device(place):
            quantise(checkpoint.model, quantize)
    key = (*_fingerprint(files), str(place), number_format, attention, quantize)
    if key not in _PROVEN:
        taken_s = smoke_test(Engine(checkpoint, settings, plan), f"model directory {files.directory}")
        LOG.info("model %s: a smoke question in each mode took %.1f s", checkpoint.name, taken_s)
        _PROVEN[key] = None
        while len(_PROVEN) > MOST_PROVEN:
            _PROVEN.popitem(last=False)
    # A new engine, whose caches and counters begin with the first real question.
    engine = Engine(checkpoint, settings, plan)
    engine.prepare_steps()
    return engine


def _planned(
    model: str, place: torch.device, number_format: torch.dtype, settings: EngineSettings
) -> tuple[CheckpointFiles, MemoryPlan, EngineSettings]:
    """A model's files, its memory, and the settings with bounds for which there is room."""
    files = open_checkpoint(find_checkpoint(model))
    planned = partial(plan_memory, files.config, files.shapes, itemsize=number_format.itemsize, device=place)
    plan = planned(settings=settings)
    check_fits(plan, model_name(files.directory), place)
    settings = within(settings, plan, free_bytes(place))
    return files, planned(settings=settings), settings


def _fingerprint(files: CheckpointFiles) -> tuple[tuple[Path, int, int], ...]:
    """Path, size and time of change of every file of a checkpoint."""
    found = [(file, file.stat()) for file in sorted(files.directory.iterdir()) if file.is_file()]
    return tuple((file, state.st_size, state.st_mtime_ns) for file, state in found)
