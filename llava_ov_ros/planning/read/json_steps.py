"""Finds the steps in a model's JSON: a list of rows, texts or objects, possibly within an object."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ...questions.chinese import has_han

# `executable_plan` and `action_name` are those of EmbodiedBench (https://github.com/EmbodiedBench/EmbodiedBench).
_LISTS = ("executable_plan", "plan", "steps", "actions", "substeps", "sub_steps", "subtasks", "计划", "步骤")
_ACTIONS = ("action", "action_name", "name", "step", "动作", "步骤")
_NUMBERED = re.compile(
    r"(?:step|action|步骤)?[\s_#]*\d{1,3}[.:]?|第\s*[\d一二三四五六七八九十]{1,3}\s*步", re.IGNORECASE
)
_ARGUMENTS = ("arguments", "args", "parameters", "参数")
_DEEPEST = 6


def find_json(lines: Sequence[str]) -> tuple[Any, int] | None:
    """Find JSON that begins on the first line and ends at the end of a line.

    Returns:
        The decoded list or object, and its number of lines; None if there is no such JSON.
    """
    text = "\n".join(lines)
    for candidate in (text, text.replace("'", '"')):
        start = len(candidate) - len(candidate.lstrip())
        try:
            value, end = json.JSONDecoder().raw_decode(candidate, start)
        except (ValueError, RecursionError):
            continue
        rest = candidate[end:].partition("\n")[0]
        if isinstance(value, list | dict) and value and not rest.strip(" \t\r,;."):
            return value, candidate.count("\n", 0, end) + 1
    return None


def statements(value: Any, arguments: Collection[str], depth: int = 0, in_list: bool = False) -> Iterator[str]:
    """The steps in decoded JSON, each as a statement such as `PickupObject mug` or `PickupObject object mug`.

    A part that is no step is returned as its JSON text, so that it is reported as unread and not lost.

    Args:
        value: The decoded JSON.
        arguments: Names of arguments, which may be keys of an object.
        depth: Depth of `value` within the JSON.
        in_list: Whether `value` is a member of a list.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and depth < _DEEPEST:
        # Chinese has no blanks between words: `["前往桌子", "拿起杯子"]` is a list of steps unless a list contains it.
        if _is_row(value) and (in_list or not any(map(has_han, value))):
            yield " ".join(value)
        else:
            for one in value:
                yield from statements(one, arguments, depth + 1, in_list=True)
    elif isinstance(value, dict) and depth < _DEEPEST:
        yield from _from_object(value, arguments, depth)
    else:
        yield _written(value)


def _is_row(value: list[Any]) -> bool:
    """Whether a list is one step, such as `["PutObject", "mug", "desk"]`, and not a list of steps."""
    return bool(value) and all(isinstance(word, str) and len(word.split()) <= 1 for word in value)


def _from_object(value: dict[str, Any], arguments: Collection[str], depth: int) -> Iterator[str]:
    action = next((value[key] for key in _ACTIONS if isinstance(value.get(key), str)), None)
    inner = next((value[key] for key in _LISTS if isinstance(value.get(key), list | dict)), None)
    if action is not None:
        given = next((value[key] for key in _ARGUMENTS if key in value), value)
        if isinstance(given, dict):
            # A key that is no argument, such as a reason, is no part of the step.
            words = [word for key, one in given.items() if key in arguments for word in (key, one)]
        else:
            words = given if isinstance(given, list) else [given]
        yield " ".join([action, *(word if isinstance(word, str) else _written(word) for word in words)])
    elif inner is not None:
        yield from statements(inner, arguments, depth + 1)
    elif all(map(_NUMBERED.fullmatch, value)):
        for one in value.values():
            yield from statements(one, arguments, depth + 1, in_list=True)
    else:
        yield _written(value)


def _written(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "?"
