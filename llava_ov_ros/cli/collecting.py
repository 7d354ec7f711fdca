"""Keeps Python's garbage collector from looking through the model's libraries again and again."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing_torch() -> Iterator[None]:
    """Import the model's libraries in the `with` block; the collector passes over their objects from then on.

    They are half a million objects that stay. Looking for garbage among them takes a sixth of the time of their import,
    and as long as a third of it when the process ends. Where torch was imported before, nothing changes: what would be
    passed over then could be a model that has served its time.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
