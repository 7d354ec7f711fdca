"""What the values of options may be, for argparse."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable

_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,4})?")


def positive(text: str) -> float:
    """A finite number above 0."""
    return _number(text, lambda value: value > 0, "a number above 0")


def positive_s(text: str) -> float:
    """Finite seconds above 0."""
    return _number(text, lambda value: value > 0, "a number of seconds above 0")


def not_negative(text: str) -> float:
    """A finite number, 0 or above."""
    return _number(text, lambda value: value >= 0, "a number, 0 or above")


def not_negative_s(text: str) -> float:
    """Finite seconds, 0 or above."""
    return _number(text, lambda value: value >= 0, "a number of seconds, 0 or above")


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise _refusal(text, "a whole number") from None


def count(text: str) -> int:
    """A whole number from 1."""
    wanted = "a whole number from 1"
    try:
        value = int(text)
    except ValueError:
        raise _refusal(text, wanted) from None
    if value < 1:
        raise _refusal(text, wanted)
    return value


def device(text: str) -> str:
    """The name of a device; whether the machine has it is seen when the model is loaded."""
    if not _DEVICE.fullmatch(text):
        raise _refusal(text, "a device: give auto, cpu, cuda or cuda:N")
    return text


def value_range(text: str) -> str:
    """A range of stored values: default, auto, or two numbers such as 0..4095."""
    from ..frames.value_range import check_value_range

    try:
        check_value_range(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _number(text: str, is_allowed: Callable[[float], bool], wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _refusal(text, wanted) from None
    if not math.isfinite(value) or not is_allowed(value):
        raise _refusal(text, wanted)
    return value


def _refusal(text: str, wanted: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
