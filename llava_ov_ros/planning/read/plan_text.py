"""Reads plans from a model's free text: lists, prose, code or JSON. Never raises, and never invents a step.

A text is split into lines, and each line into statements, at semicolons and inner numbering. A statement is read as a
whole or not at all: a clause that is neither a step nor an aside leaves the whole statement unread, and a missing
argument is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ..plan_steps import Plan, Step
from ..vocabulary import Vocabulary
from .clauses import Obstacle, Unread, patterns_of, read_statement
from .json_steps import find_json, statements
from .spelling import folded

MOST_CHARACTERS = 20_000
LONGEST_STATEMENT = 600
STATEMENT_ENDS = "\n;；"
"""Marks that end a statement wherever they occur."""

_NUMERAL = r"(?:\d{1,3}|[一二三四五六七八九十百]{1,4}|[ivx]{1,5}|[a-h])"
_NUMBERING = re.compile(
    rf"\s*(?:\[[ x]?\]\s+|[-•·+>#]+\s+|\(\s*{_NUMERAL}\s*\)|第\s*{_NUMERAL}\s*步\s*[:,.]*"
    rf"|\d{{1,3}}(?:\.\d{{1,3}})+\s*[.):]?(?=\s)"
    rf"|(?:step|action|phase|stage|task|subtask)\s*#?\s*{_NUMERAL}(?!\w)\s*[:.),\-]*|{_NUMERAL}\s*[.):,]+(?!\d)|\d{{1,3}}\s+(?=[^\W\d])"
    rf"|步骤\s*{_NUMERAL}\s*[:,.]*"
    r"|(?:next action|next step|action|step|plan|output|answer|下一步|步骤|动作|计划|答案)\s*:)\s*"
)
_BETWEEN = re.compile(
    r"[;；→⇒]|[-=]>|\\[nr]|(?<=[\s,.;)\]])(?<!step\s)(?<!action\s)(?<!phase\s)(?<!stage\s)(?<!task\s)"
    r"(?=(?:step\s*)?\d{1,2}\s*[.):]\s*[^\W\d])"
    # Chinese numbering within a line: 2、 二、 （二） 第二步 ②
    r"|(?<=[\s。，；）])(?=\d{1,2}\s*[、．：]|[一二三四五六七八九十]{1,3}、|第[一二三四五六七八九十\d]{1,3}步)"
    r"|(?=（[一二三四五六七八九十\d]{1,3}）|[①-⑳])",
    re.IGNORECASE,
)
_JSON_START = re.compile(r"""\s*[\[{]\s*(?:["'\[{]|$)""")


@dataclass(frozen=True)
class Skipped:
    """A statement that was not read.

    Attributes:
        line: Line of the text, from 1.
        text: The statement.
        why: Code of the reason.
        detail: The reason in words.
    """

    line: int
    text: str
    why: Unread
    detail: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text!r} was not read: {self.detail}"


@dataclass(frozen=True)
class Reading:
    """The steps of a text, and its statements that were not read.

    Attributes:
        steps: Steps in order, each with its line in the text, from 1.
        skipped: Statements that were not read, in order.
    """

    steps: tuple[tuple[int, Step], ...]
    skipped: tuple[Skipped, ...]

    @property
    def plan(self) -> Plan:
        """The steps without their lines; there may be none."""
        return Plan(tuple(step for _, step in self.steps))


def read_plan(text: str, vocabulary: Vocabulary) -> Reading:
    """Read a plan from free text.

    Args:
        text: Any text; only its first MOST_CHARACTERS characters are read.
        vocabulary: Vocabulary with the actions, classes and patterns of sentences.

    Returns:
        The steps, and every statement that was not read. Steps may be malformed: an argument of the wrong class is
        kept, so that `validate` reports it. Blank lines and code fences are ignored.
    """
    patterns = patterns_of(vocabulary)
    names = {argument.name for action in vocabulary.actions.values() for argument in action.arguments}
    steps: list[tuple[int, Step]] = []
    skipped: list[Skipped] = []
    for line, statement in _statements(text[:MOST_CHARACTERS], names):
        if len(statement) > LONGEST_STATEMENT:
            read: tuple[Step, ...] | Obstacle = Obstacle(
                Unread.TOO_LONG, f"it has {len(statement)} characters, and no more than {LONGEST_STATEMENT} are read"
            )
        else:
            read = read_statement(patterns, _without_numbering(folded(statement)))
        if isinstance(read, Obstacle):
            if _JSON_START.match(statement):
                read = Obstacle(Unread.BROKEN_JSON, "it looks like JSON, but is none that ends with a line")
            skipped.append(Skipped(line, statement.strip(), read.why, read.detail))
        else:
            steps += [(line, step) for step in read]
    if len(text) > MOST_CHARACTERS:
        last = text.count("\n", 0, MOST_CHARACTERS) + 1
        detail = f"only the first {MOST_CHARACTERS} characters are read"
        skipped.append(Skipped(last, text[MOST_CHARACTERS : MOST_CHARACTERS + 40], Unread.TOO_LONG, detail))
    return Reading(tuple(steps), tuple(skipped))


def _statements(text: str, arguments: Collection[str]) -> Iterator[tuple[int, str]]:
    """The statements of a text, each with its line, from 1."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.lstrip().startswith(("```", "~~~")):
            continue
        if line.lstrip().startswith(("[", "{")):
            found = find_json(lines[number - 1 :])
            if found is not None:
                value, taken = found
                for statement in statements(value, arguments):
                    yield number, statement
                number += taken - 1
                continue
        for statement in _BETWEEN.split(line):
            if _without_numbering(folded(statement)).strip(" \t\r.,;:-"):
                yield number, statement


def _without_numbering(text: str) -> str:
    """A folded statement without the numbers, bullets and labels before it."""
    while True:
        found = _NUMBERING.match(text)
        if found is None:
            return text
        text = text[found.end() :]
