"""One decode step of a fixed shape, over buffers that stay where they are: what can be captured as a graph."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from .key_values import attention
from .language import LanguageModel, logits_of, run_layers

PREFIX_BUCKET = 1024
SUFFIX_BUCKET = 128


@dataclass(frozen=True)
class Capacity:
    """Most rows of a batch, tokens of a prefix, and tokens of a row behind it."""

    rows: int
    prefix: int
    suffix: int

    def holds(self, other: Capacity) -> bool:
        """Whether the other one is no larger in any way."""
        return self.rows >= other.rows and self.prefix >= other.prefix and self.suffix >= other.suffix

    def joined(self, other: Capacity) -> Capacity:
        """The least that holds both."""
        return Capacity(max(self.rows, other.rows), max(self.prefix, other.prefix), max(self.suffix, other.suffix))


def rows_bucket(rows: int) -> int:
    """The power of two that so many rows are computed as."""
    return 1 << (rows - 1).bit_length()


def bucketed(needed: Capacity) -> Capacity:
    """The shape that a batch is computed in: few shapes serve all batches."""
    return Capacity(
        rows_bucket(needed.rows),
        -(-needed.prefix // PREFIX_BUCKET) * PREFIX_BUCKET,
        -(-needed.suffix // SUFFIX_BUCKET) * SUFFIX_BUCKET,
    )


def buffer_bytes(capacity: Capacity, bytes_per_token: int, vocabulary: int) -> int:
    """Bytes of `StepBuffers`.

    Args:
        capacity: Of the buffers.
        bytes_per_token: Keys and values of a token in all layers.
        vocabulary: Logits of a row.
    """
    of_row = capacity.suffix * bytes_per_token + vocabulary * torch.float32.itemsize
    return capacity.prefix * bytes_per_token + capacity.rows * (of_row + 2 * torch.long.itemsize) + torch.long.itemsize


class StepBuffers:
    """What the steps of all shapes read and write: a graph needs every address to stay.

    A smaller shape uses the beginning of each buffer, so that any number of shapes takes the memory of the largest.

    Attributes:
        prefix_keys: (layers, kv heads, prefix, D); so are prefix_values.
        keys: (layers, rows, kv heads, suffix, D); so are values.
        ids: The tokens that the step adds, (rows,).
        lengths: Tokens that each row has behind the prefix, (rows,).
        prefix_length: Tokens of the prefix, ().
        logits: What the last step found, (rows, vocabulary) in float32.
    """

    def __init__(self, model: LanguageModel, capacity: Capacity) -> None:
        self.capacity = capacity
        layers, heads, width = len(model.layers), model.kv_heads, model.width
        new, device = model.embedding.new_zeros, model.embedding.device
        self.prefix_keys, self.prefix_values = (new(layers, heads, capacity.prefix, width) for _ in range(2))
        self.keys, self.values = (new(layers, capacity.rows, heads, capacity.suffix, width) for _ in range(2))
        self.ids, self.lengths = (torch.zeros(capacity.rows, dtype=torch.long, device=device) for _ in range(2))
        self.prefix_length = torch.ones((), dtype=torch.long, device=device)
        self.logits = new(capacity.rows, model.head.shape[0], dtype=torch.float32)

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return sum(tensor.nbytes for tensor in vars(self).values() if isinstance(tensor, torch.Tensor))


@dataclass(frozen=True, eq=False)
class FixedStep:
    """A step of one shape.

    Eager decoding spends several milliseconds per token on starting some thousand small kernels; a replayed graph
    starts them all at once. Every shape stays, so that masks made from lengths on the device say which keys count.

    Attributes:
        model: The language model.
        buffers: Hold at least the shape.
        shape: How much of the buffers takes part.
    """

    model: LanguageModel
    buffers: StepBuffers
    shape: Capacity

    @torch.inference_mode()
    def compute(self) -> None:
        """Add each row's token: logits and lengths change in the buffers. Nothing here waits for the device."""
        model, buffers, shape = self.model, self.buffers, self.shape
        device = buffers.ids.device
        lengths = buffers.lengths[: shape.rows]
        # Rows that have ended run on until the batch shrinks; they must not run out of their place.
        slots = lengths.clamp(max=shape.suffix - 1)
        hidden = (torch.arange(shape.suffix, device=device) > slots[:, None])[:, None]
        prefix_hidden = torch.arange(shape.prefix, device=device) >= buffers.prefix_length
        row_index = torch.arange(shape.rows, device=device)

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            keys, values = (buffer[layer, : shape.rows, :, : shape.suffix] for buffer in (buffers.keys, buffers.values))
            keys.transpose(1, 2)[row_index, slots] = k[:, :, 0]
            values.transpose(1, 2)[row_index, slots] = v[:, :, 0]
            return attention(
                q,
                buffers.prefix_keys[layer, :, : shape.prefix],
                buffers.prefix_values[layer, :, : shape.prefix],
                keys,
                values,
                hidden,
                prefix_hidden,
            )

        x = functional.embedding(buffers.ids[: shape.rows], model.embedding)[:, None]
        positions = (buffers.prefix_length + slots).clamp(max=model.context - 1)
        states = run_layers(model, x, positions[:, None], attend)
        lengths += 1
        buffers.logits[: shape.rows] = logits_of(model, states[:, 0])
