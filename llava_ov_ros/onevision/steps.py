"""Decode steps of all rows of a batch: eager, in the batch's own shape, or in fixed shapes captured as graphs."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import replace
from typing import Protocol

import torch
from torch.nn import functional

from .devices import uploaded
from .fixed_step import Capacity, FixedStep, StepBuffers, bucketed, buffer_bytes, rows_bucket
from .graphs import Capture, Compute
from .key_values import PrefixKeyValues, SuffixKeyValues
from .language import LanguageModel, logits_of
from .memory import GIB, is_out_of_memory

LOG = logging.getLogger(__name__)
# Each captured shape takes some megabytes of driver memory; a robot's questions need few shapes.
MOST_SHAPES = 16


class Steps(Protocol):
    """Decode steps of one batch."""

    def step(self, tokens: list[int]) -> torch.Tensor:
        """Append one token to each row, and return the logits of the next, (rows, vocabulary)."""

    def keep(self, rows: list[int]) -> None:
        """Continue with these rows only."""


class EagerSteps:
    """Eager decode steps in the shape of the batch."""

    def __init__(self, model: LanguageModel, key_values: SuffixKeyValues) -> None:
        self._model = model
        self._key_values = key_values

    @torch.inference_mode()
    def step(self, tokens: list[int]) -> torch.Tensor:
        """Append one token to each row, and return the logits of the next, (rows, vocabulary)."""
        ids = uploaded(tokens, self._model.embedding.device)
        states = self._key_values.run(functional.embedding(ids, self._model.embedding)[:, None], [1] * len(tokens))
        return logits_of(self._model, states)

    def keep(self, rows: list[int]) -> None:
        """Continue with these rows only."""
        self._key_values.keep(rows)


class StaticSteps:
    """Decode steps in fixed shapes (buckets of rows, prefix and suffix), for one batch at a time.

    Shapes are kept for later batches.

    Attributes:
        shortage: Why steps have been eager since the shapes were last dropped; empty if they were not.
    """

    def __init__(self, model: LanguageModel, most_bytes: int, capture: Capture | None = None) -> None:
        """Create steps without buffers.

        Args:
            model: The language model.
            most_bytes: Most bytes of the buffers; a batch that needs more takes eager steps.
            capture: Captures a step as a graph; None computes each step directly.
        """
        self._model = model
        self._most_bytes = most_bytes
        self._capture = capture
        self._buffers: StepBuffers | None = None
        self._shapes: OrderedDict[Capacity, Compute] = OrderedDict()
        self._usual: Capacity | None = None
        self._shape = Capacity(0, 0, 0)
        self._slots: list[int] = []
        self._index: torch.Tensor | None = None
        self.shortage = ""

    def __len__(self) -> int:
        return len(self._shapes)

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers."""
        return 0 if self._buffers is None else self._buffers.nbytes

    def clear(self) -> None:
        """Drop all shapes and the buffers."""
        self._shapes.clear()
        self._buffers = None
        self.shortage = ""

    @torch.inference_mode()
    def prepare(self, usual: Capacity) -> None:
        """Make the buffers for the largest usual batch, and shapes for all, half, a quarter, ... of its rows.

        Batches with a shorter prefix then use the same shapes: reading masked keys costs less than capturing a shape
        for each length of a growing clip.
        """
        self._usual = bucketed(usual)
        rows = self._usual.rows
        while rows and not self.shortage:
            self._made(Capacity(rows, self._usual.prefix, self._usual.suffix))
            rows //= 2

    @torch.inference_mode()
    def begin(self, prefix: PrefixKeyValues, key_values: SuffixKeyValues, capacity: int) -> Steps:
        """Begin a batch whose suffixes have been prefilled: copy its keys and values to the buffers.

        Args:
            prefix: Keys and values of the prefix that all rows share.
            key_values: Keys and values of the suffixes.
            capacity: Most tokens of a row after the prefix, including its answer.

        Returns:
            This object, or eager steps if memory does not suffice.
        """
        keys, values, lengths = key_values.content()
        shape = self._shape_for(Capacity(len(lengths), prefix.length, capacity))
        if not self._made(shape):
            return EagerSteps(self._model, key_values)
        buffers = self._buffers
        assert buffers is not None
        for layer in range(len(self._model.layers)):
            buffers.prefix_keys[layer, :, : prefix.length] = prefix.keys(layer)
            buffers.prefix_values[layer, :, : prefix.length] = prefix.values(layer)
        # Values of an earlier batch there are masked, but 0 times NaN is NaN.
        buffers.prefix_values[:, :, prefix.length : shape.prefix] = 0
        buffers.prefix_length.fill_(prefix.length)
        self._fill(shape, keys[:, :, :, :capacity], values[:, :, :, :capacity], lengths)
        return self

    def _shape_for(self, needed: Capacity) -> Capacity:
        """The usual shape if it holds a batch and its buffers are not too large, else the smallest that holds it."""
        least = bucketed(needed)
        if self._usual is None:
            return least
        usual = replace(self._usual, rows=least.rows)
        return usual if usual.holds(least) and self._bytes_with(usual) <= self._most_bytes else least

    def _capacity_with(self, shape: Capacity) -> Capacity:
        """Capacity of buffers that hold a shape as well as the present shapes."""
        return shape if self._buffers is None else self._buffers.capacity.joined(shape)

    def _bytes_with(self, shape: Capacity) -> int:
        """Bytes of buffers that hold a shape as well as the present shapes."""
        model = self._model
        per_token = 2 * len(model.layers) * model.kv_heads * model.width * model.embedding.itemsize
        return buffer_bytes(self._capacity_with(shape), per_token, model.vocabulary)

    def _made(self, shape: Capacity) -> bool:
        """Make a shape unless it exists, and return whether it can be used. Making one overwrites the rows' buffers."""
        if shape in self._shapes:
            self._shapes.move_to_end(shape)
            return True
        if self.shortage:
            return False
        model, needed = self._model, self._bytes_with(shape)
        if needed > self._most_bytes:
            LOG.debug("steps of %s would take %.2f GiB, more than is planned: they are eager", shape, needed / GIB)
            return False
        try:
            if self._buffers is None or not self._buffers.capacity.holds(shape):
                # Captured graphs use the old buffers' addresses.
                largest = self._capacity_with(shape)
                self._shapes.clear()
                self._buffers = None
                self._buffers = StepBuffers(model, largest)
            step = FixedStep(model, self._buffers, shape)
            made = step.compute if self._capture is None else self._capture(step.compute)
        except (RuntimeError, MemoryError) as error:
            if self._capture is None and not is_out_of_memory(error):
                raise
            why = "memory ran out" if _began_as_out_of_memory(error) else "the step could not be captured"
            self.shortage = f"{why} while steps of {shape} were made: steps are eager ({error})"
            LOG.warning("%s", self.shortage)
            if not self._shapes:
                self._buffers = None
            return False
        self._shapes[shape] = made
        while len(self._shapes) > MOST_SHAPES:
            self._shapes.popitem(last=False)
        return True

    def _fill(self, shape: Capacity, keys: torch.Tensor, values: torch.Tensor, lengths: torch.Tensor) -> None:
        buffers = self._buffers
        assert buffers is not None
        rows, length = len(lengths), keys.shape[3]
        buffers.keys[:, :rows, :, :length] = keys
        buffers.values[:, :rows, :, :length] = values
        buffers.values[:, :rows, :, length : shape.suffix] = 0
        buffers.values[:, rows : shape.rows, :, : shape.suffix] = 0
        buffers.lengths.zero_()
        buffers.lengths[:rows] = lengths
        self._shape = shape
        self._use(list(range(rows)))

    def _use(self, slots: list[int]) -> None:
        self._slots = slots
        self._index = uploaded(slots, self._model.embedding.device)

    @torch.inference_mode()
    def step(self, tokens: list[int]) -> torch.Tensor:
        """Append one token to each row, and return the logits of the next, (rows, vocabulary)."""
        buffers = self._buffers
        assert buffers is not None, "begin comes first"
        ids = [0] * self._shape.rows
        for slot, token in zip(self._slots, tokens, strict=True):
            ids[slot] = token
        buffers.ids[: self._shape.rows] = uploaded(ids, buffers.ids.device)
        self._shapes[self._shape]()
        return buffers.logits[self._index]

    @torch.inference_mode()
    def keep(self, rows: list[int]) -> None:
        """Continue with these rows only; if they fill at most half of the bucket, in a smaller one."""
        buffers, shape = self._buffers, self._shape
        assert buffers is not None, "begin comes first"
        self._use([self._slots[row] for row in rows])
        if len(rows) > shape.rows // 2:
            return
        smaller = Capacity(rows_bucket(len(rows)), shape.prefix, shape.suffix)
        index = self._index
        try:
            keys, values = (buffer[:, index, :, : shape.suffix] for buffer in (buffers.keys, buffers.values))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return
        lengths = buffers.lengths[index]
        # If memory does not suffice for a smaller shape, the larger one serves.
        self._fill(smaller if self._made(smaller) else shape, keys, values, lengths)


def _began_as_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out before this error: the end of a capture may then fail with another error."""
    while error is not None:
        if is_out_of_memory(error):
            return True
        error = error.__context__
    return False
