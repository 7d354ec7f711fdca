"""Chooses the next token from logits: greedy or sampled; hooks may change the logits first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

LEAST_TEMPERATURE = 0.001
"""Least temperature above 0: logits divided by a smaller one overflow float32."""

LogitHook = Callable[[Sequence[int], torch.Tensor], torch.Tensor]
"""A function of a row's tokens so far and its logits, float32 (vocabulary,), that returns changed logits; -inf forbids
a token."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 takes the most probable token. Otherwise, from LEAST_TEMPERATURE on, the token is sampled after
            the logits were divided by the temperature.
        top_p: Sampling uses only the most probable tokens whose probabilities sum to this share, 0 < top_p <= 1.
        seed: Seed of the row's own random numbers, so that the answer does not depend on other rows of the batch.

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
    """Draw the next token of one row at random.

    Args:
        logits: float32 (vocabulary,).
        sampling: Temperature (above 0) and top_p.
        generator: Generator of the row's random numbers, on the CPU.

    Returns:
        The token's id.
    """
    probabilities, tokens = torch.softmax(logits / sampling.temperature, dim=-1).sort(descending=True)
    # The token with which the sum reaches top_p is still included.
    outside = probabilities.cumsum(-1) - probabilities >= sampling.top_p
    probabilities = probabilities.masked_fill(outside, 0).cpu()
    return int(tokens[torch.multinomial(probabilities, 1, generator=generator)])
