"""Decomposes a goal into numbered sentences in the model's own words. These are no plan: nothing can validate them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...asking import Generated
from ...questions.chinese_numerals import CHARACTERS, numeral
from ...questions.marks import says
from ...questions.prompts import Prompts, filled
from .plan_prompt import PlanAsk, goal_text
from .results import decided_confidence, text_probability

MOST_SENTENCES = 9
"""Most sentences of a decomposition; published ones have fewer than ten."""
DECOMPOSE_TOKENS = 256
_OUTER_SIGNS = re.compile(r"^\W+|\W+$")
_DIGITS = r"(?P<digits>\d{1,2})"
_NUMERAL = rf"(?P<numeral>\d{{1,2}}|[{CHARACTERS}]{{1,3}})"
_NUMBER = re.compile(
    rf"(?:^|(?<=\s))(?:step )?{_DIGITS}\s?[.):]\s+(?=\S)"
    # Chinese numbering: 1、 一、 （一） 第一步： 步骤1：, with no blank before or after.
    rf"|(?:^|(?<=[\s。；;，,]))(?:[（(]{_NUMERAL}[）)]|第{_NUMERAL.replace('numeral', 'step')}步\s?[:：,，、]?"
    rf"|(?:步骤)?{_NUMERAL.replace('numeral', 'item')}\s?[、：．）])\s*(?=\S)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Decomposition:
    """The steps to a goal in a model's own words; nothing has validated them.

    Attributes:
        goal: The goal in a person's words.
        sentences: The steps, without their numbers.
        cannot_tell: Whether the model answered that it cannot tell; there are no sentences then.
        unread: Parts of the answer that are no numbered step, each with the reason; also an end that was cut off.
        confidence: Geometric mean of the probabilities of the tokens below 1, including the end token; 0 if nothing was
            generated.
        probability: Probability of the whole text including its end, under the distribution that was decoded from.
        text: The model's text.
    """

    goal: str
    sentences: tuple[str, ...]
    cannot_tell: bool
    unread: tuple[str, ...]
    confidence: float
    probability: float
    text: str


def decompose_ask(goal: str, prompts: Prompts) -> PlanAsk:
    """The request for the steps to a goal in the model's own words.

    Raises:
        GoalTextError: The goal is empty or too long.
    """
    return PlanAsk(filled(prompts.planning.decompose, {"{goal}": goal_text(goal)}), None, DECOMPOSE_TOKENS)


def read_decomposition(generated: Generated, goal: str, prompts: Prompts) -> Decomposition:
    """Read the model's answer to `decompose_ask`. No text makes this raise.

    Steps must be numbered 1, 2, 3, ..., one or several on a line; at most MOST_SENTENCES are read.
    """
    text = generated.text.strip()
    sentences: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    cannot_tell = says(text, prompts.cannot_tell)
    if not cannot_tell:
        headings = _headings(prompts.planning.decompose)
        sentences, unread = _read(generated.text, headings, cut_off=generated.finish != "stop")
    return Decomposition(
        goal,
        sentences,
        cannot_tell,
        unread,
        decided_confidence(generated),
        text_probability(generated),
        generated.text,
    )


def _headings(template: str) -> re.Pattern[str]:
    """Pattern of the prompt's own lines, such as `High-Level Task: ...`, which models repeat in their answer."""
    lines = [(_OUTER_SIGNS.sub("", line.partition("{goal}")[0]), "{goal}" in line) for line in template.split("\n")]
    forms = [re.escape(line) + (r"\b.*" if goal else r"\W*") for line, goal in lines if line]
    return re.compile(rf"\W*(?:{'|'.join(forms)})", re.IGNORECASE) if forms else re.compile(r"(?!)")


def _read(text: str, headings: re.Pattern[str], cut_off: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The sentences and the parts that were not read; the last line of a text that was cut off counts as not read."""
    rest = ""
    if cut_off:
        text, _, rest = text.rpartition("\n")
    sentences: list[str] = []
    unread: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if headings.fullmatch(line):
            continue
        begin = _next(line, 0, len(sentences) + 1)
        if begin is None or begin.start() > 0:
            unread.append(f"{line!r} is no step with the number {len(sentences) + 1}")
            continue
        while begin is not None:
            following = _next(line, begin.end(), _number(begin) + 1)
            sentence = line[begin.end() : following.start() if following else None].strip()
            if not sentence:
                unread.append(f"{line!r} has no text for the step {_number(begin)}")
                break
            if len(sentences) == MOST_SENTENCES:
                unread.append(f"{line[begin.start() :]!r} comes after {MOST_SENTENCES} steps")
                break
            sentences.append(sentence)
            begin = following
    if cut_off:
        unread.append(f"{rest.strip()!r} was cut off")
    return tuple(sentences), tuple(unread)


def _next(line: str, position: int, number: int) -> re.Match[str] | None:
    """The next place in a line with the step `number`; None if there is none."""
    return next((found for found in _NUMBER.finditer(line, position) if _number(found) == number), None)


def _number(found: re.Match[str]) -> int:
    """The number of a step, in digits or as a Chinese numeral; 0 if it is no valid numeral."""
    said = next(filter(None, found.groups()))
    return int(said) if said.isdecimal() else numeral(said) or 0
