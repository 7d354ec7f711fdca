"""The parameters, prompts, vocabulary and worker that requests are served with, always replaced together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ..settings import Settings
from .words import Words
from .worker import Worker


@dataclass(frozen=True)
class Configured:
    """The parameters, prompts, vocabulary and worker of one moment.

    A server takes the current `Configured` when a request arrives, and serves the whole request with it: values of one
    moment fit together, values of two moments may not.

    Attributes:
        settings: The values of all parameters.
        words: The prompts and the vocabulary that the parameters name; None while the node is not configured.
        worker: The thread that answers; None while the node is not active.
    """

    settings: Settings
    words: Words | None = None
    worker: Worker | None = None


class Configuration:
    """Holds the current `Configured`. Any thread may read and replace the `Configured`."""

    def __init__(self, settings: Settings) -> None:
        """Hold the `Configured` of an unconfigured node.

        Args:
            settings: The values of the parameters at the node's start.
        """
        self._lock = threading.Lock()
        self._now = Configured(settings)

    @property
    def now(self) -> Configured:
        """The current `Configured`; reading waits for a change that is being made."""
        with self._lock:
            return self._now

    def change(self, changed: Callable[[Configured], Configured]) -> tuple[Configured, Configured]:
        """Replace the current `Configured`. Two changes never overlap, so that neither undoes the other.

        Args:
            changed: Makes the new `Configured` from the old one. If `changed` raises, the old one stays and the error
                is raised here. `changed` must not read this `Configuration`: that would wait for ever.

        Returns:
            The old `Configured` and the new one.
        """
        with self._lock:
            before = self._now
            self._now = changed(before)
            return before, self._now
