"""The model's answer with its probabilities, and the check that a visual mode fits the clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..ask_error import AskError
from ..frames import Clip
from ..modes import MODES, Mode


def checked_mode(clips: Sequence[Clip], mode: str) -> Mode:
    """Check that a mode exists and fits the clips, and return it.

    Raises:
        ValueError: The mode is unknown, or there is no clip.
        AskError: The mode is image, which looks at one camera, and there are clips of several.
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
"""Why generation ended: an end token, the longest answer allowed, or `should_stop` between two tokens."""


@dataclass(frozen=True)
class Choice:
    """One candidate answer with its probability.

    Attributes:
        text: The answer.
        log_probability: Natural logarithm of the probability that the model writes exactly this text (in the
            tokenizer's encoding) and ends there. The prompt does not tell the model the choices.
        probability: The probability normalised over the choices: those of all choices sum to 1.
    """

    text: str
    log_probability: float
    probability: float


class NotFiniteError(ArithmeticError):
    """The model's logits are not finite, so there is no answer."""

    def __init__(self, place: str, dtype: str) -> None:
        remedy = (
            "load it with dtype bfloat16 or float32, whose numbers reach further"
            if dtype == "float16"
            else "its weights are damaged: get the checkpoint again"
        )
        super().__init__(f"the model's logits are not finite in {dtype} ({place}): {remedy}")


def weighed(texts: Sequence[str], log_probabilities: Sequence[float]) -> tuple[Choice, ...]:
    """Choices with their normalised probabilities: the softmax of the log probabilities, in float64."""
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
        text: The answer, without end tokens.
        token_ids: The tokens of the text.
        probabilities: Probability of each token at its step, 0 to 1, always at temperature 1. If a hook changed the
            logits, the probabilities are those of the changed logits: a token to which a grammar leaves no alternative
            has 1. The checkpoint's rules against repetition influence the choice of tokens, but not the probabilities.
        finish: Why the answer ended.
        prompt_tokens: Tokens of the prompt, including visual tokens.
        time_to_first_token_s: Seconds from the call to the first token.
        total_s: Seconds from the call to the end.
        clips: The frames that the answer rests on; fewer than the caller gave if memory ran out.
        remark: A remark for the caller, such as that frames were left out; mostly empty.
        end_probability: Probability of the end after the last token; None if the answer did not end by itself.
        choices: The candidate answers in the caller's order; empty if text was generated.
        model: Name of the model that answered in the place of the engine's own; empty: the engine's own.

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
    model: str = ""

    def __post_init__(self) -> None:
        ends = () if self.end_probability is None else (self.end_probability,)
        numbers = (*self.probabilities, *ends, *(choice.probability for choice in self.choices))
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"probabilities of an answer must be finite, and they are {numbers}"[:200])

    @property
    def new_tokens(self) -> int:
        """Number of tokens of the text, as far as it is known: a server may tell neither tokens nor probabilities."""
        return max(len(self.token_ids), len(self.probabilities))

    @property
    def log_probabilities(self) -> tuple[float, ...]:
        """Natural logarithms of the probabilities."""
        return tuple(math.log(p) if p > 0 else -math.inf for p in self.probabilities)

    @property
    def confidence(self) -> float:
        """Confidence of the model in the answer, 0 to 1.

        With choices it is the normalised probability of the chosen one. Otherwise it is the geometric mean of the token
        probabilities, or 0 without tokens. Under a grammar it compares only texts that the grammar allows, and does not
        tell whether the model would have written such a text without the grammar.
        """
        if self.choices:
            return max(choice.probability for choice in self.choices)
        if not self.probabilities or min(self.probabilities) <= 0:
            return 0.0
        return math.exp(sum(map(math.log, self.probabilities)) / len(self.probabilities))
