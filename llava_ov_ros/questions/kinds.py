"""Questions about a scene whose answers are typed: yes or no, a number, one of given choices, a phrase, free text.

Where the answers that make sense are known, nothing is generated: the model's probabilities of these answers are
compared, so that the confidence is a probability among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any, Protocol

from ..bounds import check_whole, quoted, shown
from ..frames import Clip
from ..settings import DEFAULTS
from .marks import says
from .prompts import LISTED, Kind, Prompts

if TYPE_CHECKING:
    # The engine's module imports torch, which this layer does without.
    from ..onevision import Generated

PHRASE_TOKENS = 16
Value = bool | int | str | None


class AsksWithChoices(Protocol):
    """What is needed of an engine; `onevision.Engine` is one."""

    def ask(
        self,
        question: str,
        *,
        max_new_tokens: int,
        on_text: Callable[[str], None],
        should_stop: Callable[[], str | None],
        choices: Sequence[str] | None,
    ) -> Any:
        """One question, in the form that `stream` takes; with choices, they are compared."""
        ...

    def stream(
        self, clips: Sequence[Clip], asks: Sequence[Any], *, mode: str
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answer several questions about the same clips; yields number and outcome as they end."""
        ...


@dataclass(frozen=True)
class SceneQuestion:
    """A question, and what kind of answer it wants.

    Attributes:
        kind: Of the answer.
        text: As a person asks it; may be empty for kind change, which has a text of its own.
        choices: The answers to choose from, for kind choice only.

    Raises:
        ValueError: Text or choices do not fit the kind.
    """

    kind: Kind
    text: str = ""
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.text.strip() and self.kind != Kind.CHANGE:
            raise ValueError(f"a question of kind {self.kind} needs a text")
        if self.kind != Kind.CHOICE:
            if self.choices:
                raise ValueError(f"a question of kind {self.kind} has no choices of its own: give kind {Kind.CHOICE}")
            return
        if len(self.choices) < 2:
            raise ValueError(f"choices are {shown(str(list(self.choices)))}: give at least two to choose from")
        for number, choice in enumerate(self.choices):
            if not choice.strip() or choice in self.choices[:number]:
                raise ValueError(f"choice {number + 1} is {quoted(choice)}: each must be a text, and be there once")


@dataclass(frozen=True)
class Option:
    """An answer that is compared: what the model would say, what it stands for, and how that is called."""

    said: str
    value: Value
    label: str


@dataclass(frozen=True)
class Shaped:
    """A question as the model gets it.

    Attributes:
        question: As it was asked.
        prompt: What the model is asked.
        options: The answers that are compared; empty where text is generated.
        max_new_tokens: Longest text.
        cannot_tell: What the model says where the pictures do not show it, or None.
    """

    question: SceneQuestion
    prompt: str
    options: tuple[Option, ...]
    max_new_tokens: int
    cannot_tell: str | None

    @property
    def choices(self) -> tuple[str, ...] | None:
        """What is compared, for `Engine.ask`; None where text is generated."""
        return tuple(option.said for option in self.options) or None


@dataclass(frozen=True)
class SceneAnswer:
    """A typed answer.

    Attributes:
        kind: Of the question.
        text: The answer in words: a choice as it was given, else as the set of prompts or the model has it.
        value: True or False for kinds yes_no and change, a number for count, the text for the others; None where the
            model cannot tell, or where the question was cancelled or ran out of time.
        confidence: Where answers were compared, the probability of this one among them; else the geometric mean of
            the token probabilities; 0 where there is no answer.
        probabilities: Of all answers that were compared, by their texts; they sum to one. None where text was free.
        generated: What the model gave: frames, times, why it ended, remarks.
    """

    kind: Kind
    text: str
    value: Value
    confidence: float
    probabilities: Mapping[str, float] | None
    generated: Generated


def shape(question: SceneQuestion, prompts: Prompts, max_new_tokens: int = DEFAULTS.max_new_tokens) -> Shaped:
    """How a question is put to the model.

    Args:
        question: The question.
        prompts: For the model's family.
        max_new_tokens: Longest free text; a phrase has at most PHRASE_TOKENS.

    Raises:
        ValueError: There are more choices than letters to list them with, or max_new_tokens is no whole number from 1.
    """
    check_whole("max_new_tokens", max_new_tokens, 1)
    kind = question.kind
    added = prompts.add.get(kind, "")
    text = question.text if question.text.strip() else prompts.change
    options = _options(question, prompts)
    if LISTED in added:
        if len(options) > len(ascii_uppercase):
            raise ValueError(f"there are {len(options)} choices: prompts {prompts.name!r} list at most 26")
        options = [Option(letter, one.value, one.label) for letter, one in zip(ascii_uppercase, options, strict=False)]
        added = added.replace(LISTED, "\n".join(f"{one.said}. {one.label}" for one in options))
    longest = min(max_new_tokens, PHRASE_TOKENS) if kind == Kind.PHRASE else max_new_tokens
    return Shaped(question, text + added, tuple(options), longest, prompts.cannot_tell)


def _options(question: SceneQuestion, prompts: Prompts) -> list[Option]:
    """The answers that are compared."""
    options: list[Option] = []
    if question.kind in (Kind.YES_NO, Kind.CHANGE):
        options = [Option(word, value, word) for word, value in zip(prompts.yes_no, (True, False), strict=True)]
    elif question.kind == Kind.COUNT:
        options = [Option(word, number, word) for number, word in enumerate(prompts.numbers)]
    elif question.kind == Kind.CHOICE:
        options = [Option(word, word, word) for word in question.choices if word != prompts.cannot_tell]
    if options and prompts.cannot_tell is not None:
        options.append(Option(prompts.cannot_tell, None, prompts.cannot_tell))
    return options


def read_answer(shaped: Shaped, generated: Generated) -> SceneAnswer:
    """What the model gave, as an answer of the question's kind."""
    kind = shaped.question.kind
    if not shaped.options:
        cut_short = generated.finish in ("cancelled", "deadline")
        value = None if cut_short or says(generated.text, shaped.cannot_tell) else generated.text
        return SceneAnswer(kind, generated.text, value, generated.confidence, None, generated)
    if not generated.choices:
        return SceneAnswer(kind, "", None, 0.0, None, generated)
    found = next(option for option in shaped.options if option.said == generated.text)
    probabilities = {
        option.label: choice.probability for option, choice in zip(shaped.options, generated.choices, strict=True)
    }
    return SceneAnswer(kind, found.label, found.value, generated.confidence, probabilities, generated)


def _never() -> str | None:
    return None


def _ignore(_: int, __: str) -> None:
    return None


def answer_questions(
    questions: Sequence[SceneQuestion],
    clips: Sequence[Clip],
    engine: AsksWithChoices,
    prompts: Prompts,
    *,
    mode: str = DEFAULTS.visual_mode,
    max_new_tokens: int = DEFAULTS.max_new_tokens,
    on_text: Callable[[int, str], None] = _ignore,
    should_stop: Callable[[], str | None] = _never,
) -> Iterator[tuple[int, SceneAnswer | Exception]]:
    """Asks several questions about the same clips together.

    Args:
        questions: What to ask.
        clips: One per camera.
        engine: The model.
        prompts: For its family.
        mode: How frames become visual tokens.
        max_new_tokens: Longest free text.
        on_text: Called with a question's number and each new piece of its free text.
        should_stop: Asked between tokens: "cancelled", "deadline" or None.

    Yields:
        Number of the question, and its answer or why there is none, as they end.

    Raises:
        ValueError: A question cannot be put to this model, or the engine refuses the request.
    """
    shaped = [shape(question, prompts, max_new_tokens) for question in questions]
    asks = [
        engine.ask(
            one.prompt,
            max_new_tokens=one.max_new_tokens,
            on_text=lambda piece, number=number: on_text(number, piece),  # type: ignore[misc]
            should_stop=should_stop,
            choices=one.choices,
        )
        for number, one in enumerate(shaped)
    ]
    for number, outcome in engine.stream(clips, asks, mode=mode):
        yield number, outcome if isinstance(outcome, Exception) else read_answer(shaped[number], outcome)
