"""One decode step for all rows: of any shape, or of a fixed shape that CUDA replays as one captured graph."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch.nn import functional

from .key_values import PrefixKeyValues, SuffixKeyValues, attention
from .language import LanguageModel, logits_of, run_layers

PREFIX_BUCKET = 1024
SUFFIX_BUCKET = 128
# Each holds a copy of a prefix; a robot's questions fall into few buckets.
MOST_SHAPES = 4
WARM_UP_STEPS = 3


class EagerSteps:
    """Steps of just the shape that is needed."""

    def __init__(self, model: LanguageModel, key_values: SuffixKeyValues) -> None:
        self._model = model
        self._key_values = key_values

    @torch.inference_mode()
    def step(self, tokens: list[int]) -> torch.Tensor:
        """Logits (rows, vocabulary) after one more token of each row."""
        ids = torch.tensor(tokens, device=self._model.embedding.device)
        states = self._key_values.run(functional.embedding(ids, self._model.embedding)[:, None], [1] * len(tokens))
        return logits_of(self._model, states)

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows only."""
        self._key_values.keep(rows)


class _StaticShape:
    """Buffers of one shape, and the graph of a step over them.

    Eager decoding spends several milliseconds per token on starting some thousand small kernels; a replay starts them
    all at once. It needs every address and every shape to stay, so keys and values are copied in at the beginning,
    and masks made from lengths on the device say which of them count. Lengths grow by one with each step.
    """

    def __init__(self, model: LanguageModel, rows: int, prefix_capacity: int, suffix_capacity: int) -> None:
        self.rows, self.prefix_capacity, self.suffix_capacity = rows, prefix_capacity, suffix_capacity
        self._model = model
        layers, heads, width = len(model.layers), model.kv_heads, model.width
        new = model.embedding.new_zeros
        self.prefix_keys, self.prefix_values = (new(layers, heads, prefix_capacity, width) for _ in range(2))
        self.keys, self.values = (new(layers, rows, heads, suffix_capacity, width) for _ in range(2))
        device = model.embedding.device
        self.ids = torch.zeros(rows, dtype=torch.long, device=device)
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)
        self.prefix_length = torch.ones((), dtype=torch.long, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits = self._compute()
        if device.type == "cuda":
            self._capture()

    def _capture(self) -> None:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                self._compute()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._logits = self._compute()
        self._graph = graph

    def run(self) -> torch.Tensor:
        """One step of all rows; logits (rows, vocabulary), overwritten by the next step."""
        if self._graph is not None:
            self._graph.replay()
        else:
            self._logits = self._compute()
        return self._logits

    @torch.inference_mode()
    def _compute(self) -> torch.Tensor:
        model, device = self._model, self.ids.device
        # Rows that have ended run on until the batch shrinks; they must not run out of their place.
        slots = self.lengths.clamp(max=self.suffix_capacity - 1)
        hidden = (torch.arange(self.suffix_capacity, device=device) > slots[:, None])[:, None]
        prefix_hidden = torch.arange(self.prefix_capacity, device=device) >= self.prefix_length
        row_index = torch.arange(self.rows, device=device)

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            self.keys[layer].transpose(1, 2)[row_index, slots] = k[:, :, 0]
            self.values[layer].transpose(1, 2)[row_index, slots] = v[:, :, 0]
            return attention(
                q,
                self.prefix_keys[layer],
                self.prefix_values[layer],
                self.keys[layer],
                self.values[layer],
                hidden,
                prefix_hidden,
            )

        x = functional.embedding(self.ids, model.embedding)[:, None]
        positions = (self.prefix_length + slots).clamp(max=model.context - 1)
        states = run_layers(model, x, positions[:, None], attend)
        self.lengths += 1
        return logits_of(model, states[:, 0])


class StaticSteps:
    """Steps in buckets of rows, prefix and suffix; the shapes are kept for the next questions."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._shapes: OrderedDict[tuple[int, int, int], _StaticShape] = OrderedDict()
        self._current: _StaticShape | None = None
        self._slots: list[int] = []

    def __len__(self) -> int:
        return len(self._shapes)

    def clear(self) -> None:
        """Drop all shapes."""
        self._shapes.clear()
        self._current = None

    @torch.inference_mode()
    def begin(self, prefix: PrefixKeyValues, key_values: SuffixKeyValues, capacity: int) -> None:
        """Take over rows whose suffixes have been prefilled.

        Args:
            prefix: What they share.
            key_values: Their own keys and values.
            capacity: Most tokens of a row, the answer included.
        """
        keys, values, lengths = key_values.content()
        rows = len(lengths)
        shape = self._shape(rows, _bucket(prefix.length, PREFIX_BUCKET), _bucket(capacity, SUFFIX_BUCKET))
        for layer in range(len(self._model.layers)):
            shape.prefix_keys[layer, :, : prefix.length] = prefix.keys(layer)
            shape.prefix_values[layer, :, : prefix.length] = prefix.values(layer)
        # What an earlier question left there is masked; but nothing times a number that is none is none.
        shape.prefix_values[:, :, prefix.length :] = 0
        shape.prefix_length.fill_(prefix.length)
        self._fill(shape, keys[:, :, :, :capacity], values[:, :, :, :capacity], lengths)

    def _shape(self, rows: int, prefix_capacity: int, suffix_capacity: int) -> _StaticShape:
        bucket = 1 << (rows - 1).bit_length()
        key = (bucket, prefix_capacity, suffix_capacity)
        if key not in self._shapes:
            while len(self._shapes) >= MOST_SHAPES:
                self._shapes.popitem(last=False)
            self._shapes[key] = _StaticShape(self._model, *key)
        self._shapes.move_to_end(key)
        return self._shapes[key]

    def _fill(self, shape: _StaticShape, keys: torch.Tensor, values: torch.Tensor, lengths: torch.Tensor) -> None:
        rows, length = len(lengths), keys.shape[3]
        shape.keys[:, :rows, :, :length] = keys
        shape.values[:, :rows, :, :length] = values
        shape.values[:, :rows, :, length:] = 0
        shape.lengths.zero_()
        shape.lengths[:rows] = lengths
        self._current = shape
        self._slots = list(range(rows))

    @torch.inference_mode()
    def step(self, tokens: list[int]) -> torch.Tensor:
        """Logits (rows, vocabulary) after one more token of each row."""
        shape = self._current
        assert shape is not None, "begin comes first"
        ids = [0] * shape.rows
        for slot, token in zip(self._slots, tokens, strict=True):
            ids[slot] = token
        shape.ids.copy_(torch.tensor(ids))
        return shape.run()[torch.tensor(self._slots, device=shape.ids.device)]

    @torch.inference_mode()
    def keep(self, rows: list[int]) -> None:
        """Go on with these rows only; at half a bucket, in a smaller one."""
        shape = self._current
        assert shape is not None, "begin comes first"
        self._slots = [self._slots[row] for row in rows]
        if len(self._slots) > shape.rows // 2:
            return
        smaller = self._shape(len(self._slots), shape.prefix_capacity, shape.suffix_capacity)
        smaller.prefix_keys.copy_(shape.prefix_keys)
        smaller.prefix_values.copy_(shape.prefix_values)
        smaller.prefix_length.copy_(shape.prefix_length)
        index = torch.tensor(self._slots, device=shape.ids.device)
        self._fill(smaller, shape.keys[:, index], shape.values[:, index], shape.lengths[index])


def _bucket(tokens: int, size: int) -> int:
    return -(-tokens // size) * size
