"""Records all that a run's answers depend on, so that only an unchanged run can be continued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from ...frames.camera_settings import recording_settings
from ...planning import find_vocabulary
from ...settings.value_range import DEFAULT
from ..suite.preflight import Job, Shard, ShardCamera, named_actions
from .answering_model import AnsweringModel

# Larger files (weights, bags) are read only at both ends, which hold their indices.
WHOLE_BYTES = 64 * 2**20
END_BYTES = 2**20
# The packages that compute the answers: those of a checkpoint on this machine, and those of the pictures.
COMPUTE = ("torch", "transformers")
SHOW = ("opencv-python-headless", "pillow")


def identity(job: Job, model: AnsweringModel, way: str) -> dict[str, Any]:
    """Collect everything on which the answers of a run depend, ready for JSON; long values become digests.

    Args:
        job: The suite.
        model: What answers the questions.
        way: How questions are asked: in process or live.
    """
    suite = job.suite
    return {
        "suite": suite.name,
        "way": way,
        "model": suite.model.model,
        **(_server(job, model) if model.directory is None else {"model_files": digest_of_files(model.directory)}),
        "settings": {
            **({} if model.directory is None else _computing(job)),
            "mode": suite.model.mode,
            "max_new_tokens": suite.model.max_new_tokens,
            "clip": asdict(suite.clip),
            "growing_clip": _growing_clip(suite.clip.frames),
            "planning": asdict(suite.planning),
        },
        "versions": {name: _version(name) for name in (*SHOW, *(COMPUTE if model.directory is not None else ()))},
        "prompts": job.prompts.identity,
        "prompts_text": _digest(repr(job.prompts)),
        "actions": suite.model.actions,
        "actions_file": digest_of_files(find_vocabulary(named_actions(suite))),
        "bags": {shard.name: _bag(shard) for shard in job.shards},
    }


def _computing(job: Job) -> dict[str, Any]:
    """How a checkpoint computes on this machine."""
    model = job.suite.model
    return {"device": model.device, "dtype": model.dtype, "threads": model.threads}


def _server(job: Job, model: AnsweringModel) -> dict[str, Any]:
    """A model on a server, and the pictures that are sent to it."""
    sent = job.suite.server
    pictures: dict[str, Any] = {"image_px": sent.image_px, "image_format": sent.image_format}
    if sent.image_format == "jpeg":
        pictures["jpeg_quality"] = sent.jpeg_quality
    return {"server": {"address": model.address, "model": model.name, "version": model.version, **pictures}}


def _growing_clip(max_frames: int) -> dict[str, Any]:
    """All that the frames of a growing clip depend on, apart from the bag and the clip settings of a suite."""
    camera = recording_settings(max_frames=max_frames)
    return asdict(camera.growth) | {"buffer_frames": camera.buffer_frames, "buffer_bytes": camera.buffer_bytes}


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Describe each difference of two identities in words."""
    found = []
    flat_before, flat_now = dict(_flat(before)), dict(_flat(now))
    for name in dict.fromkeys((*flat_before, *flat_now)):
        old, new = flat_before.get(name), flat_now.get(name)
        if old == new:
            continue
        if name not in flat_now or name not in flat_before:
            found.append(f"{name} is {'new' if name in flat_now else 'gone'}")
        elif _is_digest(old) and _is_digest(new):
            found.append(f"{name} has changed")
        else:
            found.append(f"{name} was {old!r} and is {new!r}")
    return found


def digest_of_files(path: Path) -> str:
    """A digest of a file, or of all files in a folder: names, sizes and contents (of large files, both ends)."""
    total = hashlib.sha256()
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    for file in files:
        name = file.name if file == path else str(file.relative_to(path))
        total.update(f"{name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            if file.stat().st_size <= WHOLE_BYTES:
                total.update(content.read())
            else:
                total.update(content.read(END_BYTES))
                content.seek(-END_BYTES, 2)
                total.update(content.read())
    return total.hexdigest()[:16]


def _bag(shard: Shard) -> dict[str, str]:
    return {
        "files": digest_of_files(shard.bag),
        "cameras": ", ".join(map(_camera, shard.cameras)),
        "questions": _digest(json.dumps([asdict(trial) for trial in shard.trials], sort_keys=True)),
    }


def _camera(one: ShardCamera) -> str:
    turned = f" turned by {one.rotate_deg}" if one.rotate_deg else ""
    return one.topic.name + turned + (f" in the range {one.value_range}" if one.value_range != DEFAULT else "")


def _version(package: str) -> str:
    try:
        return installed(package)
    except PackageNotFoundError:
        return "not from a package"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 16 and all(mark in "0123456789abcdef" for mark in value)


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{prefix}{name}: ")
        else:
            yield f"{prefix}{name}", inner
