"""Sets of prompt texts, one YAML file each: additions to questions, words of answers, requests for plans."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..bounds import cited, shortened
from ..share import PROMPTS
from ..yaml_aliases import read_checked
from ..yaml_problem import UNREADABLE, yaml_problem
from .finding_codes import Reason

LISTED = "{choices}"
"""Where choices are listed in what is added to a question."""
PICTURE, NOW = "{picture}", "{now}"
"""Where a step's picture stands in a text, and where what the cameras see now."""
ENGLISH = "en"
_KEYS = ("version", "name", "language", "add", "yes_no", "numbers", "cannot_tell", "change", "planning")
# Of a set of prompts; a file with two of them is meant to be one. Name and version are in many other files.
_OWN = ("yes_no", "numbers", "change")
_REQUIRED = ("version", "name", *_OWN)


class Kind(StrEnum):
    """Type of the answer to a question."""

    TEXT = "text"
    YES_NO = "yes_no"
    CHOICE = "choice"
    COUNT = "count"
    PHRASE = "phrase"
    CHANGE = "change"


# What the texts about plans may hold, and what of it they must.
_IN_PLAN = ("{goal}", "{actions}", "{words}", "{most}")
_IN_NEXT_STEP = ("{goal}", "{steps}", "{actions}", "{words}", NOW)
_PLACES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "plan": (_IN_PLAN, ("{goal}",)),
    "next_step": (_IN_NEXT_STEP, ("{goal}", "{steps}")),
    "step": (("{number}", "{step}", PICTURE), ("{step}",)),
    "no_steps": ((), ()),
    "done": ((), ()),
    "presence": (("{thing}",), ("{thing}",)),
    "where": (("{thing}",), ("{thing}",)),
    "in_place": (("{place}",), ("{place}",)),
    "on_place": (("{place}",), ("{place}",)),
    "in_hand": ((), ()),
    "list_separator": ((), ()),
    "decompose": (("{goal}",), ("{goal}",)),
    "repair": (("{goal}", "{plan}", "{problems}", "{actions}", "{most}"), ("{goal}", "{plan}", "{problems}")),
    "no_plan": ((), ()),
    "problem": (("{number}", "{problem}"), ("{number}", "{problem}")),
    "more_problems": (("{number}",), ("{number}",)),
}
_REASONS = "reasons"
_PLANNING_KEYS = (*_PLACES, _REASONS)
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_PLACE = re.compile(r"\{\w+\}")


class PromptsError(ValueError):
    """A set of prompts that cannot be used; the text names file, key, value and rule."""


@dataclass(frozen=True)
class PlanPrompts:
    """Texts that ask for plans; the defaults suit models that know goals only.

    Attributes:
        plan: Asks for a plan. Has {goal}, and may have {actions} and {words} (the actions and their possible arguments)
            and {most} (steps).
        next_step: Asks for the next step. Has {goal} and {steps} (those that are done), and may have {actions}, {words}
            and {now} (the place of the current pictures; without {now} they stand before everything else).
        step: Form of a finished step in {steps}. Has {step}, and may have {number} and {picture} (the picture seen when
            the step was reported done). Empty: steps are separated by semicolons.
        no_steps: Text in the place of {steps} when none is done; not used with `step`.
        done: Answer of the model when the goal is reached.
        presence: Asks whether {thing} is there, which comes with its article in English.
        where: Asks where {thing} is, which comes with its article in English.
        in_place, on_place: The answer that a thing is in, or on, a {place}.
        in_hand: The answer that a thing is in the robot's hand.
        list_separator: Text between two words of a list.
        decompose: Asks for numbered steps in the model's own words. Has {goal}.
        repair: Asks for a corrected plan. Has {goal}, {plan} (one step a line) and {problems} (one a line), and may
            have {actions} and {most}.
        no_plan: Text in the place of {plan} when there are no steps.
        problem: Form of one step's problem in {problems}. Has {number} and {problem}.
        more_problems: The last line of {problems}, where {number} more are left out.
        reasons: Texts of problems by code (`planning.Reason`); a code without a text is told in English.
    """

    plan: str = "Goal: {goal}. Plan?"
    next_step: str = "Goal: {goal}. Done: {steps}. Next step?"
    step: str = ""
    no_steps: str = "nothing"
    done: str = "DONE"
    presence: str = "Is there {thing}?"
    where: str = "Where is {thing}?"
    in_place: str = "in {place}"
    on_place: str = "on {place}"
    in_hand: str = "in the hand"
    list_separator: str = ", "
    decompose: str = "High-Level Task: {goal}\n\nLow-Level Action Steps:"
    repair: str = (
        "Goal: {goal}\nThis plan does not work:\n{plan}\nWhat is wrong with it:\n{problems}\n"
        "Allowed steps, at most {most}: {actions}\n"
        "Write the whole corrected plan in one line, steps separated by semicolons, and nothing else."
    )
    no_plan: str = "(no steps)"
    problem: str = "step {number}: {problem}"
    more_problems: str = "- and {number} more, which may follow from these"
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def shows_steps(self) -> bool:
        """Whether a question for the next step shows a picture of each finished step."""
        return PICTURE in self.step


@dataclass(frozen=True)
class Prompts:
    """How questions are put to one family of models.

    Attributes:
        name: Name of the set and of its file.
        version: Number that goes up with every change of the texts.
        yes_no: The words for yes and for no.
        numbers: The words for 0, 1, 2, ...; more cannot be counted.
        change: Text of a question of kind change that has none of its own.
        cannot_tell: Answer of the model where the pictures do not show it, and then one of the candidate answers; None:
            the model has no such answer.
        add: Text that follows a question, by kind.
        planning: Texts that ask for plans.
        language: Language of the texts, as a code of ISO 639 such as en or zh; things are named in this language.
    """

    name: str
    version: int
    yes_no: tuple[str, str]
    numbers: tuple[str, ...]
    change: str
    cannot_tell: str | None = None
    add: Mapping[Kind, str] = field(default_factory=dict)
    planning: PlanPrompts = field(default_factory=PlanPrompts)
    language: str = ENGLISH

    @property
    def identity(self) -> str:
        """Name and version, for records."""
        return f"{self.name}/{self.version}"


def filled(template: str, values: Mapping[str, str]) -> str:
    """Fill the places of a text, such as {goal}; braces in the inserted texts stay as they are."""
    return _PLACE.sub(lambda place: values.get(place[0], place[0]), template)


def find_prompts(prompts: str) -> Path:
    """Find the file of a set by a shipped name, such as `plain`, or by its path.

    Raises:
        PromptsError: There is none.
    """
    path = PROMPTS.path(prompts)
    if not path.is_file():
        names = ", ".join(PROMPTS.shipped())
        raise PromptsError(f"prompts {cited(prompts)}: no file {path.absolute()}, and no shipped set ({names})")
    return path


def load_prompts(path: Path) -> Prompts:
    """Reads a set.

    Raises:
        PromptsError: It cannot be used.
    """
    try:
        _, content = read_checked(path.read_text(encoding="utf-8"))
    except UNREADABLE as error:
        raise PromptsError(f"{path}{yaml_problem(error)}") from None
    # The file may be named by somebody who may not read it: no error has text of one that is something else.
    if not isinstance(content, dict) or sum(key in content for key in _OWN) < 2:
        raise PromptsError(f"{path}: it is no set of prompts, which is a mapping with the keys {', '.join(_OWN)}")
    return _Reader(path, content).prompts()


class _Reader:
    """Checks one file's content key by key."""

    def __init__(self, path: Path, content: dict[Any, Any]) -> None:
        self._path = path
        self._content = content

    def prompts(self) -> Prompts:
        for key in self._content:
            if key not in _KEYS:
                raise self._error(str(key), f"is not known: the keys are {', '.join(_KEYS)}")
        for key in _REQUIRED:
            if key not in self._content:
                raise self._error(key, "is missing")
        version, name = self._content["version"], self._content["name"]
        if type(version) is not int or version < 1:
            raise self._error("version", f"is {cited(version)}: it must be a whole number from 1")
        if name != self._path.stem:
            raise self._error("name", f"is {cited(name)}: it must be that of the file, {cited(self._path.stem)}")
        yes_no = self._words("yes_no")
        if len(yes_no) != 2:
            raise self._error("yes_no", f"has {len(yes_no)} words: it must be the word for yes and the word for no")
        cannot_tell = self._content.get("cannot_tell")
        if cannot_tell is not None:
            cannot_tell = self._text("cannot_tell", cannot_tell)
            for key, words in (("yes_no", yes_no), ("numbers", self._words("numbers"))):
                if cannot_tell in words:
                    raise self._error("cannot_tell", f"is {cited(cannot_tell)}, which is in {key} too")
        return Prompts(
            name=name,
            version=version,
            yes_no=(yes_no[0], yes_no[1]),
            numbers=self._words("numbers"),
            change=self._text("change", self._content["change"]),
            cannot_tell=cannot_tell,
            add=self._added(),
            planning=self._planning(),
            language=self._language(),
        )

    def _language(self) -> str:
        language = self._content.get("language", ENGLISH)
        # YAML takes an unquoted no, which is Norwegian, for a truth value.
        if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
            raise self._error("language", f"is {cited(language)}: it must be a code of ISO 639, such as en or zh")
        return language

    def _planning(self) -> PlanPrompts:
        given = self._content.get("planning") or {}
        if not isinstance(given, dict):
            raise self._error("planning", f"is {cited(given)}: it must be texts for {', '.join(_PLANNING_KEYS)}")
        texts = {key: text for key, text in given.items() if key != _REASONS}
        for key, text in texts.items():
            if key not in _PLACES:
                raise self._error(f"planning.{key}", f"is not known: the keys are {', '.join(_PLANNING_KEYS)}")
            allowed, needed = _PLACES[key]
            there = _PLACE.findall(self._text(f"planning.{key}", text))
            for place in needed:
                if place not in there:
                    raise self._error(f"planning.{key}", f"must hold {place}")
            for place in there:
                if place not in allowed:
                    raise self._error(
                        f"planning.{key}", f"holds {shortened(place)}: allowed are {', '.join(allowed) or 'none'}"
                    )
        self._check_steps(texts)
        return PlanPrompts(**texts, reasons=self._reasons(given.get(_REASONS) or {}))

    def _reasons(self, given: Any) -> dict[str, str]:
        if not isinstance(given, dict):
            raise self._error("planning.reasons", f"is {cited(given)}: it must be texts by the codes of problems")
        for code, text in given.items():
            if code not in list(Reason):
                raise self._error(
                    f"planning.reasons.{code}", f"is no code of a problem: the codes are {', '.join(Reason)}"
                )
            self._text(f"planning.reasons.{code}", text)
        return dict(given)

    def _check_steps(self, given: Mapping[str, str]) -> None:
        """Check that each picture stands once, in the order in which the pictures were seen."""
        next_step, step = given.get("next_step", PlanPrompts.next_step), given.get("step", "")
        for key, text, place in (("step", step, PICTURE), ("next_step", next_step, NOW)):
            if text.count(place) > 1:
                raise self._error(f"planning.{key}", f"holds {place} {text.count(place)} times: once is enough")
        if step and "no_steps" in given:
            raise self._error("planning.no_steps", "has no use beside planning.step: nothing stands for no steps")
        seen_before, now, said_after = next_step.partition(NOW)
        if now and not seen_before.strip():
            raise self._error("planning.next_step", f"begins with {NOW}: leave it out, the pictures of now come first")
        if now and not said_after.strip():
            raise self._error("planning.next_step", f"ends with {NOW}: a text must follow it")
        if PICTURE in step and (seen_before.count("{steps}") != 1 or "{steps}" in said_after or not now):
            raise self._error(
                "planning.next_step", f"must hold {{steps}} once and {NOW} behind it: steps have pictures"
            )

    def _added(self) -> dict[Kind, str]:
        given = self._content.get("add") or {}
        if not isinstance(given, dict):
            raise self._error("add", f"is {cited(given)}: it must be texts by kind of question")
        for kind, text in given.items():
            if kind not in list(Kind):
                raise self._error(f"add.{kind}", f"is no kind of question: the kinds are {', '.join(Kind)}")
            self._text(f"add.{kind}", text)
            if LISTED in text and kind != Kind.CHOICE:
                raise self._error(f"add.{kind}", f"lists {LISTED}: only questions of kind {Kind.CHOICE} have them")
        return {Kind(kind): text for kind, text in given.items()}

    def _words(self, key: str) -> tuple[str, ...]:
        given = self._content[key]
        if not isinstance(given, list) or not given:
            raise self._error(key, f"is {cited(given)}: it must be a list of words")
        for number, word in enumerate(given):
            self._text(f"{key}[{number}]", word)
            if word in given[:number]:
                raise self._error(f"{key}[{number}]", f"is {cited(word)}, which is there already")
        return tuple(given)

    def _text(self, key: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self._error(
                key, f"is {cited(value)}: it must be a text (YAML takes an unquoted yes, no or 1 for no text)"
            )
        if not value.strip():
            raise self._error(key, "is blank: leave it out")
        return value

    def _error(self, key: str, rule: str) -> PromptsError:
        return PromptsError(f"{self._path}: {shortened(key)} {rule}")
