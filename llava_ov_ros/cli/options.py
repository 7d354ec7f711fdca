"""What the values of options may be, for argparse."""

from __future__ import annotations

import argparse
import math


def number(text: str) -> float:
    """A finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    if (value := number(text)) <= 0:
        raise argparse.ArgumentTypeError(f"{text} must be more than 0")
    return value


def not_negative(text: str) -> float:
    """A number, 0 or above."""
    if (value := number(text)) < 0:
        raise argparse.ArgumentTypeError(f"{text} must be 0 or more")
    return value


def count(text: str) -> int:
    """A whole number from 1."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return value


def value_range(text: str) -> str:
    """A range of stored values: default, auto, or two numbers such as 0..4095."""
    from ..frames.value_range import check_value_range

    try:
        check_value_range(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
