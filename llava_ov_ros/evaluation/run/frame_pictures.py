"""The small pictures of the frames that answers rest on, read from the bags again where they are not kept."""

from __future__ import annotations

from collections.abc import Mapping

from ...frames import DecodeOptions, ImageError, MessageDecoder, stamp_and_frame
from ...replay import BagMessage, read_pictures
from ...settings.value_range import DEFAULT
from ..suite.preflight import Job, Shard
from .bag_answers import picture_name, tile
from .journal import FRAMES, Journal

Used = Mapping[tuple[str, int], str]
"""The range of values in which each frame is shown, by the camera's name and the stamp in nanoseconds."""


def read_again(job: Job, journal: Journal) -> int:
    """Read what is missing of the pictures of all answers, and keep it.

    Args:
        job: The suite.
        journal: With all answers.

    Returns:
        How many pictures were read.

    Raises:
        BagError: A bag is damaged.
        WriteError: They cannot be written.
    """
    total = 0
    for shard in job.shards:
        missing = _missing(shard, journal)
        if missing:
            found = pictures_of(shard, missing)
            journal.keep(found)
            total += len(found)
    return total


def _missing(shard: Shard, journal: Journal) -> Used:
    """Frames whose pictures are not kept, each as the first question about it saw it."""
    numbers = {camera.name: number for number, camera in enumerate(shard.cameras)}
    folder = journal.folder / FRAMES
    return {
        (frame["camera"], frame["stamp_ns"]): frame.get("value_range", DEFAULT)
        for trial in reversed(shard.trials)
        for frame in journal.rows[shard.number, trial.number]["frames"]
        if not (folder / picture_name(shard.number, numbers[frame["camera"]], frame["stamp_ns"])).exists()
    }


def pictures_of(shard: Shard, used: Used) -> dict[str, bytes]:
    """Small JPEGs of frames of a bag, by `picture_name`.

    Raises:
        BagError: The bag is damaged.
    """
    cameras = {one.topic.name: (number, one) for number, one in enumerate(shard.cameras)}
    decoders = {
        name: MessageDecoder(one.name, DecodeOptions(rotate_deg=one.rotate_deg)) for name, (_, one) in cameras.items()
    }
    found: dict[str, bytes] = {}
    for message, picture in read_pictures(shard.bag, decoders):
        number, camera = cameras[message.topic]
        shown = used.get((camera.name, _stamp(message)))
        if shown is not None:
            try:
                rgb = picture().shown(shown)
            except ImageError:
                continue
            found[picture_name(shard.number, number, _stamp(message))] = tile(rgb)
    return found


def _stamp(message: BagMessage) -> int:
    return stamp_and_frame(message.message)[0] or message.time_ns
