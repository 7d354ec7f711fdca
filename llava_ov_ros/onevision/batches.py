"""Which questions about the same clips are prefilled together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

SHORT_TOKENS = 256
"""A question with its history up to so many tokens goes together with any others of that kind."""


def batches(numbers: Sequence[int], lengths: Mapping[int, int], size: int) -> Iterator[Sequence[int]]:
    """Questions in batches: the short ones in their order, then those with long texts, shorter ones first.

    All rows of a batch are as long as its longest. One long text beside short ones would take as much time and memory
    as if all were, so that long ones go together only where rows times the longest are no more than those of short ones.

    Args:
        numbers: Of the questions.
        lengths: Of each, tokens that are prefilled for it alone.
        size: Most questions of a batch.

    Yields:
        Numbers of the questions of one batch.
    """
    short = [number for number in numbers if lengths[number] <= SHORT_TOKENS]
    for begin in range(0, len(short), size):
        yield short[begin : begin + size]
    batch: list[int] = []
    # Stable: where two are equally long, the order is still that of `numbers`.
    for number in sorted((one for one in numbers if lengths[one] > SHORT_TOKENS), key=lambda one: lengths[one]):
        if batch and (len(batch) + 1) * lengths[number] > size * SHORT_TOKENS:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
