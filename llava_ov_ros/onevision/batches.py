"""Groups questions about the same clips into batches that are prefilled together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

SHORT_TOKENS = 256
"""Most tokens of a short question (with its history); short questions are batched in any combination."""


def batches(numbers: Sequence[int], lengths: Mapping[int, int], size: int) -> Iterator[Sequence[int]]:
    """Group questions into batches: first the short ones in their order, then the long ones by length.

    All rows of a batch are padded to its longest, so one long text among short ones would cost as much as if all were
    long. Long questions share a batch only if rows times longest row is at most that of a full batch of short ones.

    Args:
        numbers: Numbers of the questions.
        lengths: Tokens of each question's suffix.
        size: Most questions of a batch.

    Yields:
        Numbers of the questions of one batch.
    """
    short = [number for number in numbers if lengths[number] <= SHORT_TOKENS]
    for begin in range(0, len(short), size):
        yield short[begin : begin + size]
    batch: list[int] = []
    # The sort is stable: questions of equal length keep the order of `numbers`.
    for number in sorted((one for one in numbers if lengths[one] > SHORT_TOKENS), key=lambda one: lengths[one]):
        if batch and (len(batch) + 1) * lengths[number] > size * SHORT_TOKENS:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
