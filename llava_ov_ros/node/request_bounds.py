"""Bounds on the fields of a request, so that no request exhausts the node's memory or delays other clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..settings.described import LONGEST_TEXT

LONGEST_TOGETHER = 50_000
"""Most characters of question, history and choices together."""
MOST_HISTORY = 100
MOST_CHOICES, LONGEST_CHOICE = 100, 1000
MOST_CAMERAS = 100
LONGEST_ID = 200


def beyond_bounds(request: Any) -> str:
    """Return which bound a request exceeds, as a text with the value and the bound; empty if none is exceeded.

    Args:
        request: A request of the service or a goal of the action `~/ask`.
    """
    texts = [("question", request.question), *_numbered("text {} of history", request.history)]
    for name, given, most in (
        ("history", request.history, MOST_HISTORY),
        ("choices", request.choices, MOST_CHOICES),
        ("cameras", request.cameras, MOST_CAMERAS),
    ):
        if len(given) > most:
            return f"{name} has {len(given)} texts: allowed are up to {most}"
    for some, longest in (
        (texts, LONGEST_TEXT),
        (_numbered("choice {}", request.choices), LONGEST_CHOICE),
        ([("request_id", request.request_id)], LONGEST_ID),
    ):
        for name, text in some:
            if len(text) > longest:
                return f"{name} has {len(text)} characters: allowed are up to {longest}"
    together = sum(map(len, (request.question, *request.history, *request.choices)))
    if together > LONGEST_TOGETHER:
        return (
            f"question, history and choices have {together} characters together: allowed are up to {LONGEST_TOGETHER}"
        )
    return ""


def _numbered(name: str, texts: Iterable[str]) -> list[tuple[str, str]]:
    return [(name.format(number), text) for number, text in enumerate(texts, 1)]
