"""What a remote engine counts, for the diagnostics."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteCounters:
    """The engine's work since it was made, and what is known of the server.

    Attributes:
        server: Address of the server.
        capabilities: What the server can do; empty until it has been asked.
        lacking: What the server cannot do, with the reasons; empty if there is nothing.
        server_requests: Requests sent, repetitions included.
        server_retries: Requests sent again.
        server_failures: Requests that the server did not answer.
        server_answers: Questions answered.
        bytes_sent: Bytes of the requests' bodies.
        pictures_encoded: Frames encoded as pictures.
        pictures_reused: How often a frame's picture was there already.
        left_alone: Whether the server is left alone, because it keeps failing: yes or no.
    """

    server: str
    capabilities: str
    lacking: str
    server_requests: int
    server_retries: int
    server_failures: int
    server_answers: int
    bytes_sent: int
    pictures_encoded: int
    pictures_reused: int
    left_alone: str


class Counts:
    """Numbers that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str, number: int) -> None:
        """Add to the count of a name."""
        with self._lock:
            self._counts[name] += number

    def __getitem__(self, name: str) -> int:
        with self._lock:
            return self._counts[name]
