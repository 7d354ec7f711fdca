"""A question about clips in the form that every engine takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..bounds import check_whole, quoted
from ..frames import Frame
from ..no_op import no_op
from ..settings import DEFAULTS
from .generated import Finish

if TYPE_CHECKING:
    # This layer does without torch, which takes seconds and 200 MB.
    import torch

LEAST_TEMPERATURE = 0.001
"""Least temperature above 0: logits divided by a smaller one overflow float32."""

LogitHook = Callable[[Sequence[int], "torch.Tensor"], "torch.Tensor"]
"""A function of a row's tokens so far and its logits, float32 (vocabulary,), that returns changed logits; -inf forbids
a token."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 takes the most probable token. Otherwise, from LEAST_TEMPERATURE on, the token is sampled after
            the logits were divided by the temperature.
        top_p: Sampling uses only the most probable tokens whose probabilities sum to this share, 0 < top_p <= 1.
        seed: Seed of the row's own random numbers, so that the answer does not depend on other rows of the batch.

    Raises:
        ValueError: A value is outside its range.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature != 0 and not LEAST_TEMPERATURE <= self.temperature < math.inf:
            raise ValueError(
                f"temperature is {self.temperature}: it must be 0 (greedy), or from {LEAST_TEMPERATURE} on and finite"
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: it must be more than 0 and at most 1")


GREEDY = Sampling()


@dataclass(frozen=True)
class Ask:
    """One question about clips; several may be asked about the same clips.

    Attributes:
        question: The user's text; special tokens in it are encoded as text.
        max_new_tokens: Most tokens of the answer.
        on_text: Called with each new piece of text, whole characters only.
        should_stop: Called before the prefill and between tokens; returning "cancelled" or "deadline" ends the answer.
        sampling: How tokens are chosen.
        hook: May change the logits before a token is chosen; None changes nothing. Only the local engine takes one.
        history: Questions and answers of earlier turns about the same clips, oldest first.
        choices: Candidate answers. Their probabilities are compared, and no text is generated or streamed. None
            generates free text.
        before: Texts and pictures before the clips in the first turn. No newlines are then added around the pictures:
            these texts and the question are all there is. Not in mode image, which looks at one picture.
        grammar: Grammar that the answer is held to, in llguidance's variant of Lark's syntax; None: any text.

    Raises:
        ValueError: `max_new_tokens` is no integer of at least 1; `choices` is empty, or has a blank or repeated text;
            or `choices` is combined with a grammar, a hook or a temperature, or a grammar with a hook.
    """

    question: str
    max_new_tokens: int = DEFAULTS.max_new_tokens
    on_text: Callable[[str], None] = no_op
    should_stop: Callable[[], str | None] = no_op
    sampling: Sampling = GREEDY
    hook: LogitHook | None = None
    history: tuple[tuple[str, str], ...] = ()
    choices: tuple[str, ...] | None = None
    before: tuple[str | Frame, ...] = ()
    grammar: str | None = None

    def __post_init__(self) -> None:
        check_whole("max_new_tokens", self.max_new_tokens, 1)
        if self.grammar is not None and self.hook is not None:
            raise ValueError("a grammar changes the logits as a hook does: give one of both")
        if self.choices is None:
            return
        if not self.choices:
            raise ValueError("choices is empty: give the answers that are allowed, or None for any")
        for number, choice in enumerate(self.choices, 1):
            if not choice.strip():
                raise ValueError(f"choice {number} is {quoted(choice)}: each must be a text")
            if choice in self.choices[: number - 1]:
                raise ValueError(f"choice {number} is {quoted(choice)}, which is there already: give each once")
        if self.hook is not None or self.grammar is not None or self.sampling.temperature > 0:
            raise ValueError(
                "choices are compared, not generated: give neither a grammar, a hook nor a temperature with them"
            )


def stop_wish(ask: Ask) -> Finish | None:
    """The reason for which `should_stop` wants the answer to end now, or None.

    Raises:
        ValueError: `should_stop` returned something else than "cancelled", "deadline" or None.
    """
    wish = ask.should_stop()
    if wish == "cancelled":
        return "cancelled"
    if wish == "deadline":
        return "deadline"
    if wish is not None:
        raise ValueError(f"should_stop returned {wish!r}: it must be 'cancelled', 'deadline' or None")
    return None
