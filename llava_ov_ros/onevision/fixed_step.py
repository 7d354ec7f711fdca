"""One decode step of a fixed shape over buffers at fixed addresses, which can be captured as a graph."""

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
    """A shape of decode steps: rows of the batch, tokens of the prefix, and tokens of a row's suffix and answer."""

    rows: int
    prefix: int
    suffix: int

    def holds(self, other: Capacity) -> bool:
        """Whether the other capacity is no larger in any dimension."""
        return self.rows >= other.rows and self.prefix >= other.prefix and self.suffix >= other.suffix

    def joined(self, other: Capacity) -> Capacity:
        """The smallest capacity that holds both."""
        return Capacity(max(self.rows, other.rows), max(self.prefix, other.prefix), max(self.suffix, other.suffix))


def rows_bucket(rows: int) -> int:
    """The number of rows rounded up to a power of two."""
    return 1 << (rows - 1).bit_length()


def bucketed(needed: Capacity) -> Capacity:
    """The shape in which a batch is computed: rounded up, so that few shapes serve all batches."""
    return Capacity(
        rows_bucket(needed.rows),
        -(-needed.prefix // PREFIX_BUCKET) * PREFIX_BUCKET,
        -(-needed.suffix // SUFFIX_BUCKET) * SUFFIX_BUCKET,
    )


def buffer_bytes(capacity: Capacity, bytes_per_token: int, vocabulary: int) -> int:
    """Bytes of `StepBuffers`.

    Args:
        capacity: Capacity of the buffers.
        bytes_per_token: Bytes of a token's keys and values in all layers.
        vocabulary: Number of logits of a row.
    """
    of_row = capacity.suffix * bytes_per_token + vocabulary * torch.float32.itemsize
    return capacity.prefix * bytes_per_token + capacity.rows * (of_row + 2 * torch.long.itemsize) + torch.long.itemsize


class StepBuffers:
    """The buffers of the decode steps of all shapes. A captured graph needs their addresses to stay.

    A smaller shape uses the beginning of each buffer, so all shapes together take the memory of the largest.

    Attributes:
        capacity: Capacity of the buffers.
        prefix_keys: Keys of the prefix, (layers, kv heads, prefix, D).
        prefix_values: Values of the prefix, (layers, kv heads, prefix, D).
        keys: Keys of the rows, (layers, rows, kv heads, suffix, D).
        values: Values of the rows, (layers, rows, kv heads, suffix, D).
        ids: The tokens that the step appends, (rows,).
        lengths: Number of tokens that each row has after the prefix, (rows,).
        prefix_length: Number of tokens of the prefix, ().
        logits: Logits of the last step, float32 (rows, vocabulary).
    """

    def __init__(self, model: LanguageModel, capacity: Capacity) -> None:
        self.capacity = capacity
        layers, heads, width = len(model.layers), model.kv_heads, model.width
        new, device = model.embedding.new_zeros, model.embedding.device
        self.prefix_keys, self.prefix_values = (new(layers, heads, capacity.prefix, width) for _ in range(2))
        self.keys, self.values = (new(layers, capacity.rows, heads, capacity.suffix, width) for _ in range(2))
        self.ids, self.lengths = (torch.zeros(capacity.rows, dtype=torch.long, device=device) for _ in range(2))
        self.prefix_length = torch.ones((), dtype=torch.long, device=device)
        self.logits = new(capacity.rows, model.vocabulary, dtype=torch.float32)

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        return sum(tensor.nbytes for tensor in vars(self).values() if isinstance(tensor, torch.Tensor))


@dataclass(frozen=True, eq=False)
class FixedStep:
    """A decode step of one shape.

    Eager decoding spends several milliseconds per token on launching some thousand small kernels; a replayed graph
    launches them all at once. All tensors have fixed shapes; masks, computed on the device from the lengths, hide the
    keys that do not count.

    Attributes:
        model: The language model.
        buffers: Buffers that hold at least the shape.
        shape: The part of the buffers that the step uses.
    """

    model: LanguageModel
    buffers: StepBuffers
    shape: Capacity

    @torch.inference_mode()
    def compute(self) -> None:
        """Append each row's token: updates keys, values, lengths and logits in the buffers without waiting."""
        model, buffers, shape = self.model, self.buffers, self.shape
        device = buffers.ids.device
        lengths = buffers.lengths[: shape.rows]
        # Ended rows continue until the batch shrinks; their slots must stay within the buffers.
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
