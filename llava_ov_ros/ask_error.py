"""The mistake of whoever asks, told apart from a model that fails; for layers that know no model, too."""

from __future__ import annotations


class AskError(ValueError):
    """A question that the model cannot take as it is asked; the text says what to change.

    The model is well, and answers the next question.
    """
