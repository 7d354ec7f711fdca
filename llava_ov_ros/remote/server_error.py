"""The errors of a server, sorted by what can be done about them."""

from __future__ import annotations

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


class ProbeError(CheckpointError):
    """The server cannot be used as a model; the text says why and what to do."""
