"""Show how far the answers of two models agree, by the file that the node's shadow mode has written."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from ..bounds import quoted
from .errors import USAGE, CommandError

_OF_RUNS = ("out", "check", "model", "value_range", "restart", "fail_under", "ray", "live")
"""Options of `llava-ov eval` about a run, which compares nothing by such a file."""


def run_agreement(args: argparse.Namespace) -> int:
    """Print the figures of the file that --compare names, and return the exit code.

    Raises:
        CommandError: Another option is about a run, or the file cannot be read or has no comparison.
    """
    from ..evaluation.report.agreement_figures import AgreementError, agreement

    for option in _OF_RUNS:
        if getattr(args, option):
            flag = "--" + option.replace("_", "-")
            raise CommandError(f"{flag} is about a run: name the SUITE.yaml, or leave it out", USAGE)
    try:
        found = agreement(args.compare)
    except AgreementError as error:
        raise CommandError(str(error)) from None
    if found["damaged"]:
        more = ", ..." if found["damaged"] > len(found["damaged_lines"]) else ""
        places = ", ".join(found["damaged_lines"]) + more
        print(f"{found['damaged']} damaged lines are left out: {places}", file=sys.stderr)
    print(json.dumps(found, ensure_ascii=False) if args.json else agreement_table(found))
    return 0


def agreement_table(found: Mapping[str, Any]) -> str:
    """Return the figures as tables for people."""
    groups = found["groups"]
    lines = [f"{one['model']} answered, {one['shadow']} in its shadow: {one['n']} questions" for one in found["models"]]
    width = max(map(len, groups))
    lines += ["", f"{'':<{width}}{'n':>8}   {'same text %':<23}{'same choice %':<23}difference: median, 95 %, most"]
    for name, group in groups.items():
        difference = group["probability_difference"]
        shares = [_share(group[key]) if key in group else "-" for key in ("same_text", "same_choice")]
        lines.append(
            f"{name:<{width}}{group['n']:>8}   {shares[0]:<23}{shares[1]:<23}"
            f"{difference['median']:.4f}  {difference['p95']:.4f}  {difference['largest']:.4f}"
        )
    times = {name: groups["all"][key] for name, key in (("model", "total_s"), ("shadow", "shadow_total_s"))}
    lines += ["", f"{'seconds':<10}{'median':>10}{'95 %':>10}"]
    lines += [f"{name:<10}{one['median']:>10.3f}{one['p95']:>10.3f}" for name, one in times.items()]
    if found["questions"]:
        lines += ["", f"{found['differing']} questions whose answers differ, the most different first:"]
    for one in found["questions"]:
        often = "" if one["times"] == 1 else f"   ({one['times']} times)"
        lines.append(f"{one['probability_difference']:.4f}  {quoted(one['question'])}{often}")
        lines.append(f"        {quoted(one['text'])} ({one['confidence']:.4f})")
        lines.append(f"        {quoted(one['shadow_text'])} ({one['shadow_confidence']:.4f}), the shadow")
    return "\n".join(lines)


def _share(share: Mapping[str, float]) -> str:
    return f"{100 * share['share']:.1f} ({100 * share['low']:.1f} to {100 * share['high']:.1f})"
