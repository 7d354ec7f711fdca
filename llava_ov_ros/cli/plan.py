"""The command `llava-ov plan`: make and validate plans in a robot's action vocabulary."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..settings import DEFAULTS
from . import plan_bag, plan_problem, plan_vocabulary
from .errors import CommandError
from .parsers import CommandParser

if TYPE_CHECKING:
    from ..planning import PlanRow, Validation

_VALIDATE = """\
Check plans by simulating them: is every step in the vocabulary, can it be done where it stands in the plan, and is the
goal reached, where the file says what it is.

FILE has one JSON object per line, "-" stands for the standard input:
  {"id": "tea", "plan": "GotoLocation desk; PickupObject mug; ...", "goal": {"object_target": "mug", ...}}
or ALFRED's keys task_id, gold_plan, pddl_params; with task_type in both. Only the plan is needed.
"""
_EPILOG = """\
examples:
  llava-ov plan validate examples/plans.jsonl
  llava-ov plan validate my_plans.jsonl --actions my_robot.yaml --json

exit codes: 0 nothing is rejected; 1 a plan is, or an error; 2 wrong usage; 130 Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    """Add the commands and their options."""
    plan = subparsers.add_parser(
        "plan",
        help="plan from a recorded bag, or check plans, in a robot's vocabulary",
        description=plan_bag.DESCRIPTION,
        epilog=plan_bag.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plan.set_defaults(run=plan_bag.run)
    plan_bag.add_arguments(plan)
    plan_vocabulary.add_commands(plan)
    plan_problem.add_command(plan)
    parser = plan.add_command(
        "validate",
        description=_VALIDATE,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run_validate)
    parser.add_argument("file", metavar="FILE", help='plans, one JSON object per line; "-": standard input')
    parser.add_argument(
        "--actions",
        default=DEFAULTS.actions,
        metavar="YAML",
        help="the vocabulary: a shipped one (alfred, delivery), else a file (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run_validate(args: argparse.Namespace) -> int:
    """Run `plan validate` and return the exit code.

    Raises:
        CommandError: The vocabulary or the file cannot be used.
    """
    from ..evaluation.benchmarks.repeated_ids import repeats
    from ..planning import RowError, VocabularyError, find_vocabulary, load_vocabulary, read_rows, rows_in, validate

    if args.file != "-" and not Path(args.file).is_file():
        raise CommandError(f"{args.file}: no such file")
    try:
        vocabulary = load_vocabulary(find_vocabulary(args.actions))
        if args.file == "-":
            rows = rows_in(sys.stdin.read(), "standard input", vocabulary)
        else:
            rows = read_rows(Path(args.file), vocabulary)
        checked = [(row, validate(row.plan, vocabulary, row.goal)) for row in rows]
        if repeated := repeats((row.name, row.name, row.line) for row, _ in checked):
            print(f"{args.file}: {repeated}; every row is checked and counted", file=sys.stderr)
    except (VocabularyError, RowError) as error:
        raise CommandError(str(error)) from None
    except UnicodeDecodeError as error:
        raise CommandError(f"standard input: not text in UTF-8: {error}") from None
    report = make_report(checked)
    print(json.dumps(report, ensure_ascii=False) if args.json else table(report))
    return 1 if report["rejected"] else 0


def make_report(checked: list[tuple[PlanRow, Validation]]) -> dict[str, Any]:
    """Return the report that `--json` prints.

    `warned` plans are a part of the accepted ones. For a rejected plan the report gives its first violation.
    """
    rejected = []
    for row, validation in checked:
        if not validation.accepted:
            first = validation.violations[0]
            rejected.append({"id": row.name, "step": first.step, "reason": first.text, "code": first.reason.value})
    accepted = [validation for _, validation in checked if validation.accepted]
    return {
        "total": len(checked),
        "accepted": len(accepted),
        "warned": sum(bool(validation.warnings) for validation in accepted),
        "rejected": rejected,
    }


def table(report: dict[str, Any]) -> str:
    """Return a report as a table for people."""
    lines = []
    if report["rejected"]:
        width = max(len(one["id"]) for one in report["rejected"])
        lines.append(f"{'plan':<{width}}  {'step':>4}  {'code':<18}  reason")
        for one in report["rejected"]:
            step = "-" if one["step"] is None else one["step"]
            lines.append(f"{one['id']:<{width}}  {step:>4}  {one['code']:<18}  {one['reason']}")
    lines.append(
        f"{report['total']} plan{'' if report['total'] == 1 else 's'}: {report['accepted']} accepted "
        f"({report['warned']} with warnings), {len(report['rejected'])} rejected"
    )
    return "\n".join(lines)
