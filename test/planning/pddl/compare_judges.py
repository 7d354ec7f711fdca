"""Compares the two judges of plans on many mutated plans, and prints every plan about which they disagree.

Run it as `python test/planning/pddl/compare_judges.py ALFRED.jsonl --plans 100000 --seed 0`, where ALFRED.jsonl has
ALFRED's rows (task_id, gold_plan, pddl_params, task_type). Ends with code 1 where they disagree.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from llava_ov_ros.planning import Plan, find_vocabulary, load_vocabulary, validate
from llava_ov_ros.planning.pddl import pddl_verdict

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from fixtures.mutated_plans import mutated_task


def main() -> int:
    """Compare, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--plans", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first plan; the others follow")
    args = parser.parse_args()
    vocabulary = load_vocabulary(find_vocabulary("alfred"))
    rows = [json.loads(line) for line in args.rows.read_text().splitlines()]
    accepted = disagreements = 0
    start = time.process_time()
    for seed in range(args.seed, args.seed + args.plans):
        goal, steps = mutated_task(seed, rows, vocabulary)
        simulated = validate(Plan(steps), vocabulary, goal)
        verdict = pddl_verdict(vocabulary, goal, steps)
        accepted += verdict.accepted
        if simulated.accepted != verdict.accepted:
            disagreements += 1
            print(
                f"seed {seed}: {'; '.join(map(str, steps))}\n  {goal}\n  {simulated.violations}\n  {verdict}",
                flush=True,
            )
    seconds = time.process_time() - start
    print(f"{args.plans} plans, {accepted} accepted, {disagreements} disagreements; {seconds:.0f} s of processor time")
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
