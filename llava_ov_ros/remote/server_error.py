"""The errors of a server, sorted by what can be done about them, and what a server sent as text for a message."""

from __future__ import annotations

from ..bounds import MOST_CITED, MOST_SHOWN
from ..checkpoints import CheckpointError


class ServerError(RuntimeError):
    """The server did not answer a request; the text says what happened.

    Attributes:
        status: HTTP status of the response or of the error inside; 0: there is none.
        again: Whether the same request, sent again, may be answered.
        is_down: Whether the server, rather than this request, is at fault.
        wait_s: How long the server asks to wait before the next request, in seconds; None: it does not say.
    """

    def __init__(
        self,
        text: str,
        *,
        status: int = 0,
        again: bool = False,
        is_down: bool = False,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.again = again
        self.is_down = is_down
        self.wait_s = wait_s


class NoResponseError(ServerError):
    """The server gave no response, and will hardly give one soon: it is silent, or its certificate is not trusted."""


class ClosedError(ServerError):
    """The engine was closed before the question was answered."""

    def __init__(self) -> None:
        super().__init__("the engine has been closed, and asks its server no more")


class ProbeError(CheckpointError):
    """The server cannot be used as a model; the text says why and what to do."""


def cited(sent: object, most: int = MOST_CITED) -> str:
    """What a server sent, for a message: one line without control characters, of at most `most` characters."""
    try:
        text = sent if isinstance(sent, str) else repr(sent)
    except RecursionError:
        text = f"deeply nested {type(sent).__name__}"
    # The rest cannot be shown anyway, and may be megabytes.
    text = text[: 4 * MOST_SHOWN]
    text = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def only_characters(text: str) -> str:
    """A text without halves of surrogate pairs, which JSON can name and neither UTF-8 nor a message can hold."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
