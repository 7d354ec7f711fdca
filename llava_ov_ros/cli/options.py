"""Types of option values for argparse; each function checks a text and returns its value."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from typing import TypeVar

N = TypeVar("N", int, float)
_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,4})?")


def positive(text: str) -> float:
    """A finite number greater than 0."""
    return _read(text, float, lambda value: 0 < value < math.inf, "a number above 0")


def positive_s(text: str) -> float:
    """A finite number of seconds greater than 0."""
    return _read(text, float, lambda value: 0 < value < math.inf, "a number of seconds above 0")


def not_negative(text: str) -> float:
    """A finite number, at least 0."""
    return _read(text, float, lambda value: 0 <= value < math.inf, "a number, 0 or above")


def not_negative_s(text: str) -> float:
    """A finite number of seconds, at least 0."""
    return _read(text, float, lambda value: 0 <= value < math.inf, "a number of seconds, 0 or above")


def between(low: float, high: float = math.inf) -> Callable[[str], float]:
    """Return a type for finite numbers from `low` to `high`."""
    wanted = f"a number of at least {low:g}" if high == math.inf else f"a number from {low:g} to {high:g}"
    return lambda text: _read(text, float, lambda value: low <= value <= high and value < math.inf, wanted)


def whole(text: str) -> int:
    """A whole number."""
    return _read(text, int, lambda value: True, "a whole number")


def count(text: str) -> int:
    """A whole number, at least 1."""
    return _read(text, int, lambda value: value >= 1, "a whole number from 1")


def whole_between(low: int, high: int) -> Callable[[str], int]:
    """Return a type for whole numbers from `low` to `high`."""
    return lambda text: _read(text, int, lambda value: low <= value <= high, f"a whole number from {low} to {high}")


def device(text: str) -> str:
    """The name of a device; whether the machine has the device is checked when the model is loaded."""
    if not _DEVICE.fullmatch(text):
        raise _refusal(text, "a device: give auto, cpu, cuda or cuda:N")
    return text


def value_range(text: str) -> str:
    """A range of stored values: default, auto, or two numbers such as 0..4095."""
    from ..settings.value_range import check_value_range

    try:
        check_value_range(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _read(text: str, number: Callable[[str], N], is_allowed: Callable[[N], bool], wanted: str) -> N:
    try:
        value = number(text)
    except ValueError:
        raise _refusal(text, wanted) from None
    if not is_allowed(value):
        raise _refusal(text, wanted)
    return value


def _refusal(text: str, wanted: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
