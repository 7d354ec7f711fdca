"""Reads why a server refuses a request, or why it cannot be reached."""

from __future__ import annotations

import math
import os
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ..bounds import MOST_CITED, MOST_SHOWN
from .server_error import ServerError, cited

LONGEST_WAIT_S = 3600.0
BUSY = (429, 503)
"""HTTP statuses of a server that works, but has no room now."""
FAILING = (500, 502, 504, 529)
"""HTTP statuses of a server, or of a proxy before it, that does not work now."""
TLS_ERRORS = ("CERTIFICATE_VERIFY_FAILED",)
"""Names in errors of OpenSSL that the same request, sent again, meets again."""
LEAST_STATUS = 300
MOST_STATUS = 599


def refusal(status: int, found: object, wait_s: float | None = None) -> ServerError:
    """The error of a response, or of an event, with an error inside.

    Args:
        status: HTTP status.
        found: What was sent: an object as OpenAI's, `{"error": {"message": ...}}`, or anything else.
        wait_s: How long the server asks to wait.
    """
    error = (found.get("error") or found) if isinstance(found, dict) else found
    said = error.get("message", error) if isinstance(error, dict) else error
    # The sentence of an API is shown longer than that of whatever else is at an address, which somebody may only want
    # to look into.
    is_message = isinstance(said, str) and said is not found
    text = f"the server says {status}: {cited(said, MOST_SHOWN if is_message else MOST_CITED)}"
    if status in (401, 403):
        text += "; remote_key_file names the file with the key"
    if wait_s:
        text += f"; it asks to wait {wait_s:.0f} s"
    return ServerError(
        text,
        status=status,
        again=status in BUSY or status in FAILING,
        is_down=status in FAILING or status == 503,
        wait_s=wait_s,
    )


def status_in(found: Mapping[str, Any]) -> int:
    """The HTTP status that an object with an error names; 500 if it names none."""
    error = found.get("error") or found
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and LEAST_STATUS <= code <= MOST_STATUS else 500


def seconds_to_wait(header: str | None) -> float | None:
    """The seconds of a header Retry-After, which holds a number or a date (RFC 9110, 10.2.3); None: neither."""
    try:
        seconds = float(header or "")
    except ValueError:
        try:
            at = parsedate_to_datetime(header or "")
            seconds = (at.astimezone(UTC) - datetime.now(UTC)).total_seconds()
        except (ValueError, OverflowError):
            return None
        seconds = max(seconds, 0.0)
    return min(seconds, LONGEST_WAIT_S) if seconds >= 0 and math.isfinite(seconds) else None


def reason_of(error: BaseException) -> str:
    """Why a connection failed, in the words of the system where it has any: those of the layers above say less."""
    first = error
    seen = 0
    while (inner := error.__cause__ or error.__context__) is not None and seen < 10:
        error, seen = inner, seen + 1
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, OSError) and error.strerror:
            # Those of TLS and of names have numbers of their own; asyncio has sentences of its own for the others.
            number = None if isinstance(error, ssl.SSLError | socket.gaierror) else error.errno
            return cited(os.strerror(number) if number else error.strerror, MOST_SHOWN)
    text = str(first)
    return cited(f"{type(first).__name__}: {text}" if text else type(first).__name__, MOST_SHOWN)
