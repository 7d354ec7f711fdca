"""The smallest question in each mode, asked before a model is said to be loaded."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from ..checkpoints import CheckpointError
from ..frames import Clip, Frame
from ..modes import MODES
from .decoding import Ask
from .engine import Engine
from .memory import is_out_of_memory

# A narrow picture is one tile, of which mode image keeps two columns.
PICTURE = (384, 12)
QUESTION = "?"


def smoke_test(engine: Engine, origin: str) -> float:
    """Ask one question of one token in each mode about one frame.

    Args:
        engine: Its caches and counters hold the questions' work afterwards.
        origin: What the model was loaded from, for the error's text.

    Returns:
        Seconds that the questions took.

    Raises:
        CheckpointError: The model cannot answer in a mode, or its logits are not finite; the text says why.
        MemoryError: It ran out of memory.
    """
    begun_s = time.monotonic()
    rng = np.random.default_rng(0)
    frame = Frame("smoke", 0, "", rng.integers(0, 256, (*PICTURE, 3), dtype=np.uint8))
    rows = engine.transformers_model.lm_head.weight.shape[0]
    for mode in MODES:
        shapes: list[torch.Size] = []

        def look(_: Sequence[int], logits: torch.Tensor, shapes: list[torch.Size] = shapes) -> torch.Tensor:
            shapes.append(logits.shape)
            return logits

        try:
            # One without a hook too, to which the rules of the checkpoint apply.
            asks = [Ask(QUESTION, 1, hook=look), Ask(QUESTION, 1)]
            engine.answer_many([Clip("smoke", (frame,))], asks, mode=mode)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise CheckpointError(f"{origin}: the model cannot answer in mode {mode}: {error}") from error
        if shapes != [(rows,)]:
            raise CheckpointError(f"{origin}: the model gave logits of shape {shapes} in mode {mode}, not ({rows},)")
    return time.monotonic() - begun_s
