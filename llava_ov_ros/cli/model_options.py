"""The options that name a model, and the functions that find and load the model they name."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints import MODEL_FORMS, CheckpointError, find_checkpoint
from ..settings import DEFAULTS, parameter
from .errors import CommandError
from .options import device

if TYPE_CHECKING:
    # Only for annotations: this brings torch, which --help does without.
    from ..onevision import Engine


def add_model_name(parser: argparse._ActionsContainer) -> None:
    """Add --model."""
    parser.add_argument("--model", default=DEFAULTS.model, help=f"{MODEL_FORMS} (default: %(default)s)")


def add_device(parser: argparse._ActionsContainer) -> None:
    """Add --device."""
    parser.add_argument(
        "--device", type=device, default=DEFAULTS.device, help="auto, cpu, cuda, cuda:0, ... (default: %(default)s)"
    )


def add_dtype(parser: argparse._ActionsContainer) -> None:
    """Add --dtype."""
    parser.add_argument(
        "--dtype",
        default=DEFAULTS.dtype,
        choices=parameter("dtype").choices,
        help="number format of the weights; auto: bfloat16 on CUDA, float32 on a CPU (default: %(default)s)",
    )


def find_model(model: str) -> Path:
    """Return the directory of the model that --model names, without importing torch or transformers, which is slow.

    Raises:
        CommandError: There is no such model.
    """
    try:
        return find_checkpoint(model)
    except CheckpointError as error:
        raise CommandError(str(error)) from None


def load_model(args: argparse.Namespace, *, clip_frames: int | None = None, cameras: int = 1) -> Engine:
    """Load the model that --model, --device and --dtype name, and print on standard error how long that took.

    Args:
        args: The parsed arguments.
        clip_frames: Most frames of a clip for which memory is planned; None: the engine's default.
        cameras: Number of cameras that have such a clip.

    Raises:
        CommandError: There is no such model, it cannot be used, or it does not fit into memory.
    """
    directory = find_model(args.model)
    print(f"loading {args.model} ...", file=sys.stderr, flush=True)
    started_s = time.monotonic()
    from ..onevision import EngineSettings, load_engine

    settings = EngineSettings(cameras=cameras)
    if clip_frames is not None:
        settings = EngineSettings(clip_frames=clip_frames, cameras=cameras)
    try:
        engine = load_engine(str(directory), device=args.device, dtype=args.dtype, settings=settings)
    except (ValueError, MemoryError) as error:
        raise CommandError(str(error)) from None
    print(f"loaded in {time.monotonic() - started_s:.1f} s", file=sys.stderr, flush=True)
    return engine
