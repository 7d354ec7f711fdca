"""The keys and values of a prefix that all rows share and of each row's suffix, and attention over both."""

from __future__ import annotations

import copy
import math

import torch
from torch.nn import functional

from .devices import uploaded
from .language import LanguageModel, run_layers

BLOCK_TOKENS = 256


def _blocks(tokens: int) -> int:
    return -(-tokens // BLOCK_TOKENS) * BLOCK_TOKENS


class PrefixKeyValues:
    """Keys and values of a prefix, positions 0 to length - 1; tokens can only be appended."""

    def __init__(self, model: LanguageModel, capacity: int = BLOCK_TOKENS) -> None:
        self._model = model
        self.length = 0
        self._keys = self._empty(_blocks(capacity))
        self._values = self._empty(_blocks(capacity))

    def _empty(self, capacity: int) -> torch.Tensor:
        model = self._model
        return model.embedding.new_empty(len(model.layers), model.kv_heads, capacity, model.width)

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers, including spare capacity."""
        return self._keys.nbytes + self._values.nbytes

    def keys(self, layer: int) -> torch.Tensor:
        """Keys of a layer, (kv heads, length, D)."""
        return self._keys[layer, :, : self.length]

    def values(self, layer: int) -> torch.Tensor:
        """Values of a layer, (kv heads, length, D)."""
        return self._values[layer, :, : self.length]

    def shown(self, length: int) -> PrefixKeyValues:
        """A view of the first `length` positions; nothing may be appended to it."""
        view = copy.copy(self)
        view.length = length
        return view

    def beginning(self, length: int) -> PrefixKeyValues:
        """A copy of the first `length` positions; exact, since causal attention makes no use of later tokens."""
        begun = PrefixKeyValues(self._model, max(length, 1))
        begun._keys[:, :, :length] = self._keys[:, :, :length]
        begun._values[:, :, :length] = self._values[:, :, :length]
        begun.length = length
        return begun

    def growth(self, tokens: int) -> int:
        """Bytes by which the buffers grow when so many tokens are appended."""
        capacity = self._keys.shape[2]
        return self.nbytes // capacity * (self._capacity_for(self.length + tokens) - capacity)

    def _capacity_for(self, length: int) -> int:
        capacity = self._keys.shape[2]
        if length <= capacity:
            return capacity
        # Grow by half, so that a clip that grows frame by frame is copied only a few times.
        return max(capacity, min(_blocks(max(length, capacity * 3 // 2)), _blocks(self._model.context)))

    def reserve(self, length: int) -> None:
        """Make room for so many positions in all, which loses none."""
        grown = self._capacity_for(length)
        if grown == self._keys.shape[2]:
            return
        for name in ("_keys", "_values"):
            larger = self._empty(grown)
            larger[:, :, : self.length] = getattr(self, name)[:, :, : self.length]
            setattr(self, name, larger)

    def append(self, x: torch.Tensor) -> None:
        """Run tokens through the model and keep their keys and values.

        Args:
            x: Embeddings, (1, T, hidden).
        """
        begin, count = self.length, x.shape[1]
        end = begin + count
        self.reserve(end)
        device = x.device
        visible = torch.arange(end, device=device) <= torch.arange(begin, end, device=device)[:, None]
        group = self._model.group

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            keys, values = self._keys[layer], self._values[layer]
            keys[:, begin:end], values[:, begin:end] = k[0], v[0]
            # The query heads of a group share their keys, so they become rows of one larger query.
            rows = q.reshape(1, q.shape[1], group * count, q.shape[-1])
            attended = functional.scaled_dot_product_attention(
                rows, keys[None, :, :end], values[None, :, :end], attn_mask=visible.repeat(group, 1)
            )
            return attended.view(q.shape)

        run_layers(self._model, x, torch.arange(begin, end, device=device)[None], attend)
        self.length = end


class SuffixKeyValues:
    """Keys and values of several rows that continue one prefix; each row has its own length."""

    def __init__(self, model: LanguageModel, prefix: PrefixKeyValues, rows: int, capacity: int) -> None:
        self._model = model
        self._prefix = prefix
        shape = (len(model.layers), rows, model.kv_heads, _blocks(capacity), model.width)
        self._keys = model.embedding.new_zeros(shape)
        self._values = model.embedding.new_zeros(shape)
        self._lengths = torch.zeros(rows, dtype=torch.long, device=model.embedding.device)
        # The same lengths on the host, since reading them from the device would wait for it.
        self._known_lengths = [0] * rows

    def content(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Keys and values, (layers, rows, kv heads, capacity, D) each, and the number of tokens per row, (rows,)."""
        return self._keys, self._values, self._lengths

    def keep(self, rows: list[int]) -> None:
        """Keep only these rows, in this order."""
        index = uploaded(rows, self._lengths.device)
        self._known_lengths = [self._known_lengths[row] for row in rows]
        self._keys, self._values = self._keys[:, index], self._values[:, index]
        self._lengths = self._lengths[index]

    def picked(self, rows: list[int]) -> SuffixKeyValues:
        """A copy with these rows, in this order; a row may occur several times."""
        copied = copy.copy(self)
        copied.keep(rows)
        return copied

    def run(self, x: torch.Tensor, counts: list[int]) -> torch.Tensor:
        """Run new tokens of every row through the model.

        Args:
            x: Embeddings, (rows, T, hidden); rows shorter than T are padded at their end.
            counts: Number of each row's tokens without padding.

        Returns:
            Hidden states of each row's last token before the padding, (rows, hidden).
        """
        states = self.run_all(x, counts)
        if x.shape[1] == 1:
            return states[:, 0]
        return states[torch.arange(len(x), device=x.device), uploaded(counts, x.device) - 1]

    def run_all(self, x: torch.Tensor, counts: list[int]) -> torch.Tensor:
        """Like `run`, but returns hidden states of all tokens, (rows, T, hidden); those of padding have no meaning."""
        rows, count, _ = x.shape
        device = x.device
        slots = self._lengths[:, None] + torch.arange(count, device=device)
        # Slots after a row's end may contain padding: no token attends to it, and later tokens overwrite it.
        used = max(self._known_lengths) + count
        hidden = torch.arange(used, device=device) > slots[:, :, None]
        row_index = torch.arange(rows, device=device)[:, None]

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            self._keys[layer].transpose(1, 2)[row_index, slots] = k.transpose(1, 2)
            self._values[layer].transpose(1, 2)[row_index, slots] = v.transpose(1, 2)
            return attention(
                q,
                self._prefix.keys(layer),
                self._prefix.values(layer),
                self._keys[layer, :, :, :used],
                self._values[layer, :, :, :used],
                hidden,
            )

        # Padding may lie beyond the model's last position; no token attends to it.
        positions = (self._prefix.length + slots).clamp(max=self._model.context - 1)
        states = run_layers(self._model, x, positions, attend)
        self._lengths = self._lengths + (1 if count == 1 else uploaded(counts, device))
        self._known_lengths = [length + new for length, new in zip(self._known_lengths, counts, strict=True)]
        return states


def attention(
    q: torch.Tensor,
    prefix_keys: torch.Tensor,
    prefix_values: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    hidden: torch.Tensor,
    prefix_hidden: torch.Tensor | None = None,
) -> torch.Tensor:
    """Softmax attention over a prefix that all rows share and each row's own suffix.

    The scores over the prefix are one matrix product for all rows, which reads the prefix once for any number of
    questions. One softmax covers both parts, so the result is that of ordinary attention.

    Scores and sums are float32 in every number format, as in the fused kernels of scaled_dot_product_attention: Qwen2's
    keys are so large that scores reach some hundreds, which bfloat16 rounds to integers or coarser.

    Args:
        q: Queries, (B, kv heads, group, T, D).
        prefix_keys: (kv heads, P, D).
        prefix_values: (kv heads, P, D).
        keys: Keys of the suffixes, (B, kv heads, S, D).
        values: Values of the suffixes, (B, kv heads, S, D).
        hidden: True where a query must not attend to the suffix, (B, T, S).
        prefix_hidden: True where no query may attend to the prefix, (P,): the unused end of a fixed capacity.

    Returns:
        Attended values, (B, kv heads, group, T, D).
    """
    batch, heads, group, count, width = q.shape
    scale = width**-0.5
    # Scaling the queries is cheaper than scaling the scores, but rounds them unless the scale is a power of two.
    in_advance = math.frexp(scale)[0] == 0.5
    if in_advance:
        q = q * scale
    together = q.transpose(0, 1).reshape(heads, batch * group * count, width)
    on_prefix = wide_product(together, prefix_keys.transpose(1, 2)).view(heads, batch, group, count, -1)
    if prefix_hidden is not None:
        on_prefix.masked_fill_(prefix_hidden, float("-inf"))
    own = q.reshape(batch * heads, group * count, width)
    on_suffix = wide_product(own, keys.flatten(0, 1).transpose(1, 2)).view(batch, heads, group, count, -1)
    on_suffix.masked_fill_(hidden[:, None, None], float("-inf"))
    scores = torch.cat([on_prefix.transpose(0, 1), on_suffix], dim=-1)
    if not in_advance:
        scores *= scale
    # Free the large tensors at once, so that the next ones reuse their memory.
    del on_prefix, on_suffix
    weights = torch.softmax(scores, dim=-1).to(q.dtype)
    del scores
    boundary = prefix_keys.shape[1]
    of_prefix, of_suffix = weights[..., :boundary], weights[..., boundary:]
    from_prefix = wide_product(of_prefix.transpose(0, 1).reshape(heads, batch * group * count, -1), prefix_values)
    from_prefix = from_prefix.view(heads, batch, group, count, width).transpose(0, 1)
    from_suffix = wide_product(of_suffix.reshape(batch * heads, group * count, -1), values.flatten(0, 1))
    return (from_prefix + from_suffix.view(q.shape)).to(q.dtype)


def wide_product(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Batched matrix product that is accumulated and returned in float32 for factors of any number format.

    Args:
        first: (n, rows, inner).
        second: (n, inner, columns).

    Returns:
        float32 (n, rows, columns).
    """
    if first.dtype == torch.float32:
        return first @ second
    # On CUDA, one kernel reads the factors in their own format; torch has this overload since 2.8.
    if first.device.type == "cuda" and hasattr(torch.ops.aten.bmm, "dtype"):
        return torch.bmm(first, second, out_dtype=torch.float32)
    return first.float() @ second.float()
