"""The error of a request that cannot be answered as asked, in contrast to a failure of the model."""

from __future__ import annotations


class AskError(ValueError):
    """The model cannot take this question, for example because the prompt is too long; the message says what to change.

    The model itself is unharmed and answers the next question.
    """
