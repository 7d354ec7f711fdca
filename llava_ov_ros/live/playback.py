"""Play a bag to a running node over real topics, ask it questions on the way, and collect its answers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from llava_ov_ros.msg import Answer
from llava_ov_ros.srv import Ask

from ..frames import NS_PER_S, stamp_ns
from ..no_op import no_op
from ..node.image_messages import NotInstalledError, message_class
from ..replay import BagMessage, Schedule, TimedQuestion, TimedT, image_topics, read_messages, written
from .message_records import answer_record
from .session import LiveError, Session

ANSWER_GRACE_S = 60.0
SETTLE_S = 2.0
# From the acknowledgement of a frame to the end of the callback that takes it.
CALLBACK_S = 0.1


@dataclass(frozen=True)
class LiveAnswer:
    """An answer that the node published or returned.

    Attributes:
        answer: The message.
        question: The question of this session that the answer belongs to; None if a standing question or another client
            caused the answer.
    """

    answer: Answer
    question: TimedQuestion | None


class LiveSession(Session):
    """A session that plays a bag and asks questions on the way.

    Attributes:
        origin_ns: The time from which the questions' times count, in nanoseconds; set while the bag is played.
    """

    def __init__(
        self,
        bag: Path,
        topics: Sequence[str],
        node_name: str,
        rate: float,
        namespace: str = "",
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare a session; entering it joins the ROS graph.

        Args:
            bag: Path of the recording.
            topics: Names of the image topics to play.
            node_name: Name of the node to ask, such as `/llava_ov`.
            rate: Seconds of the recording per second.
            namespace: Put before the topics and /clock (see `Player`); empty: the topics keep their recorded names.
            check: Called repeatedly while the session waits; ends the wait by raising LiveError.

        Raises:
            BagError: The bag does not exist or cannot be read.
            LiveError: The bag lacks a topic, or the package of a topic's messages is not installed.
        """
        known = {topic.name: topic for topic in image_topics(bag)}
        missing = [name for name in topics if name not in known]
        if missing:
            raise LiveError(f"{bag} has no image topic {', '.join(missing)}; it has {', '.join(known)}")
        try:
            for name in topics:
                message_class(known[name].type)
        except NotInstalledError as error:
            raise LiveError(str(error)) from None
        super().__init__([known[name] for name in topics], node_name, rate, namespace, check)
        self._bag = bag
        self.origin_ns = 0
        self._others: deque[Answer] = deque(maxlen=1000)
        self._asked: set[str] = set()

    def __enter__(self) -> Self:
        super().__enter__()
        self._node.create_subscription(Answer, f"{self._node_name}/answers", self._hear, 50)
        return self

    def _hear(self, answer: Answer) -> None:
        if answer.request_id not in self._asked:
            self._others.append(answer)

    def play(
        self,
        questions: Sequence[TimedQuestion],
        deadline_s: float,
        on_result: Callable[[LiveAnswer], None],
        on_message: Callable[[BagMessage], None] = no_op,
    ) -> None:
        """Play the whole bag; time stands still while the node answers a question.

        Args:
            questions: The questions; each is asked when the recording reaches its time, as `replay` does.
            deadline_s: Deadline of each answer in seconds.
            on_result: Called with every answer, in order.
            on_message: Called with every message that has been published.

        Raises:
            LiveError: The node stopped responding.
        """

        def pass_on_others() -> None:
            while self._others:
                on_result(LiveAnswer(self._others.popleft(), None))

        def ask(due: Sequence[tuple[int, TimedQuestion, int]]) -> None:
            for number, question, now_ns in due:
                self.arrive_at(now_ns)
                on_result(LiveAnswer(self._put(question, number, deadline_s), question))
                pass_on_others()

        def played(message: BagMessage) -> None:
            on_message(message)
            pass_on_others()

        self.play_schedule(Schedule(questions), ask, played)
        pass_on_others()

    def play_schedule(
        self,
        schedule: Schedule[TimedT],
        ask: Callable[[Sequence[tuple[int, TimedT, int]]], None],
        on_message: Callable[[BagMessage], None],
    ) -> None:
        """Play the whole bag and call back when something of a schedule is due.

        Args:
            schedule: What is due at which time.
            ask: Called before each message with the number, the item and the time of everything that is due before it.
            on_message: Called with every message that has been published.
        """
        for message in read_messages(self._bag, [topic.name for topic in self._topics]):
            if schedule.take(message):
                self.player.jump_to(message.time_ns)
            self.origin_ns = schedule.origin_ns
            ask(list(schedule.due()))
            self.player.advance_to(message.time_ns)
            self.player.publish(message)
            on_message(message)
        ask(list(schedule.rest()))

    def arrive_at(self, now_ns: int) -> None:
        """Advance the time to a moment and wait until the node has received everything published so far."""
        self.player.advance_to(now_ns)
        # Frames on their way to a reliable subscription are awaited, so that the clip is the one that was played.
        self.player.settle(SETTLE_S)
        threading.Event().wait(CALLBACK_S)

    def _put(self, question: TimedQuestion, number: int, deadline_s: float) -> Answer:
        request = Ask.Request(
            question=question.ask,
            window_s=request_window_s(question.window_ns),
            deadline_s=float(deadline_s),
            request_id=f"{self._session}-{number}",
        )
        self._asked.add(request.request_id)
        return self.ask([request], deadline_s + ANSWER_GRACE_S)[0]


def request_window_s(window_ns: int | None) -> float:
    """The field `window_s` of a request about a window; 0, which stands for the growing clip, where there is none."""
    if window_ns is None:
        return 0.0
    # The message has 32 bits for it: a hair more, so that a frame at the window's very beginning is in it. And a window
    # of no length, which holds the newest frame alone, is no 0.
    return float(window_ns * (1 + 2e-7) + 2000) / NS_PER_S


def live_record(live: LiveAnswer, origin_ns: int) -> dict[str, Any]:
    """Make the record of an answer, ready for JSON.

    Args:
        live: The answer.
        origin_ns: The session's `origin_ns`, from which the key `at_s` of an answer counts that this session did not
            ask for.
    """
    answered_ns = stamp_ns(live.answer.answered_at)
    at_ns = live.question.at_ns if live.question is not None else answered_ns - origin_ns
    told = written(answer_record(live.answer), at_ns, answered_ns, live.question)
    return {**told, "asked_here": live.question is not None}
