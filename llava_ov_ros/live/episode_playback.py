"""Play recorded episodes to a node: set the goal, report every step when it is done, and collect the hints."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
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
    """The hint that the node gave at one point of an episode.

    Attributes:
        done: The steps that had been reported by then.
        gold: The right hint: a step, or DONE.
        hint: The node's hint: STEP, DONE, UNSURE or CANNOT_TELL, as in msg/ActionHint.
        step: The step that the node named, even if it is unsure of that step; empty if it named none.
        confidence: The probability of the hint, 0 to 1.
        stamps_ns: Stamps of the frames that the hint rests on, oldest first.
        now_ns: The time at which the hint was asked for, on the clock of the stamps.
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
        """Whether the node was sure of its hint and the hint is the right one."""
        return self.hint == DONE if self.gold == DONE else self.hint == "STEP" and self.step == self.gold


@dataclass(frozen=True)
class RecordedEpisode:
    """An episode as `llava-ov rooms record --episode` writes it beside a recording.

    Attributes:
        goal: The goal that the episode reaches.
        steps: The plan that is carried out, such as `PickupObject mug`.
        times_s: When a hint is asked for, in seconds from the first frame: at the start of the first step, and at the
            end of each step.
    """

    goal: str
    steps: tuple[str, ...]
    times_s: tuple[float, ...]


@dataclass(frozen=True)
class EpisodeResult:
    """The hints that the node gave about one episode.

    Attributes:
        episode: The episode that was played.
        turns: The hints in order. The node is not asked again after it has said DONE, even if DONE was wrong.
    """

    episode: RecordedEpisode
    turns: tuple[HintTurn, ...]

    @property
    def total(self) -> int:
        """Number of right hints that the episode has: one for each step, and DONE."""
        return len(self.episode.steps) + 1

    @property
    def right(self) -> int:
        """Number of hints that were right."""
        return sum(turn.is_right for turn in self.turns)

    @property
    def is_complete(self) -> bool:
        """Whether every hint from the goal to DONE was right."""
        return self.right == self.total


def read_episode(truth: Path) -> RecordedEpisode:
    """Read the episode from the truth file of a recording.

    Raises:
        LiveError: The file has no episode; the text names the file and the field.
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
    """A session that sets goals, reports steps and receives hints."""

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
        """Wait until this session and the node have discovered each other, so that no hint is lost.

        Raises:
            LiveError: The node's services are missing, or the node publishes no hint.
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
        """Report the last step that is done, or set the goal if no step is done, and wait for the hint that follows.

        Raises:
            LiveError: The node refused the report, published no hint, or published a hint without an answer of the
                model.
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
        """Clear the node's goal."""
        self._tell(self._clear_goal, ClearGoal.Request())

    def _tell(self, client: Any, request: Any) -> None:
        response = self._call(client, [request], CALL_S)[0]
        if not response.success:
            raise LiveError(f"{client.srv_name}: {response.message}")


class LiveEpisodes:
    """Plays recorded episodes to an active node; made by `live_episodes`."""

    def __init__(self, session: EpisodeSession, reports: Sequence[DiagnosticsReport]) -> None:
        """Use a session that the node has discovered.

        Args:
            session: Publishes one topic for the node.
            reports: The node's diagnostics; the last one is the newest.
        """
        self._session = session
        self._reports = reports

    def play(self, bag: Path, truth: Path) -> EpisodeResult:
        """Play an episode to its end, or until the node says DONE.

        Args:
            bag: A bag that `llava-ov rooms record --episode` wrote.
            truth: The truth file that was written beside the bag.

        Raises:
            LiveError: The node did not respond as expected, or the truth file has no episode.
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
        """Publish the bag's frames and yield each time in `times_s` once the node is ready to be asked about it.

        The node is ready when it has all frames up to that time and its clock has reached the time.
        """
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
def live_episodes(model: Mapping[str, Value], log: Path) -> Iterator[LiveEpisodes]:
    """Run the installed node in a namespace of its own while the `with` block lasts.

    Args:
        model: Values of the node's parameters that name its model: `model`, `device`, `remote_model`, ...
        log: File that receives the node's output.

    Raises:
        LiveError: The node did not start, refused the model, or did not end with exit code 0; or the block raised
            LiveError. The text ends with the last lines of the node's log.
    """
    parameters = {**EPISODE_PARAMETERS, **model}
    with node_of_its_own(EpisodeSession, parameters, log) as (session, reports):
        session.wait_until_hints_are_heard()
        yield LiveEpisodes(session, reports)
