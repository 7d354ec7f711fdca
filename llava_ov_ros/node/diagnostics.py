"""What the node says of itself on /diagnostics; keys and units are listed in docs/interfaces.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from ..frames import NS_PER_S, Camera
from ..tasks import Result, Status
from .intake import Link
from .model import Model
from .parameters import Settings
from .worker import Worker

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def _status(name: str, level: bytes, message: str, hardware_id: str, values: Mapping[str, object]) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware_id, values=pairs)


def camera_status(name: str, camera: Camera, link: Link, settings: Settings, now_ns: int) -> DiagnosticStatus:
    """Frames in, admitted, refused and why; age of the newest; whether the picture stands still; who publishes.

    Args:
        name: Name of the node.
        camera: The camera.
        link: How it is connected.
        settings: Of the node.
        now_ns: The node's clock.
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
        level, message = ERROR, "no usable frame yet" + (f": {counts.last_error}" if counts.last_error else "")
    elif age_ns > settings.max_frame_age_s * NS_PER_S:
        level, message = ERROR, f"stale: the newest usable frame is {age_ns / NS_PER_S:.1f} s old"
    elif 0 < settings.frozen_after_s <= same_s:
        level, message = ERROR, f"frozen: new stamps with an identical picture for {same_s:.1f} s"
    elif counts.malformed:
        level, message = WARN, f"{counts.malformed} malformed messages, the last: {counts.last_error}"
    elif counts.zero_stamps or counts.future_stamps or counts.out_of_order or counts.jumps_back:
        level, message = (
            WARN,
            f"stamps: {counts.zero_stamps} zero (time of arrival used), {counts.future_stamps} in the future and "
            f"{counts.out_of_order} out of order (refused), {counts.jumps_back} jumps back (buffer begun anew)",
        )
    values: dict[str, object] = {entry.name: getattr(counts, entry.name) for entry in fields(counts)}
    values |= {
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


def queue_status(
    name: str, worker: Worker | None, settings: Settings, counts: Mapping[Status, int]
) -> DiagnosticStatus:
    """Requests waiting, and how all so far have ended."""
    level, message = OK, "idle"
    if worker is None:
        message = "not active"
    elif worker.death is not None:
        level, message = ERROR, f"the worker thread has ended: {worker.death}"
    elif worker.waiting >= settings.queue_size:
        level, message = WARN, f"full ({settings.queue_policy})"
    elif worker.busy:
        message = "answering"
    values: dict[str, object] = {
        "waiting": worker.waiting if worker else 0,
        "size": settings.queue_size,
        "policy": settings.queue_policy,
    }
    values |= {f"ended_{status.name.lower()}": count for status, count in counts.items()}
    return _status(f"{name}: queue", level, message, "", values)


def model_status(name: str, model: Model | None, fault: str, last: Result | None) -> DiagnosticStatus:
    """The model, its memory, what it has computed, and the speed of the last answer.

    Args:
        name: Name of the node.
        model: The model, or None where the node is not configured.
        fault: Why there is no model, where loading failed.
        last: The last result.
    """
    level, message = OK, "not loaded"
    values: dict[str, object] = {"memory_bytes": 0, "planned_bytes": 0}
    if model is not None:
        message = "resting: loaded again with the next question" if model.is_resting else "loaded"
        values = {"memory_bytes": model.memory_bytes(), "planned_bytes": model.planned_bytes, **model.counters()}
    if fault:
        level, message = ERROR, fault
    elif last is not None and last.status is Status.MODEL_ERROR:
        level, message = ERROR, f"the last request failed: {last.message}"
    if last is not None:
        values |= {
            "last_status": last.status.name,
            "last_time_to_first_token_s": f"{last.time_to_first_token_s:.4f}",
            "last_total_s": f"{last.total_s:.4f}",
            "last_new_tokens": last.new_tokens,
            "last_tokens_per_s": f"{last.tokens_per_s:.1f}",
        }
    return _status(f"{name}: model", level, message, model.name if model is not None else "", values)
