"""Makes the node's messages on /diagnostics; docs/interfaces.md lists their keys and units."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from ..frames import NS_PER_S, Camera, CameraCounts
from ..questions import Status
from ..questions.blank import blank_pictures
from ..questions.freshness import doubt_of, messages_since
from ..questions.spread import spread
from ..settings import Settings
from .camera_subscriptions import Link
from .model import Model
from .recent import Ends
from .worker import Worker

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
COMPUTER = socket.gethostname()
"""Hardware id of the model and the queue; the hardware id of a camera is its topic."""
UNSERVED = (Status.QUEUE_FULL, Status.DROPPED, Status.DEADLINE)
"""Ends of requests for which the queue had no room or the deadline left no time."""
ASKED_THE_MODEL = (Status.OK, Status.MODEL_ERROR)
"""Ends of requests that show whether the model works."""


def _status(name: str, level: bytes, message: str, hardware_id: str, values: Mapping[str, object]) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware_id, values=pairs)


def camera_status(
    name: str, camera: Camera, recent: CameraCounts, link: Link, settings: Settings, now_ns: int
) -> DiagnosticStatus:
    """Report a camera: its messages by outcome, the age of its newest frame, a frozen picture, its publishers.

    Args:
        name: Fully qualified name of the node.
        camera: The camera.
        recent: The camera's counts of the last `diagnostics_window_s` seconds, which the warnings are about.
        link: The connection to the camera's publishers.
        settings: The parameters of the node.
        now_ns: Time of the node's clock, in nanoseconds.
    """
    counts = camera.counts
    frames, nbytes = camera.buffered
    age_ns, same_s = camera.age_ns(now_ns), camera.same_picture_ns() / NS_PER_S
    level, message = OK, "frames come in"
    if not link.reliability:
        message = "not active"
    elif not link.publisher_nodes:
        level, message = ERROR, f"nobody publishes {link.topic}"
    elif link.matched == 0:
        level, message = (
            ERROR,
            f"{link.topic} is published, but not as {link.message_type} (image_transport), or with a QoS that cannot "
            f"be heard: see `ros2 topic info -v {link.topic}`",
        )
    elif age_ns is None:
        level, message = ERROR, f"no usable frame yet{messages_since(camera)}"
    elif doubt := doubt_of(camera, now_ns, settings.max_frame_age_ns, settings.frozen_after_ns):
        level, message = ERROR, f"{doubt.status.name.lower()}: {doubt.reason}"
    elif warnings := _camera_warnings(camera, recent, f"in the last {settings.diagnostics_window_s:g} s"):
        level, message = WARN, "; ".join(warnings)
    values: dict[str, object] = {entry.name: getattr(counts, entry.name) for entry in fields(counts)}
    shown = camera.shown_range
    values |= {
        "value_range": "" if shown is None else str(shown),
        "age_s": "" if age_ns is None else f"{age_ns / NS_PER_S:.3f}",
        "same_picture_s": f"{same_s:.3f}",
        "buffered_frames": frames,
        "buffered_bytes": nbytes,
        "publishers": len(link.publisher_nodes),
        "publisher_nodes": " ".join(link.publisher_nodes),
        "matched": link.matched,
        "reliability": link.reliability,
    }
    return _status(f"{name}: camera {camera.name}", level, message, link.topic, values)


def _camera_warnings(camera: Camera, recent: CameraCounts, window: str) -> list[str]:
    """Describe the recent faults of a camera's messages, in one text for each kind of fault."""
    warnings = []
    if recent.malformed or recent.damaged:
        counted = [
            f"{count} {what}"
            for count, what in ((recent.malformed, "malformed messages"), (recent.damaged, "damaged pictures"))
            if count
        ]
        warnings.append(f"{' and '.join(counted)} {window}, the last: {recent.last_error}")
    if recent.blank:
        warnings.append(f"camera {camera.name!r}, {window}: {blank_pictures(recent.blank, recent.last_blank)}")
    if recent.zero_stamps or recent.future_stamps or recent.out_of_order or recent.jumps_back:
        warnings.append(
            f"stamps {window}: {recent.zero_stamps} zero (time of arrival used), {recent.future_stamps} in the future "
            f"and {recent.out_of_order} out of order (refused), {recent.jumps_back} jumps back (buffer begun anew)"
        )
    return warnings


def queue_status(name: str, worker: Worker | None, settings: Settings, ends: Ends) -> DiagnosticStatus:
    """Report the queue: the requests waiting, the ends of all requests so far, and the recent answer times.

    Args:
        name: Fully qualified name of the node.
        worker: The worker, which holds the queue; None while the node is not active.
        settings: The parameters of the node.
        ends: The ends of requests so far.
    """
    recent = ends.within(settings.diagnostics_window_s)
    unserved = Counter(end.status for end in recent if end.status in UNSERVED)
    times = spread([end.total_s for end in recent if end.status is Status.OK])
    level, message = OK, "idle"
    if worker is None:
        message = "not active"
    elif worker.death is not None:
        level, message = ERROR, f"the worker thread has ended: {worker.death}"
    elif worker.waiting >= settings.queue_size:
        level, message = WARN, f"full ({settings.queue_policy})"
    elif unserved:
        counted = ", ".join(f"{count} as {status.name}" for status, count in sorted(unserved.items()))
        level, message = (
            WARN,
            f"of {len(recent)} requests in the last {settings.diagnostics_window_s:g} s ended without an answer: "
            f"{counted}",
        )
    elif worker.busy:
        message = "answering"
    values: dict[str, object] = {
        "waiting": worker.waiting if worker else 0,
        "size": settings.queue_size,
        "policy": settings.queue_policy,
        "recent_answers": 0 if times is None else times.n,
        "answer_time_median_s": "" if times is None else f"{times.median_s:.4f}",
        "answer_time_p95_s": "" if times is None else f"{times.p95_s:.4f}",
    }
    values |= {f"ended_{status.name.lower()}": count for status, count in ends.counts.items()}
    return _status(f"{name}: queue", level, message, COMPUTER, values)


def model_status(name: str, model: Model | None, fault: str, settings: Settings, ends: Ends) -> DiagnosticStatus:
    """Report the model: its memory, its counters, and the speed of the last answer.

    Args:
        name: Fully qualified name of the node.
        model: The model; None while the node is not configured.
        fault: Why configure or activate failed; empty if neither failed.
        settings: The parameters of the node.
        ends: The ends of requests so far.
    """
    level, message = OK, "not loaded"
    values: dict[str, object] = {"model": "", "memory_bytes": 0, "planned_bytes": 0}
    if model is not None:
        message = "resting: loaded again with the next question" if model.is_resting else "loaded"
        values = {
            "model": model.name,
            "memory_bytes": model.memory_bytes(),
            "planned_bytes": sum(model.may_hold.values()),
        }
        values |= model.counted()
    # A request that was refused on arrival does not show whether the model works.
    asked = [end for end in ends.within(settings.diagnostics_window_s) if end.status in ASKED_THE_MODEL]
    failed = [end for end in asked if end.status is Status.MODEL_ERROR]
    if shortage := values.get("step_shortage"):
        level, message = WARN, str(shortage)
    if fault:
        level, message = ERROR, fault
    elif failed and asked[-1] is failed[-1]:
        level, message = ERROR, f"the last request failed: {failed[-1].message}"
    elif failed:
        level, message = (
            WARN,
            f"{len(failed)} of {len(asked)} requests failed in the last {settings.diagnostics_window_s:g} s, the last: "
            f"{failed[-1].message}",
        )
    if (last := ends.last) is not None:
        values |= {
            "last_status": last.status.name,
            "last_time_to_first_token_s": f"{last.time_to_first_token_s:.4f}",
            "last_total_s": f"{last.total_s:.4f}",
            "last_new_tokens": last.new_tokens,
            "last_tokens_per_s": f"{last.tokens_per_s:.1f}",
        }
    return _status(f"{name}: model", level, message, COMPUTER, values)
