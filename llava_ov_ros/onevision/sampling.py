"""Draws the next token from logits at random."""

from __future__ import annotations

import torch

from ..asking import Sampling


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
