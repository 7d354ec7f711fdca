"""Logits to the next token: greedy or sampled, with hooks that may change the logits first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

LEAST_TEMPERATURE = 0.001
"""A smaller one divides logits into numbers that float32 has not."""

LogitHook = Callable[[Sequence[int], torch.Tensor], torch.Tensor]
"""Takes a row's tokens so far and its logits (vocabulary,) in float32, returns logits; -inf forbids a token."""


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen.

    Attributes:
        temperature: 0 takes the most probable token; above (from LEAST_TEMPERATURE on), logits are divided by it first.
        top_p: Only the most probable tokens that together have this share are sampled from, 0 < top_p <= 1.
        seed: Of the row's own random numbers: the same answer whatever else is in the batch.

    Raises:
        ValueError: A value is outside its range.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature != 0 and not LEAST_TEMPERATURE <= self.temperature < math.inf:
            raise ValueError(
                f"temperature is {self.temperature}: it must be 0 (greedy), or from {LEAST_TEMPERATURE} on and finite"
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: it must be more than 0 and at most 1")


GREEDY = Sampling()


def sampled(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """The next token of one row, drawn at random.

    Args:
        logits: (vocabulary,) float32.
        sampling: How to draw; its temperature is above 0.
        generator: The row's random numbers, on the CPU.
    """
    probabilities, tokens = torch.softmax(logits / sampling.temperature, dim=-1).sort(descending=True)
    # The token with which the share is reached still belongs to it.
    outside = probabilities.cumsum(-1) - probabilities >= sampling.top_p
    probabilities = probabilities.masked_fill(outside, 0).cpu()
    return int(tokens[torch.multinomial(probabilities, 1, generator=generator)])
