"""What comes back from the model, and whether a visual mode fits the clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..ask_error import AskError
from ..frames import Clip
from ..modes import MODES, Mode


def checked_mode(clips: Sequence[Clip], mode: str) -> Mode:
    """The mode, where it exists and fits the clips.

    Raises:
        ValueError: There is no such mode, or no clip.
        AskError: The mode looks at one camera.
    """
    if not clips:
        raise ValueError("a question needs the clip of at least one camera")
    found = next((known for known in MODES if known == mode), None)
    if found is None:
        raise ValueError(f"mode is {mode!r}: allowed are {', '.join(MODES)}")
    if found == "image" and len(clips) != 1:
        names = ", ".join(clip.camera for clip in clips)
        raise AskError(
            f"mode image looks at one camera in most detail, not at {len(clips)} ({names}): "
            "name one camera, or use mode multi_image"
        )
    return found


Finish = Literal["stop", "length", "cancelled", "deadline"]
"""Why generation ended: the model's end token, the longest answer allowed, or the caller's wish between tokens."""


@dataclass(frozen=True)
class Choice:
    """One of the answers that were allowed.

    Attributes:
        text: The answer.
        log_probability: Natural logarithm of the probability that the model, which knows nothing of the other
            choices, writes just this text (in the tokenizer's way of writing it) and ends there.
        probability: The same, among the choices: those of all choices sum to one.
    """

    text: str
    log_probability: float
    probability: float


class NotFiniteError(ArithmeticError):
    """The model computed numbers that are not finite: whatever would be read from them is no answer."""

    def __init__(self, place: str, dtype: str) -> None:
        remedy = (
            "load it with dtype bfloat16 or float32, whose numbers reach further"
            if dtype == "float16"
            else "its weights are damaged: get the checkpoint again"
        )
        super().__init__(f"the model's logits are not finite in {dtype} ({place}): {remedy}")


def weighed(texts: Sequence[str], log_probabilities: Sequence[float]) -> tuple[Choice, ...]:
    """Choices with their probabilities: the softmax of the logarithms, exact in float64."""
    best = max(log_probabilities)
    weights = [math.exp(value - best) for value in log_probabilities]
    total = math.fsum(weights)
    return tuple(
        Choice(text, value, weight / total)
        for text, value, weight in zip(texts, log_probabilities, weights, strict=True)
    )


@dataclass(frozen=True)
class Generated:
    """One generated or chosen answer.

    Attributes:
        text: The answer; end tokens are not part of it.
        token_ids: The tokens of the text.
        probabilities: Of each of these tokens, at its step, 0 to 1; at temperature 1, whatever was sampled with.
            Where a hook changed the logits, of what it left: a token that a grammar leaves no choice about has 1. Rules
            of the checkpoint against repetition decide which token is taken, not how probable the model finds it.
        finish: Why it ended.
        prompt_tokens: Length of the prompt, visual tokens included.
        time_to_first_token_s: From the call to the first token.
        total_s: From the call to the end.
        clips: The frames that the answer rests on; fewer than were given where memory ran out.
        remark: What the caller should know about the answer; mostly empty.
        end_probability: Of ending after the last token; None where the answer did not end by itself.
        choices: The answers that were allowed, in the order in which they were given; empty where text was free.

    Raises:
        ValueError: A probability is not finite.
    """

    text: str
    token_ids: tuple[int, ...]
    probabilities: tuple[float, ...]
    finish: Finish
    prompt_tokens: int
    time_to_first_token_s: float
    total_s: float
    clips: tuple[Clip, ...] = ()
    remark: str = ""
    end_probability: float | None = None
    choices: tuple[Choice, ...] = ()

    def __post_init__(self) -> None:
        ends = () if self.end_probability is None else (self.end_probability,)
        numbers = (*self.probabilities, *ends, *(choice.probability for choice in self.choices))
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"probabilities of an answer must be finite, and they are {numbers}"[:200])

    @property
    def log_probabilities(self) -> tuple[float, ...]:
        """Natural logarithms of the probabilities."""
        return tuple(math.log(p) if p > 0 else -math.inf for p in self.probabilities)

    @property
    def confidence(self) -> float:
        """How sure the model is, 0 to 1.

        Of an answer chosen among given ones, its probability among them. Else the geometric mean of the token
        probabilities, 0 where there is no token; under a grammar it says how sure the model is among what the
        grammar allows, not whether it would have said such a thing by itself.
        """
        if self.choices:
            return max(choice.probability for choice in self.choices)
        if not self.probabilities or min(self.probabilities) <= 0:
            return 0.0
        return math.exp(sum(map(math.log, self.probabilities)) / len(self.probabilities))
