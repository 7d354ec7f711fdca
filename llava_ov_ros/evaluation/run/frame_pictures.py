"""Reads small pictures of the frames that answers rest on from the bags again, if a run's folder lacks them."""

from __future__ import annotations

from collections.abc import Mapping

from ...frames import DecodeOptions, ImageError, MessageDecoder, stamp_and_frame
from ...replay import BagMessage, read_pictures
from ...settings.value_range import DEFAULT
from ..suite.preflight import Job, Shard
from .bag_answers import picture_name, tile
from .journal import FRAMES, Journal

Used = Mapping[tuple[str, int], str]
"""The value range in which each frame is shown, by camera name and stamp in nanoseconds."""


def read_again(job: Job, journal: Journal) -> int:
    """Read the missing pictures of all answers from the bags, and write them to the run's folder.

    Args:
        job: The suite.
        journal: The journal with all answers.

    Returns:
        The number of pictures read.

    Raises:
        BagError: A bag is damaged.
        WriteError: The pictures cannot be written.
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
    """The frames without a picture in the folder, each with the value range of the first question about it."""
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
