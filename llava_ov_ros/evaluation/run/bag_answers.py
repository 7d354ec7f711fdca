"""Answers all questions about one bag: offers every frame once, asks every question at its time, uses no clock."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import cv2

from ...asking import AnswersQuestions
from ...frames import NS_PER_S, Camera, Clip
from ...frames.camera_settings import recording_settings
from ...planning import PlanOptions, PlanResult, plan_about
from ...questions import (
    Kind,
    Query,
    Result,
    SceneQuestion,
    answer_queries,
    cut_clips,
    shape,
)
from ...replay import (
    AnswerRecord,
    PlanRecord,
    Schedule,
    answer_record,
    answers_with,
    counted_by,
    plan_record,
    read_messages,
    remarks,
)
from ..suite.preflight import Job, Shard, named_actions
from ..suite.trials import PLAN, Trial
from .answer_scores import Row

TILE_PX = 224
TILE_QUALITY = 70
CONFIDENCE_DECIMALS = 4
KEPT_BYTES = 2**30
"""More than buffer_mb by default: an evaluation may ask about longer windows and ranges than a robot."""


@dataclass(frozen=True)
class RowsAnswered:
    """An event: answers to questions that were asked together. They go into the journal together.

    Attributes:
        shard: Number of the bag.
        rows: One row per question, without scores.
        timings: The times of each answer, one entry per question.
        pictures: Small JPEGs of the frames used, by `picture_name`; pictures of earlier events may be left out.
    """

    shard: int
    rows: tuple[Row, ...]
    timings: tuple[dict[str, Any], ...]
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class Ended:
    """An event: all questions about a bag are answered.

    Attributes:
        shard: Number of the bag.
        remarks: Remarks on the cameras of the bag and their time.
        delivery: For each camera of a live run, the numbers of pictures published, received and admitted.
    """

    shard: int
    remarks: tuple[str, ...]
    delivery: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Ready:
    """An event: a model is loaded, and the work begins."""


ShardEvent = Ready | RowsAnswered | Ended


def run_shard(job: Job, shard: Shard, engine: AnswersQuestions, done: AbstractSet[int]) -> Iterator[ShardEvent]:
    """Ask all questions about one bag.

    Questions of one time about the same clips are always asked together, also if some of them are done already, so that
    stopping and continuing a run changes no answer.

    Args:
        job: The suite.
        shard: The bag.
        engine: The model.
        done: Numbers of the trials that are answered already; a group of only such trials is not asked again.

    Raises:
        BagError: The bag is damaged.
    """
    cameras = make_cameras(job, shard)
    by_name = {camera.name: camera for camera in cameras.values()}
    schedule: Schedule[Trial] = Schedule(shard.trials)
    asking = _Asking(job, shard, engine, by_name)

    def ask(due: Sequence[tuple[int, Trial, int]]) -> Iterator[RowsAnswered]:
        for now_ns, same_time in groupby(due, key=lambda one: one[2]):
            for trials in _together([trial for _, trial, _ in same_time]):
                if not done >= {trial.number for trial in trials}:
                    yield asking.ask(trials, now_ns)

    topics = [camera.topic.name for camera in shard.cameras]
    for message in read_messages(shard.bag, topics, on_malformed=counted_by(cameras)):
        schedule.take(message)
        yield from ask(list(schedule.due()))
        cameras[message.topic].offer(message.message, message.time_ns)
    yield from ask(list(schedule.rest()))
    yield Ended(shard.number, tuple(remarks([camera.topic for camera in shard.cameras], cameras)))


def make_cameras(job: Job, shard: Shard) -> dict[str, Camera]:
    """Make a camera for each topic, by topic name.

    The growing clip is the node's; the buffer holds the longest window or range of any question.
    """
    return {
        one.topic.name: Camera(
            one.name,
            recording_settings(
                max_frames=job.suite.clip.frames,
                rate_hz=job.suite.clip.rate_hz,
                rotate_deg=one.rotate_deg,
                value_range=one.value_range,
                kept_frames=kept_frames(job, shard),
                kept_bytes=KEPT_BYTES,
            ),
        )
        for one in shard.cameras
    }


def kept_frames(job: Job, shard: Shard) -> int:
    """The number of a camera's frames in the longest window or range of any question."""
    longest_ns = max((t.at_ns - t.range_ns[0] if t.range_ns else t.window_ns or 0 for t in shard.trials), default=0)
    lengths = [(one.topic.count, (one.topic.last_ns - one.topic.first_ns) / NS_PER_S) for one in shard.cameras]
    # Recorded rates vary; a buffer for twice the mean rate is large enough.
    recorded_hz = max((2 * count / length_s for count, length_s in lengths if length_s > 0), default=0.0)
    rate_hz = job.suite.clip.rate_hz or recorded_hz
    return math.ceil(longest_ns / NS_PER_S * rate_hz) + 2


def picture_name(shard: int, camera: int, stamp_ns: int) -> str:
    """Path of the small picture of a frame, relative to the folder of frames."""
    return f"{shard:03d}/{camera}-{stamp_ns}.jpg"


def _together(trials: Sequence[Trial]) -> list[tuple[Trial, ...]]:
    """Group questions of one time by their clips; each plan is a group of its own."""
    groups: dict[Any, list[Trial]] = {}
    for trial in trials:
        key = (PLAN, trial.number) if trial.kind == PLAN else (trial.window_ns, trial.range_ns)
        groups.setdefault(key, []).append(trial)
    return [tuple(group) for group in groups.values()]


class _Asking:
    """Asks the questions about one bag."""

    def __init__(self, job: Job, shard: Shard, engine: AnswersQuestions, cameras: Mapping[str, Camera]) -> None:
        self._job = job
        self._shard = shard
        self._engine = engine
        self._cameras = cameras
        self._numbers = {name: number for number, name in enumerate(cameras)}
        self._shown: set[str] = set()

    def ask(self, trials: Sequence[Trial], now_ns: int) -> RowsAnswered:
        if trials[0].kind == PLAN:
            result, plan = self._plan(trials[0], now_ns)
            results = [result]
            records: list[AnswerRecord | PlanRecord] = [self._plan_record(trials[0], result, plan)]
        else:
            queries = [self._query(trial, now_ns) for trial in trials]
            results = answer_queries(queries, self._engine, lambda query: self._cut(query, now_ns))
            records = [answer_record(result, self._engine.name) for result in results]
        pictures: dict[str, bytes] = {}
        for result in results:
            pictures |= self._pictures(result.clips)
        answers = list(zip(trials, records, strict=True))
        return RowsAnswered(
            self._shard.number,
            tuple(row_of(self._shard, trial, now_ns, record) for trial, record in answers),
            tuple(times_of(trial, record) for trial, record in answers),
            pictures,
        )

    def _cut(self, query: Query, now_ns: int) -> tuple[Clip, ...]:
        clip = self._job.suite.clip
        return cut_clips(query, self._cameras, now_ns, _ns(clip.max_age_s), _ns(clip.frozen_after_s))

    def _query(self, trial: Trial, now_ns: int) -> Query:
        """The query of a trial, with the prompt that the set of prompts makes for the question's kind."""
        model = self._job.suite.model
        query = Query(
            trial.ask,
            tuple(self._cameras),
            mode=model.mode,
            window_ns=trial.window_ns,
            range_ns=None if trial.range_ns is None else absolute(trial.range_ns, trial.at_ns, now_ns),
            max_frames=self._job.suite.clip.frames,
            max_new_tokens=model.max_new_tokens,
            request_id=f"{self._shard.number}-{trial.number}",
        )
        if trial.kind == PLAN:
            return query
        shaped = shape(
            SceneQuestion(Kind(trial.kind), trial.ask, trial.choices), self._job.prompts, model.max_new_tokens
        )
        return query.put_as(shaped)

    def _plan(self, trial: Trial, now_ns: int) -> tuple[Result, PlanResult | None]:
        planning = self._job.suite.planning
        return plan_about(
            trial.ask,
            self._query(trial, now_ns),
            answers_with(self._engine, lambda query: self._cut(query, now_ns)),
            self._job.vocabulary,
            self._job.prompts,
            PlanOptions(planning.decoding, planning.repairs, planning.grounding),
        )

    def _plan_record(self, trial: Trial, result: Result, plan: PlanResult | None) -> PlanRecord:
        job = self._job
        return plan_record(trial.ask, result, plan, self._engine.name, named_actions(job.suite), job.prompts.identity)

    def _pictures(self, clips: Sequence[Clip]) -> dict[str, bytes]:
        """Small JPEGs of the frames that no earlier event had, by `picture_name`."""
        found: dict[str, bytes] = {}
        for clip in clips:
            for frame in clip.frames:
                name = picture_name(self._shard.number, self._numbers[clip.camera], frame.stamp_ns)
                if name not in self._shown:
                    self._shown.add(name)
                    found[name] = tile(frame.rgb)
        return found


def tile(rgb: Any) -> bytes:
    """Encode a picture, RGB uint8 (height, width, 3), as a small JPEG."""
    height = max(1, round(rgb.shape[0] * TILE_PX / rgb.shape[1]))
    small = cv2.resize(rgb, (TILE_PX, height), interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, TILE_QUALITY])[1]
    return bytes(data.tobytes())


def row_of(shard: Shard, trial: Trial, now_ns: int, record: AnswerRecord | PlanRecord) -> Row:
    """Make a line of results.jsonl, without scores; field names are those of `llava-ov replay --json`.

    Args:
        shard: The bag.
        trial: The question or goal.
        now_ns: Time of the question on the clock of the frames' stamps.
        record: The answer or plan.
    """
    used = {"range_s": [time_ns / NS_PER_S for time_ns in trial.range_ns]} if trial.range_ns else {}
    row = {
        "bag": shard.name,
        "number": trial.number,
        "question": record.question if isinstance(record, AnswerRecord) else record.goal,
        "kind": trial.kind,
        "category": trial.category,
        "at_s": trial.at_ns / NS_PER_S,
        "stamp_ns": now_ns,
        "window_s": trial.window_s,
        **used,
        "status": record.status,
        "message": record.message,
        "text": record.text,
        "confidence": round(record.confidence, CONFIDENCE_DECIMALS),
        **(_answer_fields(record) if isinstance(record, AnswerRecord) else _plan_fields(record)),
        **({"choices": list(trial.choices)} if trial.choices else {}),
        "gold": gold_of(trial),
        "frames": list(record.frames),
    }
    if record.new_tokens is not None:
        row["new_tokens"] = record.new_tokens
    return row


def times_of(trial: Trial, record: AnswerRecord | PlanRecord) -> dict[str, Any]:
    """How long an answer or plan took; `first_token_s` is None where its source does not tell."""
    return {
        "number": trial.number,
        "first_token_s": record.time_to_first_token_s,
        "total_s": record.total_time_s,
    }


def gold_of(trial: Trial) -> list[Any]:
    """The right answers for a row: a list of answers, or a list of one plan as ALFRED's rows."""
    if trial.plan is None:
        return list(trial.gold)
    return [] if trial.plan.rows is None else [[list(row) for row in trial.plan.rows]]


def _answer_fields(record: AnswerRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {"value": record.value}
    if record.probabilities is not None:
        fields["probabilities"] = {
            text: round(probability, CONFIDENCE_DECIMALS) for text, probability in record.probabilities.items()
        }
    return fields


def _plan_fields(record: PlanRecord) -> dict[str, Any]:
    return {
        "steps": [[step.action, *step.arguments] for step in record.steps],
        "accepted": record.outcome == "ACCEPTED",
        "unread": list(record.unread),
        "findings": record.findings,
        "repairs": record.repairs,
    }


def absolute(range_ns: tuple[int, int], at_ns: int, now_ns: int) -> tuple[int, int]:
    """Convert a range in nanoseconds after the first frame to the clock of the frames' stamps."""
    origin_ns = now_ns - at_ns
    return origin_ns + range_ns[0], origin_ns + range_ns[1]


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
