"""One bag through the cameras and the model: every frame offered once, every question asked at its time, no clock."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import cv2

from ...frames import NS_PER_S, AdmissionSettings, Camera, CameraSettings, Clip, DecodeOptions
from ...planning import PlanOptions, PlanResult
from ...questions import (
    AnswersQuestions,
    Asked,
    Kind,
    Query,
    Result,
    SceneQuestion,
    Status,
    answer_together,
    cut_clips,
    shape,
)
from ...replay import Schedule, counted_by, frames_record, plan_about, read_messages, remarks
from ..suite.preflight import Job, Shard
from ..suite.trials import PLAN, Trial
from .answer_scores import Row

TILE_PX = 224
TILE_QUALITY = 70
CONFIDENCE_DECIMALS = 4
BUFFER_BYTES = 2**30


@dataclass(frozen=True)
class RowsAnswered:
    """Answers to questions that were asked together; they go into the journal together.

    Attributes:
        shard: Number of the bag.
        rows: One for each question, without scores.
        timings: One for each question.
        pictures: Small JPEGs of the frames used, by `picture_name`; those that were given before may be left out.
    """

    shard: int
    rows: tuple[Row, ...]
    timings: tuple[dict[str, Any], ...]
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class Ended:
    """A bag is through.

    Attributes:
        shard: Number of the bag.
        remarks: What a user should know of its cameras and their time.
        delivery: Of each camera, where it was live: how many pictures were published, received and admitted.
    """

    shard: int
    remarks: tuple[str, ...]
    delivery: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Ready:
    """A model is loaded, and the work begins."""


ShardEvent = Ready | RowsAnswered | Ended


def run_shard(job: Job, shard: Shard, engine: AnswersQuestions, done: AbstractSet[int]) -> Iterator[ShardEvent]:
    """Ask everything about one bag.

    Questions of one time about the same clips are asked together, always the same ones, so that what was done before
    a run was stopped changes nothing for the others.

    Args:
        job: The suite.
        shard: The bag.
        engine: The model.
        done: Numbers of trials that are not asked again.

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
    """A camera for each topic, whose buffer holds the longest clip that is asked about."""
    return {
        one.topic.name: Camera(
            one.name,
            CameraSettings(
                decode=DecodeOptions(rotate_deg=one.rotate_deg, value_range=one.value_range),
                admission=AdmissionSettings(rate_hz=job.suite.clip.rate_hz),
                buffer_frames=buffer_frames(job, shard),
                buffer_bytes=BUFFER_BYTES,
            ),
        )
        for one in shard.cameras
    }


def buffer_frames(job: Job, shard: Shard) -> int:
    """How many frames of a camera make up the longest clip that is asked about."""
    longest_ns = max((t.at_ns - t.range_ns[0] if t.range_ns else t.window_ns for t in shard.trials), default=0)
    lengths = [(one.topic.count, (one.topic.last_ns - one.topic.first_ns) / NS_PER_S) for one in shard.cameras]
    # Recorded rates vary; twice the mean is enough for what a buffer is for.
    recorded_hz = max((2 * count / length_s for count, length_s in lengths if length_s > 0), default=0.0)
    rate_hz = job.suite.clip.rate_hz or recorded_hz
    return max(CameraSettings().buffer_frames, math.ceil(longest_ns / NS_PER_S * rate_hz) + 2)


def picture_name(shard: int, camera: int, stamp_ns: int) -> str:
    """Where the small picture of a frame is, below the folder of frames."""
    return f"{shard:03d}/{camera}-{stamp_ns}.jpg"


def _together(trials: Sequence[Trial]) -> list[tuple[Trial, ...]]:
    """Questions of one time by their clips; a plan stands alone."""
    groups: dict[Any, list[Trial]] = {}
    for trial in trials:
        key = (PLAN, trial.number) if trial.kind == PLAN else (trial.window_ns, trial.range_ns)
        groups.setdefault(key, []).append(trial)
    return [tuple(group) for group in groups.values()]


class _Asking:
    """Asks about one bag."""

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
            answers = [(trials[0], result, plan_fields(plan))]
        else:
            results: dict[str, Result] = {}

            def on_result(result: Result) -> None:
                results[result.query.request_id] = result

            queries = [self._query(trial, now_ns) for trial in trials]
            answer_together(
                [Asked(query, on_result) for query in queries], self._engine, lambda query: self._cut(query, now_ns)
            )
            in_order = [results[query.request_id] for query in queries]
            answers = [(trial, result, answer_fields(result)) for trial, result in zip(trials, in_order, strict=True)]
        pictures: dict[str, bytes] = {}
        for _, result, _ in answers:
            pictures |= self._pictures(result.clips)
        return RowsAnswered(
            self._shard.number,
            tuple(row_of(self._shard, trial, now_ns, result, fields) for trial, result, fields in answers),
            tuple(
                {"number": trial.number, "first_token_s": result.time_to_first_token_s, "total_s": result.total_s}
                for trial, result, _ in answers
            ),
            pictures,
        )

    def _cut(self, query: Query, now_ns: int) -> tuple[Clip, ...]:
        clip = self._job.suite.clip
        return cut_clips(query, self._cameras, now_ns, _ns(clip.max_age_s), _ns(clip.frozen_after_s))

    def _query(self, trial: Trial, now_ns: int) -> Query:
        """What is asked, as the kind of question is put to this model."""
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
        return replace(
            query,
            question=trial.ask or self._job.prompts.change,
            prompt=shaped.prompt,
            choices=shaped.choices,
            max_new_tokens=shaped.max_new_tokens,
            shaped=shaped,
        )

    def _plan(self, trial: Trial, now_ns: int) -> tuple[Result, PlanResult | None]:
        planning = self._job.suite.planning
        return plan_about(
            self._query(trial, now_ns),
            lambda query: self._cut(query, now_ns),
            self._engine,
            self._job.vocabulary,
            self._job.prompts,
            PlanOptions(planning.decoding, planning.repairs, planning.grounding),
        )

    def _pictures(self, clips: Sequence[Clip]) -> dict[str, bytes]:
        """Small JPEGs of frames that were not given before."""
        found: dict[str, bytes] = {}
        for clip in clips:
            for frame in clip.frames:
                name = picture_name(self._shard.number, self._numbers[clip.camera], frame.stamp_ns)
                if name not in self._shown:
                    self._shown.add(name)
                    found[name] = tile(frame.rgb)
        return found


def tile(rgb: Any) -> bytes:
    """A picture, uint8 (height, width, 3), as a small JPEG."""
    height = max(1, round(rgb.shape[0] * TILE_PX / rgb.shape[1]))
    small = cv2.resize(rgb, (TILE_PX, height), interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, TILE_QUALITY])[1]
    return bytes(data.tobytes())


def row_of(shard: Shard, trial: Trial, now_ns: int, result: Result, fields: Mapping[str, Any]) -> Row:
    """An answer as a line of results.jsonl, without scores; names are those of `llava-ov replay --json`."""
    used = {"range_s": [time_ns / NS_PER_S for time_ns in trial.range_ns]} if trial.range_ns else {}
    return {
        "bag": shard.name,
        "number": trial.number,
        "question": result.query.question,
        "kind": trial.kind,
        "category": trial.category,
        "at_s": trial.at_ns / NS_PER_S,
        "stamp_ns": now_ns,
        "window_s": trial.window_ns / NS_PER_S,
        **used,
        "status": result.status.name,
        "message": result.message,
        "text": result.text,
        "confidence": round(result.confidence, CONFIDENCE_DECIMALS),
        **fields,
        **({"choices": list(trial.choices)} if trial.choices else {}),
        "gold": gold_of(trial),
        "frames": frames_record(result.clips),
        "new_tokens": result.new_tokens,
    }


def gold_of(trial: Trial) -> list[Any]:
    """What would be right, as a row has it: answers, or one plan as rows."""
    if trial.plan is None:
        return list(trial.gold)
    return [] if trial.plan.rows is None else [[list(row) for row in trial.plan.rows]]


def answer_fields(result: Result) -> dict[str, Any]:
    """What the answer to a question has besides its text."""
    scene = result.scene
    if scene is None or result.status is not Status.OK:
        return {"value": None}
    found: dict[str, Any] = {"value": scene.value}
    if scene.probabilities is not None:
        found["probabilities"] = {
            text: round(probability, CONFIDENCE_DECIMALS) for text, probability in scene.probabilities.items()
        }
    return found


def plan_fields(plan: PlanResult | None) -> dict[str, Any]:
    """What a plan has besides its text."""
    if plan is None:
        return {"steps": [], "accepted": False, "unread": [], "findings": [], "repairs": 0}
    return {
        "steps": plan.validation.plan.rows,
        "accepted": plan.accepted,
        "unread": list(plan.unread),
        "findings": [finding.text for finding in plan.validation.findings],
        "repairs": plan.repairs,
    }


def absolute(range_ns: tuple[int, int], at_ns: int, now_ns: int) -> tuple[int, int]:
    """A range after the first frame, on the clock of the frames' stamps."""
    origin_ns = now_ns - at_ns
    return origin_ns + range_ns[0], origin_ns + range_ns[1]


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
