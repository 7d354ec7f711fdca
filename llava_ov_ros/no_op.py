"""The callback of a caller who does not want to be called."""

from __future__ import annotations


def no_op(*_: object) -> None:
    """Do nothing: whatever it is called with, it returns None."""
