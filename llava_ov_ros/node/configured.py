"""What the node serves requests with: parameters, prompts, vocabulary and worker, always replaced together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ..settings import Settings
from .words import Words
from .worker import Worker


@dataclass(frozen=True)
class Configured:
    """What the node serves a request with at one moment.

    Whoever serves a request takes one of these when the request arrives and uses no other one for it: parameters,
    prompts and worker of one moment fit together, those of two moments may not.

    Attributes:
        settings: The values of all parameters.
        words: The prompts and the vocabulary that the parameters name; None while the node is not configured.
        worker: The thread that answers; None while the node is not active.
    """

    settings: Settings
    words: Words | None = None
    worker: Worker | None = None


class Configuration:
    """Holds the `Configured` of now. Any thread may read and replace it."""

    def __init__(self, settings: Settings) -> None:
        """Hold what an unconfigured node has.

        Args:
            settings: The values that the node was started with.
        """
        self._lock = threading.Lock()
        self._now = Configured(settings)

    @property
    def now(self) -> Configured:
        """What the next request is served with; waits for a change that is being made."""
        with self._lock:
            return self._now

    def change(self, changed: Callable[[Configured], Configured]) -> tuple[Configured, Configured]:
        """Replace the whole. Two changes never overlap, so that neither undoes the other.

        Args:
            changed: Makes the new one from the old one. What it raises is raised here, and the old one stays. It must
                not read this object.

        Returns:
            The old one and the new one.
        """
        with self._lock:
            before = self._now
            self._now = changed(before)
            return before, self._now
