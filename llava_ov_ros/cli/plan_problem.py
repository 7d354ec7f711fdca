"""The command `llava-ov plan problem BAG --goal ...`: a PDDL problem from a goal and from what a model sees."""

from __future__ import annotations

import argparse
import json
from contextlib import closing

from ..missing_module import PDDL_PACKAGES, planner_missing
from .bag_options import (
    add_bag,
    add_clip,
    add_model,
    check_times,
    duration_ns,
    make_cameras,
    progress,
    replay_settings,
)
from .errors import USAGE, CommandError
from .guesses import tell_foreign_words, tell_guesses
from .model_options import load_model
from .options import between, not_negative_s
from .parsers import CommandParser
from .plan_bag import add_words, words

THRESHOLD = 0.5

DESCRIPTION = """\
Write the PDDL problem of a goal from what a recording shows: the model is asked which of the things that matter are
there, and where each of them is. Facts below --threshold are left out; every fact stands with its probability
in a comment. The domain is that of `llava-ov plan domain`. It needs the extra `planner` (unified-planning).
"""
EPILOG = """\
examples:
  llava-ov plan problem my_bag --goal "put the mug on the desk" > problem.pddl
  llava-ov plan problem my_bag --goal "in(mug, desk); is(mug, heated)" --at 4 --threshold 0.8
  llava-ov plan problem my_bag --goal "put the mug on the desk" --json
      one JSON object: the problem, and a row for each fact with its frames

exit codes: 0 written; 1 the goal, the bag or the vocabulary cannot be used; 2 wrong usage; 130 Ctrl-C
"""


def add_command(plan: CommandParser) -> None:
    """Add the command and its options."""
    parser = plan.add_command(
        "problem", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run)
    add_bag(parser)
    parser.add_argument("--goal", required=True, metavar="TEXT", help="what shall be so, in words or as conditions")
    parser.add_argument(
        "--at", type=not_negative_s, metavar="S", help="S seconds after the first frame (default: at the end)"
    )
    parser.add_argument(
        "--threshold",
        type=between(0.0, 1.0),
        default=THRESHOLD,
        metavar="P",
        help="leave out facts that are less probable, 0 to 1 (default: %(default)s)",
    )
    add_words(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_model(parser)
    add_clip(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code.

    Raises:
        CommandError: The bag, the goal, the vocabulary, the prompts or the model cannot be used as asked.
    """
    if missing := planner_missing("plan problem", PDDL_PACKAGES):
        raise CommandError(missing)
    from ..planning import GoalError, goal_line, read_goal
    from ..planning.pddl import NoCounterpartError, commented, fact_rows, relevant_classes, seen_problem
    from ..replay import BagError, QuestionsError, ask_at, image_topics, replay_seen
    from ..replay.records import frames_record
    from .topics import chosen_topics

    vocabulary, prompts = words(args)
    try:
        goal = read_goal(args.goal, vocabulary)
    except GoalError as error:
        raise CommandError(f"--goal: {error}") from None
    try:
        topics = chosen_topics(args.bag, args.topic, image_topics(args.bag))
        asked = ask_at([args.goal], duration_ns=duration_ns(topics), at_s=[] if args.at is None else [args.at])
        check_times(args.bag, topics, asked)
        cameras = make_cameras(args, topics, args.window or 0.0)
        tell_guesses(args.model, [args.bag])
        tell_foreign_words(args.model, args.actions)
        with closing(load_model(args, clip_frames=args.frames, cameras=len(topics))) as engine:
            model, messages = engine.name, progress(args.bag, topics, cameras)
            needed, movable = relevant_classes(vocabulary, goal), vocabulary.movable()
            seen = replay_seen(
                messages,
                cameras,
                asked[0],
                [kind for kind in needed if kind in movable],
                sorted(vocabulary.members_put_into() - movable),
                engine,
                replay_settings(args),
                vocabulary,
                prompts,
                args.threshold,
            )
        if seen.facts is None:
            raise CommandError(f"{args.bag}: {seen.result.status.name}: {seen.result.message}")
        problem = seen_problem(vocabulary, goal, needed, seen.facts, args.threshold)
    except BagError as error:
        raise CommandError(str(error)) from None
    except QuestionsError as error:
        raise CommandError(str(error), USAGE) from None
    except NoCounterpartError as error:
        raise CommandError(f"{args.actions}: {error}") from None
    frames = frames_record(seen.result.clips)
    if args.json:
        facts = fact_rows(problem, frames)
        print(json.dumps({"goal": goal_line(goal), "problem": problem.text, "facts": facts}, ensure_ascii=False))
        return 0
    stamps = ", ".join(f"{frame['camera']} {frame['stamp_ns']}" for frame in frames)
    about = [f"{args.goal}: {goal_line(goal)}", f"from frames stamped (ns): {stamps}", f"by {seen.result.model(model)}"]
    print(commented(problem, about), end="")
    return 0
