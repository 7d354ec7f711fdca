"""The commands `llava-ov plan check` and `llava-ov plan domain`: what a vocabulary can do, and the same in PDDL."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from ..missing_module import PDDL_PACKAGES, planner_missing
from ..settings import DEFAULTS
from .errors import CommandError
from .parsers import CommandParser

if TYPE_CHECKING:
    from ..planning import Vocabulary

_CHECK = """\
Check a robot's action vocabulary: find actions that can never be done, because nothing brings about what they require,
and goals that no action achieves. What it names is impossible in every plan.
"""
_CHECK_EPILOG = """\
examples:
  llava-ov plan check my_robot.yaml
  llava-ov plan check delivery --json

exit codes: 0 nothing is found; 1 something is, or an error; 2 wrong usage; 130 Ctrl-C
"""
_DOMAIN = """\
Write a robot's action vocabulary as a PDDL domain, for planners. docs/planning.md says how the two correspond.
It needs the extra `planner` (unified-planning).
"""
_DOMAIN_EPILOG = """\
examples:
  llava-ov plan domain --actions alfred > alfred.pddl
  llava-ov plan domain --actions my_robot.yaml

exit codes: 0 written; 1 the vocabulary cannot be read or expressed in PDDL; 2 wrong usage; 130 Ctrl-C
"""


def add_commands(plan: CommandParser) -> None:
    """Add the commands and their options."""
    formatter = argparse.RawDescriptionHelpFormatter
    check = plan.add_command("check", description=_CHECK, epilog=_CHECK_EPILOG, formatter_class=formatter)
    check.set_defaults(run=run_check)
    check.add_argument("vocabulary", metavar="VOCABULARY", help="a shipped one (alfred, delivery), else a file")
    check.add_argument("--json", action="store_true", help="a JSON list")
    domain = plan.add_command("domain", description=_DOMAIN, epilog=_DOMAIN_EPILOG, formatter_class=formatter)
    domain.set_defaults(run=run_domain)
    domain.add_argument(
        "--actions",
        default=DEFAULTS.actions,
        metavar="YAML",
        help="the vocabulary: a shipped one (alfred, delivery), else a file (default: %(default)s)",
    )


def run_check(args: argparse.Namespace) -> int:
    """Run `plan check` and return the exit code.

    Raises:
        CommandError: The vocabulary cannot be used.
    """
    from ..planning import impossible_in

    found = impossible_in(_vocabulary(args.vocabulary))
    if args.json:
        print(json.dumps([{"goal": one.goal, "what": one.what, "reason": one.reason} for one in found]))
        return 1 if found else 0
    for one in found:
        print(f"{one.what}: {'nothing achieves it' if one.goal else 'can never be done'}: {one.reason}")
    if not found:
        print("every action can be done, and every goal achieved, as far as one action at a time can tell")
    return 1 if found else 0


def run_domain(args: argparse.Namespace) -> int:
    """Run `plan domain` and return the exit code.

    Raises:
        CommandError: The vocabulary cannot be used, or not expressed in PDDL, or unified-planning is not installed.
    """
    if missing := planner_missing("plan domain", PDDL_PACKAGES):
        raise CommandError(missing)
    from ..planning.pddl import NoCounterpartError, domain_text

    vocabulary = _vocabulary(args.actions)
    try:
        print(domain_text(vocabulary), end="")
    except NoCounterpartError as error:
        raise CommandError(f"{args.actions}: {error}") from None
    return 0


def _vocabulary(name: str) -> Vocabulary:
    from ..planning import VocabularyError, find_vocabulary, load_vocabulary

    try:
        return load_vocabulary(find_vocabulary(name))
    except VocabularyError as error:
        raise CommandError(str(error)) from None
