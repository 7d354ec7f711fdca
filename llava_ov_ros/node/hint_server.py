"""The closed loop: a goal that is set, the steps reported done, and a hint for the next step on a period."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import String

from llava_ov_ros.msg import ActionHint
from llava_ov_ros.srv import ClearGoal, ReportStep, SetGoal

from ..frames import Clip, Frame
from ..planning import (
    MOST_PICTURES,
    Decoding,
    GoalTextError,
    Step,
    goal_text,
    next_step_ask,
    read_next_step,
    reported_step,
)
from ..questions import Query, RefusedError, Result, Status
from ..settings import Settings
from .depths import requests_qos
from .dispatch import Submitting
from .messages import standing_query
from .publishing import Publishing
from .request import Request
from .set_back import begin_anew
from .words import Words

MOST_DONE = 100


@dataclass(frozen=True, eq=False)
class _Turn:
    """What hints are about; another goal or another step done makes another one.

    Attributes:
        goal: What shall be so.
        done: The steps that are done.
        pictures: What was seen when each of the newest of them was reported, None where nothing was; bounded.
    """

    goal: str
    done: tuple[Step, ...]
    pictures: tuple[Frame | None, ...] = ()


def _view_of_now(query: Query) -> Query:
    """The query about the newest picture of each camera, as one of several: a step's picture and that of now."""
    return replace(query, mode="multi_image", window_ns=0, max_frames=1)


class Hints:
    """Asks for the next step while a goal is set, and publishes what the model says; nothing is executed.

    An answer is published only while its turn lasts: with the lock that ends turns, so that nothing about an old goal
    follows the response that a new one is set.
    """

    def __init__(
        self,
        node: LifecycleNode,
        publishing: Publishing,
        submitting: Submitting,
        settings: Callable[[], Settings],
        words: Callable[[], Words | None],
        cut: Callable[[Query], tuple[Clip, ...]],
    ) -> None:
        """Create services and subscriptions.

        Args:
            node: Whose they are.
            publishing: Where hints go.
            submitting: The way to the model.
            settings: The parameters.
            words: What is asked with; None while the node is not configured.
            cut: What the cameras see, as a query asks for it; raises RefusedError.
        """
        self._node = node
        self._publishing = publishing
        self._submitting = submitting
        self._settings = settings
        self._words = words
        self._cut = cut
        self._lock = threading.Lock()
        self._turn: _Turn | None = None
        self._asked: _Turn | None = None
        self._request: Request | None = None
        self._reached: ActionHint | None = None
        self._timer: Any = None
        self._timer_group = MutuallyExclusiveCallbackGroup()
        # Goals and steps count in the order in which they come, by whichever way.
        group = MutuallyExclusiveCallbackGroup()
        qos = requests_qos()
        self._entities = [
            node.create_service(SetGoal, "~/set_goal", self._serve_set, qos_profile=qos, callback_group=group),
            node.create_service(ClearGoal, "~/clear_goal", self._serve_clear, qos_profile=qos, callback_group=group),
            node.create_service(ReportStep, "~/step_done", self._serve_step, qos_profile=qos, callback_group=group),
            node.create_subscription(String, "~/goal", self._hear_goal, qos, callback_group=group),
            node.create_subscription(String, "~/step_done", self._hear_step, qos, callback_group=group),
        ]

    def start(self) -> None:
        """Begin hinting on the period, or begin anew with a changed one."""
        self.stop()
        self._timer = self._node.create_timer(
            self._settings().hint_period_s, self._tick, callback_group=self._timer_group
        )

    def begin_period_anew(self) -> None:
        """Give the next hint a period from now, whatever the clock was set to."""
        begin_anew(self._timer)

    def stop(self) -> None:
        """Give no more hints; the goal stays set."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None

    def set_goal(self, text: str, done: list[str]) -> str:
        """Set a goal.

        Returns:
            What was set, in words.

        Raises:
            GoalTextError: The goal or a step cannot be used.
        """
        words = self._configured()
        if len(done) > MOST_DONE:
            raise GoalTextError(f"done has {len(done)} steps: allowed are {MOST_DONE}")
        turn = _Turn(goal_text(text), tuple(reported_step(one, words.vocabulary) for one in done))
        self._begin(turn, anew=True)
        return f"goal: {turn.goal}"

    def clear_goal(self) -> str:
        """Have no goal any more; what there was of it, in words."""
        before = self._turn
        self._begin(None, anew=True)
        return "there was no goal" if before is None else f"no longer: {before.goal}"

    def report_step(self, text: str) -> str:
        """Note that a step is done; raises GoalTextError where it is none, or no goal is set."""
        words, turn = self._configured(), self._turn
        if turn is None:
            raise GoalTextError("there is no goal: set one first")
        if len(turn.done) >= MOST_DONE:
            raise GoalTextError(f"{MOST_DONE} steps are reported already: set the goal anew")
        done = (*turn.done, reported_step(text, words.vocabulary))
        pictures = turn.pictures
        if words.prompts.planning.shows_steps:
            pictures = (*pictures, self._look())[-MOST_PICTURES:]
        turn = replace(turn, done=done, pictures=pictures)
        self._begin(turn, anew=False)
        return f"{len(turn.done)} done"

    def _configured(self) -> Words:
        words = self._words()
        if words is None:
            raise GoalTextError("the node is not configured: configure it first")
        return words

    def _look(self) -> Frame | None:
        """What the first camera sees now; None where that is old, frozen or nothing."""
        settings = self._settings()
        query = _view_of_now(standing_query("", settings))
        try:
            return self._cut(replace(query, cameras=query.cameras[:1]))[0].frames[-1]
        except (RefusedError, KeyError):
            # KeyError: the cameras went with a cleanup meanwhile.
            return None

    def _begin(self, turn: _Turn | None, anew: bool) -> None:
        """End the turn, whatever is in work for it, and begin another at once."""
        with self._lock:
            old, self._request = self._request, None
            self._turn, self._asked = turn, None
            if anew:
                self._reached = None
        if old is not None:
            self._submitting.cancel(old)
        if self._timer is not None:
            self._tick()

    def _tick(self) -> None:
        """Ask for the next step, where none is being asked for."""
        words = self._words()
        with self._lock:
            turn = self._turn
            if turn is None or words is None or not self._submitting.is_active or self._asked is turn:
                return
            if self._reached is not None:
                self._publishing.hint(self._reached, turn, words)
                return
            self._asked = turn
        settings = self._settings()
        decoding: Decoding = settings.plan_decoding  # type: ignore[assignment] - checked on setting it
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

        self._submitting.submit(query, lambda result: self._end(turn, words, decoding, result), on_request=remember)

    def _end(self, turn: _Turn, words: Words, decoding: Decoding, result: Result) -> None:
        settings = self._settings()
        step = None
        if result.status is Status.OK and result.generated is not None:
            step = read_next_step(
                result.generated,
                turn.done,
                words.vocabulary,
                words.prompts,
                decoding,
                settings.hint_confidence,
            )
        message = self._publishing.hint_message(turn.goal, turn.done, result, step)
        with self._lock:
            if self._turn is not turn:
                return
            self._asked, self._request = None, None
            if message.hint == ActionHint.DONE:
                self._reached = message
            self._publishing.hint(message, turn, words)
        if settings.evidence:
            self._publishing.evidence(result)

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
            self._node.get_logger().warning(f"{topic}: {error}")
