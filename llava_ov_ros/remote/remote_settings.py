"""How a server is asked: what is sent, how long the engine waits, how many requests run at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..bounds import check_whole
from ..settings import DEFAULTS

FORMATS = ("jpeg", "png")
MOST_QUALITY = 100


@dataclass(frozen=True)
class RemoteSettings:
    """How the engine asks a server; the parameters `remote_...` have the same meaning (docs/servers.md).

    Attributes:
        model: Name of the model on the server; empty: the only one there.
        image_px: Side of the squares to which the frames of a clip are squashed, in pixels.
        image_format: jpeg, or png, which changes no pixel.
        jpeg_quality: Quality of JPEG, 1 to 100.
        requests: Most requests that are with the server at once.
        connect_s: Longest time until the connection stands, in seconds.
        silence_s: Longest silence of the server, before its response or within it, in seconds.
        retries: How often a request is sent again, as long as nothing of its answer has come.
        key_file: File of API keys, one line `ADDRESS KEY` for each server; empty: no key is sent.
        ca_file: File of certificates (PEM) by which the server's is checked; empty: those that httpx brings.
        clip_frames: Frames of the largest clip; the probe makes sure that the server looks at so many.

    Raises:
        ValueError: A number is no integer, too small or not finite, or the format is unknown.
    """

    model: str = DEFAULTS.remote_model
    image_px: int = DEFAULTS.remote_image_px
    image_format: str = DEFAULTS.remote_image_format
    jpeg_quality: int = DEFAULTS.remote_jpeg_quality
    requests: int = DEFAULTS.remote_requests
    connect_s: float = DEFAULTS.remote_connect_s
    silence_s: float = DEFAULTS.remote_silence_s
    retries: int = DEFAULTS.remote_retries
    key_file: str = DEFAULTS.remote_key_file
    ca_file: str = DEFAULTS.remote_ca_file
    clip_frames: int = DEFAULTS.clip_frames

    def __post_init__(self) -> None:
        for name in ("image_px", "jpeg_quality", "requests", "clip_frames"):
            check_whole(name, getattr(self, name), 1)
        check_whole("retries", self.retries, 0)
        for name in ("connect_s", "silence_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}: give seconds, more than 0")
        if self.image_format not in FORMATS:
            raise ValueError(f"image_format is {self.image_format!r}: allowed are {', '.join(FORMATS)}")
        if self.jpeg_quality > MOST_QUALITY:
            raise ValueError(f"jpeg_quality is {self.jpeg_quality}: give 1 to {MOST_QUALITY}")
