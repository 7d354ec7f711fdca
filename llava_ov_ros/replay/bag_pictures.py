"""Reads the pictures of a bag; every message passes through its topic's decoder, because video needs all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..frames import ImageError, MessageDecoder
from ..frames.decode import Decoded
from .bag import BagMessage, read_messages


def read_pictures(
    path: Path, decoders: Mapping[str, MessageDecoder]
) -> Iterator[tuple[BagMessage, Callable[[], Decoded]]]:
    """Yield every message that has a picture, with a function that decodes the picture.

    Messages whose video cannot be decoded are left out. The function raises ImageError if the picture cannot be
    decoded.

    Args:
        path: The bag.
        decoders: The decoder of each topic; the keys are the topics that are read.

    Raises:
        BagError: The bag or a topic does not exist, or the bag is damaged.
    """
    lap = 0
    for message in read_messages(path, list(decoders)):
        if message.lap > lap:
            lap = message.lap
            for decoder in decoders.values():
                decoder.begin_anew()
        try:
            picture = decoders[message.topic].follow(message.message)
        except ImageError:
            continue
        if picture is not None:
            yield message, picture
