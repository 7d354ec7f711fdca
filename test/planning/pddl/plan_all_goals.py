"""Has the planner find a plan for each of ALFRED's goals, and both judges look at it; prints the time of each goal.

Run it as `python test/planning/pddl/plan_all_goals.py ALFRED.jsonl`, where ALFRED.jsonl has ALFRED's rows. Goals
count whose gold plan can be done. Ends with code 1 if a goal has no plan that both judges accept.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path

from llava_ov_ros.planning import Plan, find_vocabulary, from_rows, goal_from, load_vocabulary, validate
from llava_ov_ros.planning.pddl import Start, certified_plan, pddl_verdict

SEARCH_S = 60.0


def main() -> int:
    """Plan, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    args = parser.parse_args()
    vocabulary = load_vocabulary(find_vocabulary("alfred"))
    seconds, missed, lengths = [], 0, []
    for line in args.rows.read_text().splitlines():
        row = json.loads(line)
        goal, gold = goal_from(row["pddl_params"], row["task_type"], vocabulary), from_rows(row["gold_plan"])
        if not validate(gold, vocabulary, goal).accepted:
            continue
        began_s = processor_s()
        found = certified_plan(vocabulary, goal, [Start()], time.monotonic() + SEARCH_S)
        seconds.append(processor_s() - began_s)
        steps = found.steps or ()
        lengths.append(len(steps))
        if not (validate(Plan(steps), vocabulary, goal).accepted and pddl_verdict(vocabulary, goal, steps).accepted):
            missed += 1
            print(f"{row['task_id']}: {goal}: {'; '.join(map(str, steps))} {found.finding}", flush=True)
    late = statistics.quantiles(seconds, n=20)[-1]
    print(
        f"{len(seconds)} goals, {missed} without an accepted plan, up to {max(lengths)} steps; processor time, that of "
        f"the planner and its start included: median {statistics.median(seconds):.2f} s, 95th percentile {late:.2f} s, "
        f"most {max(seconds):.2f} s"
    )
    return 1 if missed else 0


def processor_s() -> float:
    """Processor time of this process and of those that have ended below it, which other programs do not lengthen."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    sys.exit(main())
