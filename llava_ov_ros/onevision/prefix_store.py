"""Keeps the keys and values of prompts' prefixes, so that no token is prefilled twice."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import torch

from ..no_op import no_op
from .key_values import PrefixKeyValues
from .language import LanguageModel

LONGEST_PIECE = 1024
# The growing clips of all cameras, the clips that they will re-anchor to, and a clip that was asked for.
NEVER_LEFT = 3


@dataclass(frozen=True)
class Chunk:
    """A part of a prompt that is always prefilled by itself.

    Attributes:
        key: Identifies the chunk: equal keys mean equal embeddings.
        tokens: Number of tokens.
        rows: Returns the embeddings, (tokens, hidden); called only if the chunk has to be prefilled.
    """

    key: Hashable
    tokens: int
    rows: Callable[[], torch.Tensor]


@dataclass(eq=False)
class _Entry:
    keys: list[Hashable]
    ends: list[int] = field(default_factory=list)
    key_values: PrefixKeyValues = field(kw_only=True)
    # Whether a newer prefix went another way after the first text and picture, as a clip does when a newer frame takes
    # the place of its newest: nobody asks about the older one again, and the newer one has all else of it.
    is_left: bool = False


def _common(keys: Sequence[Hashable], chunks: Sequence[Chunk]) -> int:
    count = 0
    for key, chunk in zip(keys, chunks, strict=False):
        if key != chunk.key:
            break
        count += 1
    return count


class PrefixStore:
    """Prefixes by their chunks; beyond the limit of bytes those are dropped that a newer one has left behind.

    If there are none, the least recently used is dropped.

    Chunks are canonical: a prefix has the same keys and values to the bit whether it was prefilled at once, grew
    chunk by chunk over minutes, or started as a copy of the beginning of another prefix.
    """

    def __init__(self, model: LanguageModel, max_bytes: int) -> None:
        self._model = model
        self._max_bytes = max_bytes
        self._entries: list[_Entry] = []
        self.tokens_prefilled = 0
        self.tokens_reused = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values in the store."""
        return sum(entry.key_values.nbytes for entry in self._entries)

    def clear(self) -> None:
        """Drop all prefixes."""
        self._entries.clear()

    def missing(self, chunks: Sequence[Chunk]) -> Sequence[Chunk]:
        """The chunks that `get` would prefill."""
        return chunks[max((_common(entry.keys, chunks) for entry in self._entries), default=0) :]

    def get(self, chunks: Sequence[Chunk], before_each: Callable[[], None] = no_op) -> PrefixKeyValues:
        """Keys and values of the chunks; missing chunks are prefilled first. Nothing may be appended to the result.

        Args:
            chunks: The chunks of the prefix.
            before_each: Called before each missing chunk; if it raises an error, that chunk and the rest stay missing.
        """
        entry = self._entry_for(chunks)
        kept = _common(entry.keys, chunks)
        self.tokens_reused += entry.ends[kept - 1] if kept else 0
        try:
            for chunk in chunks[kept:]:
                before_each()
                self._append(entry, chunk)
        finally:
            if self._max_bytes == 0:
                self._entries.clear()
        return entry.key_values.shown(entry.ends[len(chunks) - 1])

    def step(self, chunks: Sequence[Chunk]) -> bool:
        """Prefill only the first missing chunk, so that an urgent request need not wait for all of them.

        Returns:
            Whether a chunk was prefilled; if none is missing, the prefix counts as used all the same. Always False if
            the store keeps nothing (`max_bytes` 0), since the chunk would stay missing.
        """
        if self._max_bytes == 0:
            return False
        # Also where nothing is missing: what somebody may ask for next is not dropped before what nobody waits for.
        entry = self._entry_for(chunks)
        kept = _common(entry.keys, chunks)
        if kept == len(chunks):
            return False
        self._append(entry, chunks[kept])
        return True

    def _entry_for(self, chunks: Sequence[Chunk]) -> _Entry:
        """The entry to which the missing chunks can be appended, moved to the end as the most recently used.

        If the best entry differs from the chunks after a common beginning, that beginning is copied to a new entry.
        """
        # Of several, the newest: the older ones are left behind already.
        best = max(reversed(self._entries), key=lambda entry: _common(entry.keys, chunks), default=None)
        kept = _common(best.keys, chunks) if best is not None else 0
        if best is not None and (kept == len(chunks) or kept == len(best.keys)):
            self._entries.remove(best)
            entry = best
            entry.is_left = False
        elif best is not None and kept > 0:
            beginning = best.key_values.beginning(best.ends[kept - 1])
            entry = _Entry(best.keys[:kept], best.ends[:kept], key_values=beginning)
            best.is_left = kept > 1
        else:
            entry = _Entry([], key_values=PrefixKeyValues(self._model))
        self._entries.append(entry)
        self._make_room(entry, 0)
        return entry

    def _append(self, entry: _Entry, chunk: Chunk) -> None:
        rows = chunk.rows()
        self._make_room(entry, entry.key_values.growth(len(rows)))
        begin = entry.key_values.length
        try:
            entry.key_values.reserve(begin + len(rows))
            for piece in torch.split(rows, LONGEST_PIECE):
                entry.key_values.append(piece[None])
        except BaseException:
            # An incomplete chunk has no key, and the next chunk would follow it at a wrong position.
            entry.key_values.length = begin
            raise
        entry.keys.append(chunk.key)
        entry.ends.append(entry.key_values.length)
        self.tokens_prefilled += len(rows)

    def _make_room(self, used: _Entry, coming: int) -> None:
        """Drop prefixes, but not the one in use, until so many bytes may come."""
        while self.nbytes + coming > self._max_bytes and self._entries[0] is not used:
            left = (entry for entry in self._entries[:-NEVER_LEFT] if entry.is_left)
            self._entries.remove(next(left, self._entries[0]))
