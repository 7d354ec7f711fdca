"""Plays recorded episodes to a node: the goal is set, every step is reported when it is done, hints are collected."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from llava_ov_ros.msg import ActionHint
from llava_ov_ros.srv import ClearGoal, ReportStep, SetGoal

from ..frames import NS_PER_S, stamp_ns
from ..node.depths import requests_qos
from ..questions import Status
from ..replay import Schedule, TimedQuestion, read_messages
from ..settings import Value
from .picture_questions import PARAMETERS, node_of_its_own
from .player import Player
from .session import DiagnosticsReport, LiveError, Session

DONE = "DONE"
HINTS = {
    ActionHint.NONE: "NONE",
    ActionHint.STEP: "STEP",
    ActionHint.DONE: DONE,
    ActionHint.UNSURE: "UNSURE",
    ActionHint.CANNOT_TELL: "CANNOT_TELL",
}
CALL_S = 30.0
HINT_S = 150.0
ARRIVAL_S = 30.0
HEARD_S = 60.0

# A hint only where one is asked for, from a clip as long as one step takes (rooms/episodes.py).
EPISODE_PARAMETERS: dict[str, Value] = PARAMETERS | {
    "admission_rate_hz": 2.0,
    "clip_window_s": 2.0,
    "clip_spacing_s": 0.0,
    "hint_period_s": 1e6,
    "deadline_s": 120.0,
}


@dataclass(frozen=True)
class HintTurn:
    """What the node hinted at one point of an episode.

    Attributes:
        done: Steps reported so far.
        gold: The right hint: a step, or DONE.
        hint: STEP, DONE, UNSURE or CANNOT_TELL, as in msg/ActionHint.
        step: The step, also where the node is unsure of it; empty where there is none.
        confidence: Of the hint.
        stamps_ns: Of the frames that it rests on, oldest first.
        now_ns: When it was asked for, on the clock of the stamps.
    """

    done: tuple[str, ...]
    gold: str
    hint: str
    step: str
    confidence: float
    stamps_ns: tuple[int, ...]
    now_ns: int

    @property
    def is_right(self) -> bool:
        """The node is sure of what comes next, and it is that."""
        return self.hint == DONE if self.gold == DONE else self.hint == "STEP" and self.step == self.gold


@dataclass(frozen=True)
class RecordedEpisode:
    """What `llava-ov rooms record --episode` says of a recording.

    Attributes:
        goal: What is reached.
        steps: The plan, such as `PickupObject mug`.
        times_s: When the next step is to be told, in seconds from the first frame: as the first step begins, and as
            each one ends.
    """

    goal: str
    steps: tuple[str, ...]
    times_s: tuple[float, ...]


@dataclass(frozen=True)
class EpisodeResult:
    """What became of an episode.

    Attributes:
        episode: What was played.
        turns: The hints in their order. After DONE the node is not asked any more, rightly or not.
    """

    episode: RecordedEpisode
    turns: tuple[HintTurn, ...]

    @property
    def total(self) -> int:
        """How many hints would be right: one for each step, and DONE."""
        return len(self.episode.steps) + 1

    @property
    def right(self) -> int:
        """How many hints are right."""
        return sum(turn.is_right for turn in self.turns)

    @property
    def is_complete(self) -> bool:
        """From the goal to DONE every hint was right."""
        return self.right == self.total


def read_episode(truth: Path) -> RecordedEpisode:
    """The episode in a recording's truth.

    Raises:
        LiveError: There is none; the text names file and field.
    """
    try:
        about: Any = json.loads(truth.read_text(encoding="utf-8"))
        found = about["episode"]
        steps = found["steps"]
        return RecordedEpisode(
            str(found["goal"]),
            tuple(str(step["step"]) for step in steps),
            (float(steps[0]["start_s"]), *(float(step["end_s"]) for step in steps)),
        )
    except OSError as error:
        raise LiveError(f"{truth}: {error.strerror}") from None
    except KeyError as error:
        raise LiveError(f"{truth}: {error} is missing: record it with `llava-ov rooms record --episode`") from None
    except (ValueError, TypeError, IndexError) as error:
        raise LiveError(f"{truth}: not as `llava-ov rooms record --episode` writes it: {error}") from None


class EpisodeSession(Session):
    """A session that sets goals, reports steps and hears the hints."""

    def __enter__(self) -> Self:
        super().__enter__()
        self._hints: list[ActionHint] = []
        node, name = self._node, self._node_name
        self._set_goal = node.create_client(SetGoal, f"{name}/set_goal", qos_profile=requests_qos())
        self._clear_goal = node.create_client(ClearGoal, f"{name}/clear_goal", qos_profile=requests_qos())
        self._report_step = node.create_client(ReportStep, f"{name}/step_done", qos_profile=requests_qos())
        node.create_subscription(ActionHint, f"{name}/action_hint", self._hints.append, 10)
        return self

    def wait_until_hints_are_heard(self, timeout_s: float = HEARD_S) -> None:
        """Wait until no hint can be lost to discovery.

        Raises:
            LiveError: The node's services are not there, or it hints nothing.
        """
        for client in (self._set_goal, self._clear_goal, self._report_step):
            self.wait_for(client.service_is_ready, timeout_s, f"there is no service {client.srv_name}")
        until_s = time.monotonic() + timeout_s
        while not self._hints:
            if time.monotonic() > until_s:
                raise LiveError(f"{self._node_name} hints nothing within {timeout_s:g} s of a goal")
            # Whatever comes of it; a hint that nobody heard is not repeated.
            self._tell(self._set_goal, SetGoal.Request(goal="be heard"))
            with contextlib.suppress(LiveError):
                self.wait_for(lambda: bool(self._hints), 1.0, "not yet")
        self._tell(self._clear_goal, ClearGoal.Request())

    def next_hint(self, goal: str, done: Sequence[str], timeout_s: float = HINT_S) -> ActionHint:
        """Report the last of the steps that are done (with none: set the goal), and wait for the hint after it.

        Raises:
            LiveError: The node refuses it, gives no hint, or one without an answer of the model.
        """
        self._hints.clear()
        if done:
            self._tell(self._report_step, ReportStep.Request(step=done[-1]))
        else:
            self._tell(self._set_goal, SetGoal.Request(goal=goal))

        def found() -> list[ActionHint]:
            return [hint for hint in list(self._hints) if hint.goal == goal and list(hint.done) == list(done)]

        said = f"{', '.join(done)} reported" if done else "no step reported"
        self.wait_for(lambda: bool(found()), timeout_s, f"no hint for {goal!r} with {said} within {timeout_s:g} s")
        hint = found()[0]
        if hint.hint == ActionHint.NONE:
            raise LiveError(f"no hint for {goal!r} with {said}: {Status(hint.status).name}: {hint.message}")
        return hint

    def clear(self) -> None:
        """Have no goal any more."""
        self._tell(self._clear_goal, ClearGoal.Request())

    def _tell(self, client: Any, request: Any) -> None:
        response = self._call(client, [request], CALL_S)[0]
        if not response.success:
            raise LiveError(f"{client.srv_name}: {response.message}")


class LiveEpisodes:
    """An active node, as recorded episodes are played to it; `live_episodes` makes one."""

    def __init__(self, session: EpisodeSession, reports: Sequence[DiagnosticsReport]) -> None:
        """Use a session that is heard by the node.

        Args:
            session: Publishes one topic for the node.
            reports: Ends with the newest diagnostics.
        """
        self._session = session
        self._reports = reports

    def play(self, bag: Path, truth: Path) -> EpisodeResult:
        """Play an episode to its end, or until the node says DONE.

        Args:
            bag: As `llava-ov rooms record --episode` writes it.
            truth: What was written beside it.

        Raises:
            LiveError: The node did not do its part, or the truth has no episode.
            BagError: The bag cannot be read.
        """
        episode = read_episode(truth)
        turns: list[HintTurn] = []
        for number, now_ns in enumerate(self._moments(bag, episode.times_s)):
            done = episode.steps[:number]
            hint = self._session.next_hint(episode.goal, done)
            turns.append(
                HintTurn(
                    done,
                    (*episode.steps, DONE)[number],
                    HINTS[hint.hint],
                    " ".join((hint.action, *hint.arguments)).strip(),
                    float(hint.confidence),
                    tuple(stamp_ns(frame.stamp_used) for frame in hint.frames),
                    now_ns,
                )
            )
            if turns[-1].hint == DONE:
                break
        self._session.clear()
        return EpisodeResult(episode, tuple(turns))

    def _moments(self, bag: Path, times_s: Sequence[float]) -> Iterator[int]:
        """Publish the bag's frames; yield each time once the node has all frames up to it, and knows that it is now."""
        player = self._session.player
        schedule = Schedule([TimedQuestion("next step", round(at_s * NS_PER_S)) for at_s in times_s])
        (topic,) = player.recorded
        for message in read_messages(bag, [topic]):
            schedule.take(message)
            for _, _, now_ns in schedule.due():
                yield self._arrived(player, now_ns)
            player.jump_to(message.time_ns)
            player.publish(message)
        for _, _, now_ns in schedule.rest():
            yield self._arrived(player, now_ns)

    def _arrived(self, player: Player, now_ns: int) -> int:
        player.jump_to(now_ns)
        sent = player.published.total()
        (topic,) = player.topics

        def received() -> int:
            return int(self._reports[-1].cameras[topic].get("received", 0)) if self._reports else 0

        self._session.wait_for(
            lambda: received() >= sent and self._reports[-1].now_ns == now_ns,
            ARRIVAL_S,
            lambda: f"{received()} of {sent} pictures arrived at the node within {ARRIVAL_S:g} s, or not the time",
        )
        return now_ns


@contextmanager
def live_episodes(model: str, log: Path, *, device: str = "auto") -> Iterator[LiveEpisodes]:
    """Run the installed node, in a namespace of its own, while the `with` block lasts.

    Args:
        model: As the node's parameter.
        log: File that takes what the node prints.
        device: As the node's parameter.

    Raises:
        LiveError: The node did not come up, refused the model, or did not end as it should; also what the block
            raises as LiveError. The text ends with the end of the node's log.
    """
    parameters = EPISODE_PARAMETERS | {"model": model, "device": device}
    with node_of_its_own(EpisodeSession, parameters, log) as (session, reports):
        session.wait_until_hints_are_heard()
        yield LiveEpisodes(session, reports)
