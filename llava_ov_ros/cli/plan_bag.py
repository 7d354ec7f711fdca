"""The command `llava-ov plan BAG --goal ...`: make a plan from what a recording shows."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from ..settings import DEFAULTS, parameter
from ..settings.allowed_values import CERTIFIED, DECOMPOSE, REQUEST_DECODINGS, VALIDATORS
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
from .options import not_negative_s, positive_s, whole_between
from .recording_options import add_recording, recorder_of

if TYPE_CHECKING:
    # Only for annotations: these bring numpy and YAML, which --help does without.
    from tqdm import tqdm

    from ..planning import Vocabulary
    from ..questions import Prompts
    from ..replay import BagMessage, Planned, TimedQuestion

REPAIRS = int(parameter("plan_repairs").low or 0), int(parameter("plan_repairs").high or 0)
"""Least and most repairs of a plan."""

DESCRIPTION = """\
Have a model plan in a robot's action vocabulary, from what a recording shows. Every step is checked by simulation,
what the plan names and the pictures do not show is flagged, and nothing is executed.

`llava-ov plan validate FILE` checks plans that are there already, `llava-ov plan check VOCABULARY` a vocabulary, and
`llava-ov plan domain` writes one as a PDDL domain, `llava-ov plan problem BAG` a goal as a PDDL problem (see their
--help).
"""
EPILOG = """\
examples:
  llava-ov plan my_bag --goal "put the mug on the desk"
      a plan from the frames that the node would look at at the end (its growing clip)
  llava-ov plan my_bag --goal "put the mug on the desk" --at 4 --at 12 --window 2 --json
      two plans, each from 2 seconds; one JSON object a line
  llava-ov plan my_bag --goal "bring the parcel to the lab" --actions delivery --decoding free --repairs 0
      in another vocabulary, read from whatever the model writes, as it comes
  llava-ov plan my_bag --goal "put the mug on the desk" --format btcpp > tree.xml
      the plan as a behaviour tree that asks the camera for the things before it acts

exit codes: 0 every plan is accepted (with decompose: has steps); 1 one is not, or an error; 2 wrong usage; 130 Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_bag(parser)
    parser.add_argument("--goal", required=True, metavar="TEXT", help="what shall be so")
    parser.add_argument(
        "--at",
        type=not_negative_s,
        action="append",
        default=[],
        metavar="S",
        help="plan S seconds after the first frame; may be repeated (default: at the end)",
    )

    plan = parser.add_argument_group("plan")
    add_words(plan)
    plan.add_argument(
        "--decoding",
        choices=REQUEST_DECODINGS,
        default=DEFAULTS.plan_decoding,
        help="held to the vocabulary's grammar, read from free text, held to the grammar and found by a planner where "
        "the model's plan is not accepted (certified; needs the extra planner), or no plan but steps in the model's "
        "own words, which nothing checks (default: %(default)s)",
    )
    plan.add_argument(
        "--validators",
        nargs="+",
        choices=VALIDATORS,
        default=DEFAULTS.plan_validators,
        metavar="JUDGE",
        help="judges that must all accept the plan: simulation, which is always asked, and pddl (needs the extra "
        "planner; default: %(default)s)",
    )
    plan.add_argument(
        "--search-s",
        type=positive_s,
        default=DEFAULTS.plan_search_s,
        metavar="S",
        help="with certified: longest search of the planner, in seconds (default: %(default)s)",
    )
    plan.add_argument(
        "--repairs",
        type=whole_between(*REPAIRS),
        default=DEFAULTS.plan_repairs,
        metavar="N",
        help=f"how often a plan with violations is given back to the model, {REPAIRS[0]} to {REPAIRS[1]} "
        "(default: %(default)s)",
    )
    plan.add_argument(
        "--no-grounding", action="store_true", help="do not ask whether the things that the plan names are there"
    )
    plan.add_argument(
        "--format",
        choices=("text", "json", "btcpp"),
        default="text",
        help="json: one object per plan and line; btcpp: the accepted plan as a tree of BehaviorTree.CPP 4, in XML "
        "(default: %(default)s)",
    )
    plan.add_argument("--json", action="store_const", const="json", dest="format", help="short for --format json")
    add_recording(parser.add_argument_group("recording"))

    add_model(parser)
    add_clip(parser)


def add_words(plan: argparse._ActionsContainer) -> None:
    """Add --actions and --prompts."""
    plan.add_argument(
        "--actions",
        default=DEFAULTS.actions,
        metavar="YAML",
        help="the vocabulary: a shipped one (alfred, delivery), else a file (default: %(default)s)",
    )
    plan.add_argument(
        "--prompts",
        default=DEFAULTS.prompts,
        metavar="YAML",
        help="how the model is asked: a shipped set (plain, llava_onevision, alfred, zh), else a file "
        "(default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code.

    Raises:
        CommandError: The bag, a goal, the vocabulary, the prompts or the model cannot be used as asked.
    """
    from ..missing_module import PDDL_PACKAGES, PLANNER_PACKAGES, planner_missing
    from ..planning import GoalTextError, PlanOptions, goal_text, validators_named
    from ..replay import (
        BagError,
        QuestionsError,
        ask_at,
        image_topics,
        plan_record,
        remarks,
        replay_plans,
        written,
    )
    from .topics import chosen_topics

    try:
        goal = goal_text(args.goal)
    except GoalTextError as error:
        raise CommandError(f"--goal: {error}", USAGE) from None
    vocabulary, prompts = words(args)
    in_own_words = args.decoding == DECOMPOSE
    judges = validators_named(["simulation", *args.validators])
    if args.decoding == CERTIFIED or "pddl" in judges:
        searches = args.decoding == CERTIFIED
        wants = f"--decoding {CERTIFIED}" if searches else "--validators pddl"
        if missing := planner_missing(wants, PLANNER_PACKAGES if searches else PDDL_PACKAGES):
            raise CommandError(missing)
    options = None
    if not in_own_words:
        options = PlanOptions(args.decoding, args.repairs, not args.no_grounding, judges, args.search_s)
    if args.format == "btcpp" and (in_own_words or len(args.at) > 1):
        raise CommandError(
            "--format btcpp: one plan makes a tree; no --decoding decompose, and --at at most once", USAGE
        )
    settings = replay_settings(args)
    outcomes: Counter[str] = Counter()
    try:
        topics = chosen_topics(args.bag, args.topic, image_topics(args.bag))
        goals = ask_at([goal], duration_ns=duration_ns(topics), at_s=args.at)
        check_times(args.bag, topics, goals)
        cameras = make_cameras(args, topics, args.window or 0.0)
        tell_guesses(args.model, [args.bag])
        tell_foreign_words(args.model, args.actions)
        with ExitStack() as stack:
            recorder = stack.enter_context(recorder_of(args, topics))
            engine = stack.enter_context(closing(load_model(args, clip_frames=args.frames, cameras=len(topics))))
            messages = progress(args.bag, topics, cameras, recorder)
            plans = replay_plans(messages, cameras, goals, engine, settings, vocabulary, prompts, options)
            # Strict, so that the recording is read to its end, of which the remarks tell.
            for _, planned in zip(_announced(goals, messages), plans, strict=True):
                asked = planned.goal
                plan = plan_record(asked.ask, planned.result, planned.plan, engine.name, args.actions, prompts.identity)
                record = {**written(plan, asked.at_ns, planned.now_ns), "decoding": args.decoding}
                recorder.plan(planned, engine.name, args.actions, prompts.identity)
                outcomes[plan.outcome] += 1
                if args.format == "btcpp":
                    text = _tree(planned, record, vocabulary, prompts)
                else:
                    text = json.dumps(record, ensure_ascii=False) if args.format == "json" else plan_text(record)
                messages.write(text)
                sys.stdout.flush()
    except BagError as error:
        raise CommandError(str(error)) from None
    except QuestionsError as error:
        raise CommandError(str(error), USAGE) from None
    for line in recorder.told():
        print(f"recorded: {line}", file=sys.stderr)
    for line in remarks(topics, cameras):
        print(line, file=sys.stdout if args.format == "text" else sys.stderr)
    return 0 if set(outcomes) <= {"ACCEPTED", "DECOMPOSED"} else 1


def _announced(goals: Sequence[TimedQuestion], messages: tqdm[BagMessage]) -> Iterator[TimedQuestion]:
    """Yield the goals in order of their times, and announce each on standard error before its plan is made."""
    for goal in goals:
        messages.write(f"planning at {goal.at_ns / 1e9:.2f} s ...", file=sys.stderr)
        sys.stderr.flush()
        yield goal


def _tree(planned: Planned, record: dict[str, Any], vocabulary: Vocabulary, prompts: Prompts) -> str:
    """Return an accepted plan as a tree.

    Raises:
        CommandError: The plan is not accepted, or BehaviorTree.CPP cannot have its names.
    """
    from ..planning import PlanResult
    from ..planning.btcpp import TreeError, plan_tree

    if not isinstance(planned.plan, PlanResult) or not planned.plan.accepted:
        raise CommandError(f"no tree is written of a plan that is not accepted:\n{plan_text(record)}")
    try:
        return plan_tree(planned.plan.goal, planned.plan.validation.plan.steps, vocabulary, prompts).rstrip()
    except TreeError as error:
        raise CommandError(f"--format btcpp: {error}") from None


def words(args: argparse.Namespace) -> tuple[Vocabulary, Prompts]:
    """Load the vocabulary and the set of prompts that --actions and --prompts name.

    Raises:
        CommandError: One of them cannot be used, or they clash; the text names the file and the field.
    """
    from ..planning import VocabularyError, find_vocabulary, load_vocabulary, step_grammar, whole_plan_grammar
    from ..questions import PromptsError, find_prompts, load_prompts

    try:
        vocabulary = load_vocabulary(find_vocabulary(args.actions))
        prompts = load_prompts(find_prompts(args.prompts))
    except (VocabularyError, PromptsError) as error:
        raise CommandError(str(error)) from None
    try:
        whole_plan_grammar(vocabulary, prompts)
        step_grammar(vocabulary, prompts)
    except ValueError as error:
        raise CommandError(f"--actions {args.actions} and --prompts {args.prompts} clash: {error}") from None
    return vocabulary, prompts


def plan_text(record: dict[str, Any]) -> str:
    """Return a plan's record as a few lines for people."""
    from .show import frame_lines

    outcome = record["outcome"].lower().replace("_", " ")
    repairs = record["repairs"]
    repaired = f", given back {repairs} time{'s' if repairs > 1 else ''}" if repairs else ""
    lines = [f"{record['at_s']:8.2f} s  {record['goal']}"]
    if record["outcome"] == "NONE":
        lines.append(f"{'':12}no plan: {record['status']}")
    else:
        lines.append(f"{'':12}{outcome}   (confidence {record['confidence']:.2f}{repaired})")
    if record["steps"]:
        judges = " and ".join(record["accepted_by"]) or "no judge"
        goal = f"; goal: {record['conditions']}" if record["conditions"] else ""
        lines.append(f"{'':12}from the {record['source'].lower()}, accepted by {judges}{goal}")
    for step in record["steps"]:
        said = " ".join((step["action"], *step["arguments"]))
        found = "" if step["status"] == "OK" else f"   {step['status'].lower()}: {step['message']}"
        lines.append(f"{'':12}{step['number']:>2}. {said}{found}")
    lines += [f"{'':12}{number:>2}. {sentence}" for number, sentence in enumerate(record["sentences"], 1)]
    lines += [f"{'':12}not read: {text}" for text in record["unread"]]
    lines += [f"{'':12}{text}" for text in (*record["problems"], record["message"]) if text]
    return "\n".join([*lines, *frame_lines(record["frames"])])
