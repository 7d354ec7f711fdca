"""Serves hints: clients set a goal and report steps done; the node publishes hints for the next step on a period."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.timer import Timer
from std_msgs.msg import String

from llava_ov_ros.msg import ActionHint
from llava_ov_ros.srv import ClearGoal, ReportStep, SetGoal

from ..frames import Clip, Frame
from ..planning import (
    MOST_PICTURES,
    Decoding,
    GoalTextError,
    Step,
    decoding_named,
    goal_text,
    next_step_ask,
    read_next_step,
    reported_step,
)
from ..questions import Query, RefusedError, Request, Result, Status
from ..settings import Settings
from .configured import Configured
from .depths import requests_qos
from .messages import standing_query
from .server_context import ServerContext
from .set_back import begin_anew
from .words import Words

MOST_DONE = 100


@dataclass(frozen=True, eq=False)
class _Turn:
    """The goal and the steps done that a hint is about. Setting a goal or reporting a step begins a new turn.

    Attributes:
        goal: State that the steps shall reach, in words.
        done: Steps reported done, oldest first.
        pictures: Frame of the first camera when each of the newest steps was reported, None if there was no usable
            frame; MOST_PICTURES at most.
    """

    goal: str
    done: tuple[Step, ...]
    pictures: tuple[Frame | None, ...] = ()


def _view_of_now(query: Query) -> Query:
    """Change a query to look at each camera's newest frame only, as one picture beside the pictures of the steps."""
    return replace(query, mode="multi_image", window_ns=0, max_frames=1)


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
        self._turn: _Turn | None = None
        self._asked: _Turn | None = None
        self._request: Request | None = None
        self._reached: ActionHint | None = None
        self._timer: Timer | None = None
        self._timer_group = MutuallyExclusiveCallbackGroup()
        # Goals and steps take effect in the order in which they arrive, by service or by topic.
        group = MutuallyExclusiveCallbackGroup()
        qos, node = requests_qos(), context.node
        self._entities = [
            node.create_service(SetGoal, "~/set_goal", self._serve_set, qos_profile=qos, callback_group=group),
            node.create_service(ClearGoal, "~/clear_goal", self._serve_clear, qos_profile=qos, callback_group=group),
            node.create_service(ReportStep, "~/step_done", self._serve_step, qos_profile=qos, callback_group=group),
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

    def set_goal(self, text: str, done: list[str]) -> str:
        """Set a goal; the new goal replaces the goal that was set before.

        Args:
            text: State that the steps shall reach, in words.
            done: Steps that are done already, oldest first, such as `PutObject mug desk`.

        Returns:
            A message that names the goal.

        Raises:
            GoalTextError: The goal or a step cannot be used, there are too many steps, or the node is not configured.
        """
        words = self._words(self._context.configuration.now)
        if len(done) > MOST_DONE:
            raise GoalTextError(f"done has {len(done)} steps: allowed are {MOST_DONE}")
        turn = _Turn(goal_text(text), tuple(reported_step(one, words.vocabulary) for one in done))
        self._begin(turn, anew=True)
        return f"goal: {turn.goal}"

    def clear_goal(self) -> str:
        """Clear the goal and return a message that names the goal that was cleared."""
        before = self._turn
        self._begin(None, anew=True)
        return "there was no goal" if before is None else f"no longer: {before.goal}"

    def report_step(self, text: str) -> str:
        """Note that a step is done.

        Args:
            text: The step, such as `PutObject mug desk`.

        Returns:
            A message with the number of steps done.

        Raises:
            GoalTextError: The text is not a step, no goal is set, too many steps are done, or the node is not
                configured.
        """
        configured, turn = self._context.configuration.now, self._turn
        words = self._words(configured)
        if turn is None:
            raise GoalTextError("there is no goal: set one first")
        if len(turn.done) >= MOST_DONE:
            raise GoalTextError(f"{MOST_DONE} steps are reported already: set the goal anew")
        done = (*turn.done, reported_step(text, words.vocabulary))
        pictures = turn.pictures
        if words.prompts.planning.shows_steps:
            pictures = (*pictures, self._look(configured.settings))[-MOST_PICTURES:]
        turn = replace(turn, done=done, pictures=pictures)
        self._begin(turn, anew=False)
        return f"{len(turn.done)} done"

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

    def _begin(self, turn: _Turn | None, anew: bool) -> None:
        """End the turn, cancel its request, and begin another turn at once.

        Args:
            turn: The new turn; None: no goal is set.
            anew: Whether to forget that the goal was reached.
        """
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
                self._context.publishing.hint(self._reached, turn, words)
                return
            self._asked = turn
        decoding = decoding_named(settings.plan_decoding)
        ask = next_step_ask(turn.goal, turn.done, words.vocabulary, words.prompts, decoding, turn.pictures)
        query = replace(
            standing_query(turn.goal, settings),
            prompt=ask.prompt,
            grammar=ask.grammar,
            max_new_tokens=ask.max_new_tokens,
            before=ask.before,
        )
        if words.prompts.planning.shows_steps:
            query = _view_of_now(query)

        def remember(request: Request) -> None:
            with self._lock:
                if self._turn is turn:
                    self._request = request
                else:
                    request.cancelled.set()

        def on_result(result: Result) -> None:
            self._publish(turn, settings, words, decoding, result)

        self._context.submitting.submit(configured, query, on_result, on_request=remember)

    def _publish(self, turn: _Turn, settings: Settings, words: Words, decoding: Decoding, result: Result) -> None:
        publishing, step = self._context.publishing, None
        if result.status is Status.OK and result.generated is not None:
            step = read_next_step(
                result.generated,
                turn.done,
                words.vocabulary,
                words.prompts,
                decoding,
                settings.hint_confidence,
            )
        message = publishing.hint_message(turn.goal, turn.done, result, step)
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
        return self._respond(response, lambda: self.set_goal(request.goal, request.done))

    def _serve_clear(self, request: ClearGoal.Request, response: ClearGoal.Response) -> ClearGoal.Response:
        return self._respond(response, self.clear_goal)

    def _serve_step(self, request: ReportStep.Request, response: ReportStep.Response) -> ReportStep.Response:
        return self._respond(response, lambda: self.report_step(request.step))

    def _respond(self, response: Any, act: Callable[[], str]) -> Any:
        try:
            response.message, response.success = act(), True
        except GoalTextError as error:
            response.message, response.success = str(error), False
        return response

    def _hear_goal(self, message: String) -> None:
        text = message.data
        self._heard("~/goal", (lambda: self.set_goal(text, [])) if text.strip() else self.clear_goal)

    def _hear_step(self, message: String) -> None:
        self._heard("~/step_done", lambda: self.report_step(message.data))

    def _heard(self, topic: str, act: Callable[[], str]) -> None:
        try:
            act()
        except GoalTextError as error:
            self._context.node.get_logger().warning(f"{topic}: {error}")
