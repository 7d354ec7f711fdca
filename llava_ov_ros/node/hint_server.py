"""Serves hints: clients set a goal and report steps done; the node publishes hints for the next step on a period."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.timer import Timer
from std_msgs.msg import String

from llava_ov_ros.msg import ActionHint, PlanStep
from llava_ov_ros.srv import ClearGoal, NextStep, ReportStep, SetGoal

from ..frames import Clip, Frame
from ..planning import (
    GoalTextError,
    Report,
    Situation,
    Step,
    StepOutcome,
    Vocabulary,
    checked_step,
    decoding_named,
    goal_text,
    next_step_ask,
    reported_step,
)
from ..planning import NextStep as NextStepAnswer
from ..questions import Query, RefusedError, Request, Result, Status
from ..settings import Settings
from .configured import Configured
from .depths import requests_qos
from .hint_reading import certified, read_hint
from .hint_turn import MOST_DONE, GoalTurn, situation_after
from .messages import standing_query
from .plan_messages import told_goal
from .request_bounds import LONGEST_ID
from .server_context import ServerContext
from .set_back import begin_anew
from .words import Words

_OUTCOMES = {
    ReportStep.Request.DONE: StepOutcome.DONE,
    ReportStep.Request.FAILED: StepOutcome.FAILED,
    ReportStep.Request.UNDONE: StepOutcome.UNDONE,
}


def _view_of_now(query: Query) -> Query:
    """Change a query to look at each camera's newest frame only, as one picture beside the pictures of the steps."""
    return replace(query, mode="multi_image", window_ns=0, max_frames=1)


def _situation(texts: Sequence[str], steps: Sequence[Step], vocabulary: Vocabulary) -> Situation:
    """What is known after steps that are done already.

    Args:
        texts: Steps as texts such as `PutObject mug desk`, oldest first.
        steps: Further steps, which follow.
        vocabulary: Vocabulary of the steps.

    Raises:
        GoalTextError: There are too many steps, or one of them is none of the vocabulary.
    """
    if len(texts) + len(steps) > MOST_DONE:
        raise GoalTextError(f"done has {len(texts) + len(steps)} steps: allowed are {MOST_DONE}")
    read = [reported_step(one, vocabulary) for one in texts] + [checked_step(one, vocabulary) for one in steps]
    return situation_after(read, vocabulary)


class HintServer:
    """Asks the model for the next step while a goal is set, and publishes the hints; nothing is executed.

    A hint is published only while its turn lasts. Publishing a hint and ending a turn hold the same lock, so that no
    hint about an old goal follows the response that a new goal is set.
    """

    def __init__(self, context: ServerContext, cut: Callable[[Query], tuple[Clip, ...]]) -> None:
        """Create services and subscriptions.

        Args:
            context: The objects that the node's servers share.
            cut: Cuts the clips of a query; raises RefusedError where an answer would be a guess.
        """
        self._context = context
        self._cut = cut
        self._lock = threading.Lock()
        self._number = 0
        self._turn: GoalTurn | None = None
        self._asked: GoalTurn | None = None
        self._request: Request | None = None
        self._reached: ActionHint | None = None
        self._timer: Timer | None = None
        self._timer_group = MutuallyExclusiveCallbackGroup()
        # Goals and steps take effect in the order in which they arrive, by service or by topic.
        group, waiting = MutuallyExclusiveCallbackGroup(), ReentrantCallbackGroup()
        qos, node = requests_qos(), context.node
        self._entities = [
            node.create_service(SetGoal, "~/set_goal", self._serve_set, qos_profile=qos, callback_group=group),
            node.create_service(ClearGoal, "~/clear_goal", self._serve_clear, qos_profile=qos, callback_group=group),
            node.create_service(ReportStep, "~/step_done", self._serve_step, qos_profile=qos, callback_group=group),
            node.create_service(NextStep, "~/next_step", self._serve_next, qos_profile=qos, callback_group=waiting),
            node.create_subscription(String, "~/goal", self._hear_goal, qos, callback_group=group),
            node.create_subscription(String, "~/step_done", self._hear_step, qos, callback_group=group),
        ]

    def start(self) -> None:
        """Start the timer of hints, or restart the timer with a changed period."""
        self.stop()
        period_s = self._context.configuration.now.settings.hint_period_s
        self._timer = self._context.node.create_timer(period_s, self._tick, callback_group=self._timer_group)

    def begin_period_anew(self) -> None:
        """Give the next hint one period from now, also after the clock was set back."""
        begin_anew(self._timer)

    def stop(self) -> None:
        """Stop giving hints; the goal stays set."""
        if self._timer is not None:
            self._context.node.destroy_timer(self._timer)
            self._timer = None

    def set_goal(self, text: str, done: list[str], steps: Sequence[PlanStep] = (), plan_id: str = "") -> GoalTurn:
        """Set a goal; the new goal replaces the goal that was set before.

        Args:
            text: State that the steps shall reach, in words.
            done: Steps that are done already, oldest first, such as `PutObject mug desk`.
            steps: Further steps that are done already, as a plan has them.
            plan_id: Name of the plan that is followed.

        Returns:
            The turn that begins.

        Raises:
            GoalTextError: The goal, a step or the name cannot be used, there are too many steps, or the node is not
                configured.
        """
        words = self._words(self._context.configuration.now)
        if len(plan_id) > LONGEST_ID:
            raise GoalTextError(f"plan_id has {len(plan_id)} characters: allowed are {LONGEST_ID}")
        typed = [Step(one.action, tuple(one.arguments)) for one in steps]
        turn = GoalTurn(goal_text(text), plan_id=plan_id, situation=_situation(done, typed, words.vocabulary))
        return self._begin(turn, anew=True)

    def clear_goal(self) -> str:
        """Clear the goal and return a message that names the goal that was cleared."""
        before = self._turn
        self._replace(None, anew=True)
        return "there was no goal" if before is None else f"no longer: {before.goal}"

    def report_step(self, request: ReportStep.Request) -> tuple[GoalTurn, tuple[str, ...]]:
        """Note what became of a step.

        Returns:
            The turn that begins, and what the report has refuted, in words.

        Raises:
            GoalTextError: The request has no step or no outcome that can be used, it is about a turn that has passed,
                no goal is set, too many steps are reported, or the node is not configured.
        """
        configured = self._context.configuration.now
        words = self._words(configured)
        outcome = _OUTCOMES.get(request.outcome)
        if outcome is None:
            raise GoalTextError(f"outcome is {request.outcome}: allowed are DONE 0, FAILED 1, UNDONE 2")
        if bool(request.step.strip()) == bool(request.action):
            raise GoalTextError("name the step once: either in step, or in action and arguments")
        picture = self._look(configured.settings) if words.prompts.planning.shows_steps else None
        # Reports arrive one after the other, but a goal may end meanwhile.
        turn = self._turn
        if turn is None:
            raise GoalTextError("there is no goal: set one first")
        if request.turn not in (0, turn.number):
            raise GoalTextError(
                f"turn is {request.turn}, and hints are at turn {turn.number}: what it was about is over"
            )
        if request.action:
            step = checked_step(Step(request.action, tuple(request.arguments)), words.vocabulary)
        else:
            step = reported_step(request.step, words.vocabulary)
        after, refuted = turn.after(Report(step, outcome), words.vocabulary)
        if words.prompts.planning.shows_steps and outcome is StepOutcome.DONE:
            after = after.showing(picture)
        return self._begin(after, anew=outcome is not StepOutcome.DONE), refuted

    def _words(self, configured: Configured) -> Words:
        if configured.words is None:
            raise GoalTextError("the node is not configured: configure it first")
        return configured.words

    def _look(self, settings: Settings) -> Frame | None:
        """Return the first camera's newest frame; None if there is no frame, or if it is too old or frozen."""
        query = _view_of_now(standing_query("", settings))
        try:
            return self._cut(replace(query, cameras=query.cameras[:1]))[0].frames[-1]
        except (RefusedError, KeyError):
            # KeyError: a cleanup has removed the cameras meanwhile.
            return None

    def _begin(self, turn: GoalTurn, anew: bool) -> GoalTurn:
        """Give a turn its number and begin it: the last one ends, and its request is cancelled.

        Args:
            turn: What the turn is about.
            anew: Whether to forget that the goal was reached.
        """
        with self._lock:
            self._number += 1
            turn = replace(turn, number=self._number)
        self._replace(turn, anew)
        return turn

    def _replace(self, turn: GoalTurn | None, anew: bool) -> None:
        with self._lock:
            old, self._request = self._request, None
            self._turn, self._asked = turn, None
            if anew:
                self._reached = None
        if old is not None:
            self._context.submitting.cancel(old)
        if self._timer is not None:
            self._tick()

    def _tick(self) -> None:
        """Ask the model for the next step, unless it is being asked; if the goal is reached, repeat the hint DONE."""
        configured = self._context.configuration.now
        settings, words = configured.settings, configured.words
        with self._lock:
            turn = self._turn
            if turn is None or words is None or configured.worker is None or self._asked is turn:
                return
            if self._reached is not None:
                self._reached.turn, self._reached.done = turn.number, list(map(str, turn.situation.done))
                self._context.publishing.hint(self._reached, turn, words)
                return
            self._asked = turn
        query = self._query(turn, settings, words)

        def remember(request: Request) -> None:
            with self._lock:
                if self._turn is turn:
                    self._request = request
                else:
                    request.cancelled.set()

        def on_result(result: Result) -> None:
            self._publish(turn, configured, words, result)

        self._context.submitting.submit(configured, query, on_result, on_request=remember)

    def _query(self, turn: GoalTurn, settings: Settings, words: Words) -> Query:
        decoding = decoding_named(settings.plan_decoding)
        known, vocabulary = turn.situation, words.vocabulary
        ask = next_step_ask(turn.goal, known.done, vocabulary, words.prompts, decoding, turn.pictures, known.failed)
        query = replace(
            standing_query(turn.goal, settings),
            prompt=ask.prompt,
            grammar=ask.grammar,
            max_new_tokens=ask.max_new_tokens,
            before=ask.before,
        )
        return _view_of_now(query) if words.prompts.planning.shows_steps else query

    def _publish(self, turn: GoalTurn, configured: Configured, words: Words, result: Result) -> None:
        """Publish the hint of a query's end; a planner is asked in a thread of its own, since this one is the worker's.

        There is one such thread: no hint of the turn is asked for before this one is published, and the search for an
        earlier turn stops at once.
        """
        reading = read_hint(turn, configured.settings, words, result)
        if not reading.needs_planner:
            self._publish_step(turn, configured.settings, words, result, reading.step)
            return

        def search() -> None:
            def should_stop() -> bool:
                return self._turn is not turn or self._context.configuration.now.worker is not configured.worker

            try:
                step = certified(reading, turn, configured.settings, words, result, should_stop)
            except Exception as error:  # noqa: BLE001 - whatever the planner's libraries raise, hints go on
                self._context.node.get_logger().error(f"the planner failed: {type(error).__name__}: {error}")
                step = reading.step
            if should_stop():
                # The node was deactivated, or the turn is over; an active node asks again.
                with self._lock:
                    self._asked = None if self._asked is turn else self._asked
                return
            self._publish_step(turn, configured.settings, words, result, step)

        threading.Thread(target=search, name="planner", daemon=True).start()

    def _publish_step(
        self, turn: GoalTurn, settings: Settings, words: Words, result: Result, step: NextStepAnswer | None
    ) -> None:
        publishing = self._context.publishing
        message = publishing.hint_message(turn, result, step)
        with self._lock:
            if self._turn is not turn:
                return
            self._asked, self._request = None, None
            if message.hint == ActionHint.DONE:
                self._reached = message
            publishing.hint(message, turn, words)
        if settings.evidence:
            publishing.evidence(result)

    def _serve_set(self, request: SetGoal.Request, response: SetGoal.Response) -> SetGoal.Response:
        try:
            turn = self.set_goal(request.goal, request.done, request.done_steps, request.plan_id)
        except GoalTextError as error:
            response.message = str(error)
        else:
            response.success, response.message, response.turn = True, f"goal: {turn.goal}", turn.number
        return response

    def _serve_clear(self, request: ClearGoal.Request, response: ClearGoal.Response) -> ClearGoal.Response:
        response.message, response.success = self.clear_goal(), True
        return response

    def _serve_step(self, request: ReportStep.Request, response: ReportStep.Response) -> ReportStep.Response:
        now = self._turn
        response.turn = 0 if now is None else now.number
        try:
            turn, response.unexpected = self.report_step(request)
        except GoalTextError as error:
            response.message = str(error)
        else:
            response.success, response.message, response.turn = True, f"{len(turn.situation.done)} done", turn.number
        return response

    def _serve_next(self, request: NextStep.Request, response: NextStep.Response) -> NextStep.Response:
        """Answer a client that asks once; the callback may wait for the worker."""
        submitting, configured, done = self._context.submitting, self._context.configuration.now, threading.Event()
        settings, results = configured.settings, list[Result]()

        def on_result(result: Result) -> None:
            results.append(result)
            done.set()

        with submitting.counted():
            turn = self._turn
            try:
                words = self._words(configured)
                if request.goal.strip():
                    goal = goal_text(request.goal)
                    turn = GoalTurn(goal, situation=_situation(request.done, (), words.vocabulary))
                elif turn is None:
                    raise GoalTextError("goal is empty, and no goal is set: name one")
                elif request.done:
                    raise GoalTextError("done is about a goal of its own: name it, or report the steps to ~/step_done")
            except GoalTextError as error:
                query = standing_query("", settings)
                response.hint = self._context.publishing.hint_message(
                    GoalTurn(told_goal(request.goal)), Result(query, Status.INVALID, str(error)), None
                )
                return response
            submitting.wait(submitting.submit(configured, self._query(turn, settings, words), on_result), done)

            def should_stop() -> bool:
                return self._context.configuration.now.worker is not configured.worker

            step = certified(
                read_hint(turn, settings, words, results[0]), turn, settings, words, results[0], should_stop
            )
            response.hint = self._context.publishing.hint_message(turn, results[0], step)
        return response

    def _hear_goal(self, message: String) -> None:
        text = message.data
        self._heard("~/goal", (lambda: self.set_goal(text, [])) if text.strip() else self.clear_goal)

    def _hear_step(self, message: String) -> None:
        self._heard("~/step_done", lambda: self.report_step(ReportStep.Request(step=message.data)))

    def _heard(self, topic: str, act: Callable[[], object]) -> None:
        try:
            act()
        except GoalTextError as error:
            self._context.node.get_logger().warning(f"{topic}: {error}")
