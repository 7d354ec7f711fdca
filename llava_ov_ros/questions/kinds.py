"""Questions about a scene whose answers are typed: yes or no, a number, one of given choices, a phrase, free text.

Where the possible answers are known, the model generates no text: the probabilities that it gives to these answers are
compared, and the confidence is the probability of the best among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from string import ascii_uppercase

from ..asking import Generated
from ..bounds import check_whole, quoted, shown
from ..settings import DEFAULTS
from .marks import says
from .prompts import LISTED, Kind, Prompts

PHRASE_TOKENS = 16
AnswerValue = bool | int | str | None


@dataclass(frozen=True)
class SceneQuestion:
    """A question and the kind of its answer.

    Attributes:
        kind: Type of the answer.
        text: The question in words; may be empty for kind change, for which the prompts have a text.
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
    """A candidate answer: the text scored by the model, the typed value that the text maps to, and its label."""

    said: str
    value: AnswerValue
    label: str


@dataclass(frozen=True)
class Shaped:
    """A question in the words of the model's prompts, with its candidate answers.

    Attributes:
        question: The question; one of kind change without a text of its own has that of the prompts.
        prompt: Text of the question for the model.
        options: Candidate answers; empty where text is generated.
        max_new_tokens: Longest generated text.
        cannot_tell: Answer of the model where the pictures do not show it; None: it has no such answer.
    """

    question: SceneQuestion
    prompt: str
    options: tuple[Option, ...]
    max_new_tokens: int
    cannot_tell: str | None

    @property
    def choices(self) -> tuple[str, ...] | None:
        """Texts of the candidate answers, for `Engine.ask`; None where text is generated."""
        return tuple(option.said for option in self.options) or None


@dataclass(frozen=True)
class SceneAnswer:
    """A typed answer.

    Attributes:
        kind: Type of the answer, as asked.
        text: The answer in words: a choice as the asker wrote it, otherwise in the words of the prompts or the model.
        value: True or False for kinds yes_no and change, a number for count, the text for the others; None where the
            model cannot tell, or where the question was cancelled or ran out of time.
        confidence: Where answers were compared, the probability of this one among them; else the geometric mean of
            the token probabilities; 0 where there is no answer.
        probabilities: Probability of each candidate by its text; they sum to one. None where text was generated.
        generated: The engine's output, with frames, times and the reason why the text ended.
    """

    kind: Kind
    text: str
    value: AnswerValue
    confidence: float
    probabilities: Mapping[str, float] | None
    generated: Generated


def shape(question: SceneQuestion, prompts: Prompts, max_new_tokens: int = DEFAULTS.max_new_tokens) -> Shaped:
    """Put a question in the words of the model's prompts.

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
    return Shaped(replace(question, text=text), text + added, tuple(options), longest, prompts.cannot_tell)


def _options(question: SceneQuestion, prompts: Prompts) -> list[Option]:
    """The candidate answers of a question; none where text is generated."""
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
    """Turn the engine's output into an answer of the question's kind."""
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
