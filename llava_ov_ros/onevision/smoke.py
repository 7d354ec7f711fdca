"""Asks a loaded model a minimal question in each mode, before it counts as loaded."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from ..asking import Ask
from ..checkpoints import CheckpointError
from ..frames import Clip, Frame
from ..modes import MODES
from .engine import Engine
from .memory import is_out_of_memory

# A narrow picture needs one tile, of which mode image keeps two columns.
PICTURE = (384, 12)
QUESTION = "?"


def smoke_test(engine: Engine, origin: str) -> float:
    """Ask one question of one token in each mode about one frame.

    Args:
        engine: The engine; its caches and counters include the questions afterwards.
        origin: Source of the model, for the error's message.

    Returns:
        Seconds that the questions took.

    Raises:
        CheckpointError: The model cannot answer in a mode, or its logits are not finite; the message says why.
        MemoryError: Memory ran out.
    """
    begun_s = time.monotonic()
    rng = np.random.default_rng(0)
    frame = Frame("smoke", 0, "", rng.integers(0, 256, (*PICTURE, 3), dtype=np.uint8))
    rows = engine.config.text_config.vocab_size
    for mode in MODES:
        shapes: list[torch.Size] = []

        def look(_: Sequence[int], logits: torch.Tensor, shapes: list[torch.Size] = shapes) -> torch.Tensor:
            shapes.append(logits.shape)
            return logits

        try:
            # The second question has no hook, so that the checkpoint's rules apply to it.
            asks = [Ask(QUESTION, 1, hook=look), Ask(QUESTION, 1)]
            engine.answer_many([Clip("smoke", (frame,))], asks, mode=mode)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise CheckpointError(f"{origin}: the model cannot answer in mode {mode}: {error}") from error
        if shapes != [(rows,)]:
            raise CheckpointError(f"{origin}: the model gave logits of shape {shapes} in mode {mode}, not ({rows},)")
    return time.monotonic() - begun_s
