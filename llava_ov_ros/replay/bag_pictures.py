"""Decodes the pictures of a bag in the order in which the decoders of video need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..frames import ImageError, MessageDecoder
from ..frames.decode import Decoded
from .bag import BagMessage, read_messages


def read_pictures(
    path: Path, decoders: Mapping[str, MessageDecoder]
) -> Iterator[tuple[BagMessage, Callable[[], Decoded]]]:
    """Yield every message of some topics that has a picture, with a function that makes the picture.

    Messages whose video cannot be decoded are left out; what makes the picture raises ImageError where it cannot.

    Args:
        path: The bag.
        decoders: One for each topic.

    Raises:
        BagError: There is no such bag or topic, or the bag is damaged.
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
