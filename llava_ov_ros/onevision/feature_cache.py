"""A cache of frames' visual tokens, and the keys by which it knows frames."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable

import torch

from ..frames import Frame


class FrameIds:
    """Gives every frame object a number that is never reused, without keeping the frame alive."""

    def __init__(self) -> None:
        self._numbers: weakref.WeakKeyDictionary[Frame, int] = weakref.WeakKeyDictionary()
        self._next = 0

    def of(self, frame: Frame) -> int:
        """The frame's number. A frame's picture never changes, so equal numbers mean equal pixels."""
        number = self._numbers.get(frame)
        if number is None:
            number = self._numbers[frame] = self._next
            self._next += 1
        return number


class FeatureCache:
    """Cache of tensors by key, limited to `max_bytes`; the least recently used are dropped first."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, torch.Tensor] = OrderedDict()
        self.nbytes = 0
        self.hits = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def get(self, key: Hashable, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The tensor of a key; it is computed, and kept if it fits, if the cache lacks it."""
        found = self._entries.get(key)
        if found is not None:
            self.hits += 1
            self._entries.move_to_end(key)
            return found
        made = compute()
        if made.nbytes <= self.max_bytes:
            self._entries[key] = made
            self.nbytes += made.nbytes
            while self.nbytes > self.max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self.nbytes -= dropped.nbytes
        return made

    def touch(self, keys: Iterable[Hashable]) -> None:
        """Mark the tensors of some keys as the most recently used, where the cache has them."""
        for key in keys:
            if key in self._entries:
                self._entries.move_to_end(key)

    def clear(self) -> None:
        """Drop all tensors."""
        self._entries.clear()
        self.nbytes = 0
