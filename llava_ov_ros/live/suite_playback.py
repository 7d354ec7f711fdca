"""Ask the installed node the questions of a suite while the suite's bags are played over real topics with /clock."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from llava_ov_ros.srv import Ask
from llava_ov_ros.srv import Plan as PlanService

from ..evaluation.run.answering_model import WorkError, is_served
from ..evaluation.run.bag_answers import (
    Ended,
    Ready,
    RowsAnswered,
    ShardEvent,
    absolute,
    kept_frames,
    row_of,
    times_of,
)
from ..evaluation.run.frame_pictures import pictures_of
from ..evaluation.suite.preflight import Job, Shard, named_actions, named_model, named_prompts
from ..evaluation.suite.trials import PLAN, Trial
from ..frames.camera_settings import recording_settings
from ..frames.decode_options import RECORDED_PIXELS
from ..no_op import no_op
from ..node.depths import requests_qos
from ..node.messages import to_stamp
from ..questions import Status
from ..questions.blank import blank_pictures
from ..remote import RemoteSettings
from ..replay import AnswerRecord, BagError, PlanRecord, Schedule
from ..settings import DEFAULTS
from ..settings.value_range import DEFAULT
from .message_records import answer_record, plan_record
from .number_format import comparable_dtype
from .playback import LiveSession, request_window_s
from .player import RECEIVES_ALL, staged_base
from .process import NodeProcess, use_large_segments
from .session import DiagnosticsReport, LiveError

START_S = 60.0
LOAD_S = 600.0
ANSWER_S = 120.0
GRACE_S = 60.0
DELIVERY_S = 10.0
# More at once would be refused.
QUESTIONS_AT_ONCE = DEFAULTS.queue_size

Delivery = list[dict[str, Any]]
RowAndTimes = tuple[dict[str, Any], dict[str, Any]]
"""A row and its times."""


def ask_live(
    job: Job,
    open_shards: Sequence[int],
    done: Mapping[int, AbstractSet[int]],
    log: Path,
    rate: float,
    take: Callable[[ShardEvent], None],
) -> None:
    """Play each bag to a node of its own and ask the questions about it.

    Args:
        job: The suite.
        open_shards: Numbers of the bags to work on.
        done: Numbers of the trials that are not asked again, by number of the bag.
        log: File for the output of the nodes.
        rate: Seconds of the recording per second; time stands still while a question is answered.
        take: Called with every event.

    Raises:
        WorkError: The node did not start or did not respond as expected, or a bag is damaged.
    """
    use_large_segments()
    for number in open_shards:
        shard = job.shards[number]
        try:
            _shard(job, shard, done.get(number, frozenset()), log, rate, take)
        except BagError as error:
            raise WorkError(str(error)) from None


def _shard(
    job: Job, shard: Shard, done: AbstractSet[int], log: Path, rate: float, take: Callable[[ShardEvent], None]
) -> None:
    namespace = f"/llava_ov_eval_{os.getpid()}_{shard.number}"
    node = NodeProcess(namespace, _parameters(job, shard, namespace), log, clock=f"{namespace}/clock")
    topics = [camera.topic.name for camera in shard.cameras]
    try:
        # The session first: its publishers must be there for `image_qos: match` to match them.
        with EvaluationSession(shard.bag, topics, node.name, rate, namespace, node.check) as session, node:
            session.wait_until_up(START_S)
            session.configure(LOAD_S)
            session.activate(START_S)
            session.wait_until_heard(START_S)
            reports: deque[DiagnosticsReport] = deque(maxlen=1)
            with session.diagnostics(reports.append, START_S):
                take(Ready())
                _play(job, shard, session, done, take)
                delivery, remarks = _delivered(shard, session, reports)
            if (code := node.end()) != 0:
                raise LiveError(f"the node ended with exit code {code}")
    except LiveError as error:
        tail = node.tail() if log.exists() else ""
        raise WorkError(f"{shard.name}: {error}\nThe end of the node's log ({log}):\n{tail}") from None
    lost = [one for one in delivery if one["received"] != one["published"]]
    remarks += [f"{one['camera']}: {one['received']} of {one['published']} pictures arrived" for one in lost]
    take(Ended(shard.number, tuple(remarks), tuple(delivery)))


def _parameters(job: Job, shard: Shard, namespace: str) -> dict[str, Any]:
    """Return the node's parameters that the suite asks for."""
    model, clip, planning = job.suite.model, job.suite.clip, job.suite.planning
    camera = recording_settings(max_frames=clip.frames)
    return {
        "use_sim_time": True,
        "model": named_model(job.suite),
        **_remote_parameters(job.suite.server),
        "device": model.device,
        "dtype": comparable_dtype(model.model, model.device, model.dtype),
        "prompts": named_prompts(job.suite),
        "actions": named_actions(job.suite),
        "cameras": [one.name for one in shard.cameras],
        "image_topics": [staged_base(one.topic, namespace) for one in shard.cameras],
        "image_transport": [one.topic.transport for one in shard.cameras],
        "rotations_deg": [one.rotate_deg for one in shard.cameras],
        # As in process.
        "max_image_pixels": RECORDED_PIXELS,
        "value_range": [one.value_range for one in shard.cameras],
        **RECEIVES_ALL,
        "admission_rate_hz": float(clip.rate_hz),
        # Where windows are longer than the default buffer, the growing clip may hold older frames than in process.
        "buffer_frames": max(camera.buffer_frames, kept_frames(job, shard)),
        "clip_frames": clip.frames,
        "clip_min_frames": camera.growth.min_frames,
        "max_frame_age_s": float(clip.max_age_s),
        "frozen_after_s": float(clip.frozen_after_s),
        "visual_mode": model.mode,
        "max_new_tokens": model.max_new_tokens,
        "plan_decoding": planning.decoding,
        "plan_repairs": planning.repairs,
        "plan_grounding": planning.grounding,
        "evidence": False,
        "diagnostics_period_s": 0.1,
    }


def _remote_parameters(server: RemoteSettings) -> dict[str, Any]:
    """Return the node's parameters `remote_...`, whose numbers of seconds ROS takes with a point only."""
    found = {f"remote_{one.name}": getattr(server, one.name) for one in fields(server) if one.name != "clip_frames"}
    return {name: float(value) if name.endswith("_s") else value for name, value in found.items()}


class EvaluationSession(LiveSession):
    """A session that asks the trials of a suite."""

    def __enter__(self) -> Self:
        super().__enter__()
        self._plans = self._node.create_client(PlanService, f"{self._node_name}/plan", qos_profile=requests_qos())
        return self

    def ask_trials(self, job: Job, shard: Shard, trials: Sequence[Trial], now_ns: int) -> list[RowAndTimes]:
        """Ask several questions about the same clips at once.

        Returns:
            The result row and the times of each question, in order.

        Raises:
            LiveError: A question was not answered.
        """
        found: list[RowAndTimes] = []
        for begin in range(0, len(trials), QUESTIONS_AT_ONCE):
            some = trials[begin : begin + QUESTIONS_AT_ONCE]
            began_s = time.monotonic()
            answers = self.ask([_request(trial, now_ns) for trial in some], ANSWER_S + GRACE_S)
            taken_s = time.monotonic() - began_s
            for trial, answer in zip(some, answers, strict=True):
                record = answer_record(answer, job.prompts.cannot_tell)
                found.append((row_of(shard, trial, now_ns, record), _times(trial, record, taken_s)))
        return found

    def plan_trial(self, shard: Shard, trial: Trial, now_ns: int) -> RowAndTimes:
        """Ask for a plan.

        Returns:
            The result row and the times.

        Raises:
            LiveError: The node did not respond.
        """
        request = PlanService.Request(goal=trial.ask, window_s=request_window_s(trial.window_ns), deadline_s=ANSWER_S)
        began_s = time.monotonic()
        self.wait_for(self._plans.service_is_ready, START_S, f"there is no {self._plans.srv_name}")
        record = plan_record(self._call(self._plans, [request], ANSWER_S + GRACE_S)[0].plan)
        return row_of(shard, trial, now_ns, record), _times(trial, record, time.monotonic() - began_s)


def _play(
    job: Job, shard: Shard, session: EvaluationSession, done: AbstractSet[int], take: Callable[[ShardEvent], None]
) -> None:
    used: dict[tuple[str, int], str] = {}

    def ask(due: Sequence[tuple[int, Trial, int]]) -> None:
        for now_ns, same_time in groupby(due, key=lambda one: one[2]):
            open_ones = [trial for _, trial, _ in same_time if trial.number not in done]
            if not open_ones:
                continue
            session.arrive_at(now_ns)
            pairs = session.ask_trials(job, shard, [t for t in open_ones if t.kind != PLAN], now_ns)
            pairs += [session.plan_trial(shard, trial, now_ns) for trial in open_ones if trial.kind == PLAN]
            if is_served(job):
                _check_answers([row for row, _ in pairs])
            for frame in (frame for row, _ in pairs for frame in row["frames"]):
                used.setdefault((frame["camera"], frame["stamp_ns"]), frame.get("value_range", DEFAULT))
            rows, times = zip(*pairs, strict=True)
            take(RowsAnswered(shard.number, rows, times, {}))

    session.play_schedule(Schedule(shard.trials), ask, no_op)
    take(RowsAnswered(shard.number, (), (), pictures_of(shard, used)))


def _check_answers(rows: Sequence[Mapping[str, Any]]) -> None:
    """Check that a server has answered; questions that it has left without an answer stay open, as in process.

    Raises:
        LiveError: An answer is missing because the server has failed.
    """
    for row in rows:
        if row["status"] == Status.MODEL_ERROR.name:
            raise LiveError(f"the server does not answer: {row['message']}")


def _delivered(
    shard: Shard, session: EvaluationSession, reports: Sequence[DiagnosticsReport]
) -> tuple[Delivery, list[str]]:
    """Count the pictures of each camera that were published, received and admitted, and note cameras that show nothing.

    Waits for pictures that are still on their way.
    """
    published = session.player.published
    full = dict(zip([camera.topic.name for camera in shard.cameras], session.player.topics, strict=True))

    def counts() -> dict[str, Mapping[str, str]]:
        return {name: (reports[-1].cameras if reports else {}).get(topic, {}) for name, topic in full.items()}

    def all_there() -> bool:
        return all(int(values.get("received", 0)) >= published[name] for name, values in counts().items())

    until_s = time.monotonic() + DELIVERY_S
    session.wait_for(lambda: all_there() or time.monotonic() > until_s, 2 * DELIVERY_S, "the node says nothing")
    found = counts()
    delivery = [
        {
            "bag": shard.name,
            "camera": camera.name,
            "published": published[camera.topic.name],
            "received": int(found[camera.topic.name].get("received", 0)),
            "admitted": int(found[camera.topic.name].get("admitted", 0)),
        }
        for camera in shard.cameras
    ]
    remarks = []
    for camera in shard.cameras:
        values = found[camera.topic.name]
        if blank := int(values.get("blank", 0)):
            remarks.append(f"{camera.name}: {blank_pictures(blank, values['last_blank'])}")
    return delivery, remarks


def _request(trial: Trial, now_ns: int) -> Ask.Request:
    request = Ask.Request(
        question=trial.ask,
        kind=trial.kind,
        choices=list(trial.choices),
        window_s=request_window_s(trial.window_ns),
        deadline_s=ANSWER_S,
    )
    if trial.range_ns is not None:
        from_ns, to_ns = absolute(trial.range_ns, trial.at_ns, now_ns)
        request.from_stamp, request.to_stamp = to_stamp(from_ns), to_stamp(to_ns)
    return request


def _times(trial: Trial, record: AnswerRecord | PlanRecord, taken_s: float) -> dict[str, Any]:
    return {**times_of(trial, record), "round_trip_s": taken_s}
