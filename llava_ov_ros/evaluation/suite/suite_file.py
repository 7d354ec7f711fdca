"""Reads a suite's YAML file: bags, questions and right answers, with defaults filled in."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from ...remote import RemoteSettings
from ...settings import DEFAULTS
from ...settings.allowed_values import PLAN_DECODING, Decoding
from ...settings.value_range import DEFAULT
from .yaml_file import FileError, Place, YamlFile, one_of, read_yaml

# JSON Schema takes 64.0 for an integer, but Python does not take 64.0 as a number of tokens, frames or threads.
_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)
SERVER_FILES = ("key_file", "ca_file")
SCHEMA = Path(__file__).with_name("suite.schema.json")


class SuiteError(ValueError):
    """A suite that cannot be run.

    Attributes:
        problems: All faults, each with file, line and field.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class CameraTopic:
    """An image topic, the clockwise turn of its pictures in degrees, and their value range."""

    topic: str
    rotate_deg: int = 0
    value_range: str = DEFAULT


@dataclass(frozen=True)
class ClipSettings:
    """Settings of clips, which choose the frames of a question; suite.schema.json describes each.

    A `window_s` of None stands for the growing clip.
    """

    frames: int = DEFAULTS.clip_frames
    window_s: float | None = None
    rate_hz: float = DEFAULTS.admission_rate_hz
    max_age_s: float = DEFAULTS.max_frame_age_s
    frozen_after_s: float = DEFAULTS.frozen_after_s


@dataclass(frozen=True)
class PlanningSettings:
    """Settings of planning, the same as the node's parameters `plan_*`."""

    decoding: Decoding = PLAN_DECODING
    repairs: int = DEFAULTS.plan_repairs
    grounding: bool = DEFAULTS.plan_grounding


@dataclass(frozen=True)
class ModelSettings:
    """The model, and the settings with which it is asked; suite.schema.json describes each."""

    model: str = DEFAULTS.model
    device: str = DEFAULTS.device
    dtype: str = DEFAULTS.dtype
    prompts: str = DEFAULTS.prompts
    actions: str = DEFAULTS.actions
    mode: str = DEFAULTS.visual_mode
    max_new_tokens: int = DEFAULTS.max_new_tokens
    threads: int = 1


@dataclass(frozen=True)
class BagEntry:
    """An entry of `bags`.

    Attributes:
        place: Place of the entry in the file.
        patterns: Paths or globs of bags.
        topics: Image topics to look through; empty means the only image topic of the bag.
        topics_place: Place of the topics in the file.
        questions: The questions as the file has them.
        questions_file: Path of a file with further questions, beside each bag; empty means none.
        timelines: The timelines as the file has them.
        plans: The plans as the file has them.
    """

    place: Place
    patterns: tuple[str, ...]
    topics: tuple[CameraTopic, ...]
    topics_place: Place
    questions: tuple[Mapping[str, Any], ...] = ()
    questions_file: str = ""
    timelines: tuple[Mapping[str, Any], ...] = ()
    plans: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Suite:
    """A suite whose form is right; `preflight` checks whether it fits its bags.

    Attributes:
        file: The file that was read.
        name: Name of the suite in reports.
        model: The model, and the settings with which it is asked.
        server: How a server is asked, where the model is on one.
        clip: Settings of clips.
        planning: Settings of planning.
        seed: Seed of the bootstrap.
        metrics: Names of the metrics to compute; None means all that suit the questions.
        bags: The entries of bags with their questions.
        value_range: Value range of all cameras; None means the range of each topic.
    """

    file: YamlFile
    name: str
    model: ModelSettings
    server: RemoteSettings
    clip: ClipSettings
    planning: PlanningSettings
    seed: int
    metrics: tuple[str, ...] | None
    bags: tuple[BagEntry, ...] = field(repr=False)
    value_range: str | None = None

    @property
    def folder(self) -> Path:
        """The folder of the file; paths in the file are relative to it."""
        return self.file.path.absolute().parent


def read_suite(
    path: Path,
    model: str | None = None,
    value_range: str | None = None,
    server: Mapping[str, Any] = MappingProxyType({}),
) -> Suite:
    """Read a suite's file.

    Args:
        path: The file, YAML or JSON.
        model: Replaces the model that the file names, if given.
        value_range: Replaces the value ranges of all topics, if given.
        server: Fields of `RemoteSettings` that replace those of the file's section `server`.

    Raises:
        SuiteError: The file is not a suite; the error has all faults of its form.
    """
    try:
        file = read_yaml(path)
    except FileError as error:
        raise SuiteError([str(error)]) from None
    problems = [file.problem(place, "is there twice") for place in file.twice]
    validator = _Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    found = [one for error in validator.iter_errors(file.content) for one in _said(error)]
    problems += [file.problem(*one) for one in sorted(dict.fromkeys(found), key=lambda one: file.line(one[0]))]
    problems += [file.problem(place, "is no finite number") for place in _not_finite(file.content, ())]
    if problems:
        raise SuiteError(problems)
    return replace(_suite(file, file.content, model, server), value_range=value_range)


def _suite(file: YamlFile, content: dict[str, Any], model: str | None, server: Mapping[str, Any]) -> Suite:
    given = {name: content[name] for name in ModelSettings.__dataclass_fields__ if name in content}
    if model is not None:
        given["model"] = model
    topics = _topics(content.get("topics", ()))
    metrics = content.get("metrics")
    clip = ClipSettings(**content.get("clip", {}))
    return Suite(
        file=file,
        name=content["name"],
        model=ModelSettings(**given),
        server=RemoteSettings(**{**_server(file, content.get("server", {})), **server}, clip_frames=clip.frames),
        clip=clip,
        planning=PlanningSettings(**content.get("planning", {})),
        seed=content.get("seed", 0),
        metrics=None if metrics is None else tuple(metrics),
        bags=tuple(_entry(entry, ("bags", number), topics) for number, entry in enumerate(content["bags"])),
    )


def _server(file: YamlFile, given: Mapping[str, Any]) -> dict[str, Any]:
    """The section `server`; the paths in it count from the suite's file."""
    folder = file.path.absolute().parent
    paths = {name: str(folder / Path(given[name]).expanduser()) for name in SERVER_FILES if given.get(name)}
    return {**given, **paths}


def _entry(entry: dict[str, Any], place: Place, topics: tuple[CameraTopic, ...]) -> BagEntry:
    patterns = entry["bag"]
    return BagEntry(
        place=place,
        patterns=(patterns,) if isinstance(patterns, str) else tuple(patterns),
        topics=_topics(entry["topics"]) if "topics" in entry else topics,
        topics_place=(*place, "topics") if "topics" in entry or not topics else ("topics",),
        questions=tuple(entry.get("questions", ())),
        questions_file=entry.get("questions_file", ""),
        timelines=tuple(entry.get("timelines", ())),
        plans=tuple(entry.get("plans", ())),
    )


def _topics(given: Sequence[Any]) -> tuple[CameraTopic, ...]:
    return tuple(CameraTopic(one) if isinstance(one, str) else CameraTopic(**one) for one in given)


def _said(error: ValidationError) -> list[tuple[Place, str]]:
    """Places and texts of a schema error, in terms of suites rather than of JSON Schema."""
    place = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        wrong = [str(name) for name in error.instance if name not in known]
        return [((*place, name), f"is not known here{one_of(name, known)}") for name in wrong]
    return [(place, _rule_said(error))]


def _rule_said(error: ValidationError) -> str:
    value, rule = error.validator_value, str(error.validator)
    if rule == "required":
        missing = [repr(name) for name in value if name not in error.instance]
        return f"{' and '.join(missing)} is missing"
    if rule == "type":
        kinds = " or ".join(value) if isinstance(value, list) else value
        hint = ": quote it, YAML takes an unquoted yes, no or 1 for no text" if "string" in kinds else ""
        return f"is {_shown(error.instance)}, expected {kinds}{hint if not _is_container(error.instance) else ''}"
    if rule == "enum":
        words = [str(one) for one in value]
        return f"is {_shown(error.instance)}{one_of(str(error.instance), words)}"
    if rule in ("minimum", "maximum", "exclusiveMinimum"):
        bound = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than"}[rule]
        return f"is {_shown(error.instance)}: it must be {bound} {value:g}"
    if rule in ("minItems", "maxItems"):
        bound = "at least" if rule == "minItems" else "at most"
        return f"has {len(error.instance)} members: it must have {bound} {value}"
    if rule in ("minLength", "pattern"):
        return "is blank"
    return str(error.message)


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_container(value: Any) -> bool:
    return value is None or isinstance(value, (list, dict))


def _not_finite(value: Any, place: Place) -> Iterator[Place]:
    """Yield the places of NaN, which no comparison of the schema refuses."""
    if isinstance(value, float) and math.isnan(value):
        yield place
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _not_finite(inner, (*place, str(name)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _not_finite(inner, (*place, number))
