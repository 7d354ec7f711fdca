"""Sends a request again, after a pause, where that may help."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .server_error import ServerError

T = TypeVar("T")
FIRST_PAUSE_S = 0.1
"""Pause before a request is sent again, where the server names none; it doubles with each time."""
LONGEST_WAIT_S = 10.0
"""Longest pause that a server may ask for; whoever has to wait longer is better told at once."""


async def repeated(
    attempt: Callable[[], Awaitable[T]], retries: int, may_repeat: Callable[[ServerError], bool] = lambda _: True
) -> T:
    """Make an attempt, and repeat it as often as that may help.

    Args:
        attempt: Sends the request.
        retries: Most repetitions.
        may_repeat: Called with the error before each repetition; False ends the repetitions.

    Raises:
        ServerError: The error of the last attempt.
    """
    pause_s = FIRST_PAUSE_S
    for left in reversed(range(retries + 1)):
        try:
            return await attempt()
        except ServerError as error:
            wait_s = max(pause_s, error.wait_s or 0.0)
            if not (error.again and left and wait_s <= LONGEST_WAIT_S and may_repeat(error)):
                raise
        await asyncio.sleep(wait_s)
        pause_s *= 2
    raise AssertionError("the last attempt returns or raises")
