"""Frames as the pictures that are sent: each frame is encoded once, however often it is sent."""

from __future__ import annotations

import base64
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from ..frames import Frame
from .remote_settings import RemoteSettings
from .squash import squashed

MOST_BYTES = 64 * 2**20
"""Most bytes of encoded pictures that are kept. A frame of 384 x 384 pixels takes about 60 KB, as PNG 400 KB."""


@dataclass
class Pictures:
    """The encoded pictures of the frames that somebody still holds, the newest up to a number of bytes.

    Attributes:
        settings: Format and size.
        most_bytes: Most bytes that are kept.
        encoded: How many pictures were encoded.
        reused: How often a picture was there already.
    """

    settings: RemoteSettings
    most_bytes: int = MOST_BYTES
    encoded: int = 0
    reused: int = 0
    _kept: WeakKeyDictionary[Frame, dict[bool, Future[str]]] = field(default_factory=WeakKeyDictionary)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, frame: Frame, whole: bool) -> str:
        """A frame's picture in base64.

        Args:
            frame: The frame.
            whole: Whether the picture is sent in full size, for mode image; else squashed, for mode video.

        Raises:
            ValueError: OpenCV cannot encode the picture.
        """
        with self._lock:
            kept = self._kept.setdefault(frame, {})
            picture = kept.get(whole)
            is_first = picture is None
            if picture is None:
                self.encoded += 1
                picture = kept[whole] = Future()
            else:
                self.reused += 1
        # Other threads that need the same picture wait for it.
        if is_first:
            try:
                rgb = frame.rgb if whole else squashed(frame.rgb, self.settings.image_px)
                picture.set_result(_encoded(rgb, self.settings))
            except BaseException as error:  # noqa: BLE001 - whoever waits for the picture must get the error, too
                with self._lock:
                    del kept[whole]
                picture.set_exception(error)
            else:
                self._drop_oldest_but(frame)
        return picture.result()

    @property
    def nbytes(self) -> int:
        """Bytes of the pictures that are kept."""
        with self._lock:
            return sum(map(_nbytes, self._kept.values()))

    def _drop_oldest_but(self, frame: Frame) -> None:
        """Drop the pictures of the frames that were encoded first, until few enough bytes are left."""
        with self._lock:
            sizes = {kept: _nbytes(pictures) for kept, pictures in self._kept.items()}
            total = sum(sizes.values())
            for kept, size in sizes.items():
                if total <= self.most_bytes:
                    break
                # A picture that is being encoded counts nothing yet, and others may wait for it.
                if size and kept is not frame:
                    del self._kept[kept]
                    total -= size

    def missing(self, frames: Sequence[Frame], whole: bool) -> Frame | None:
        """The first frame whose picture has not been encoded yet; None: there is none."""
        with self._lock:
            return next((frame for frame in frames if whole not in self._kept.get(frame, {})), None)

    def image_url(self, frame: Frame, whole: bool) -> str:
        """A data URL of one picture."""
        return f"data:image/{self.settings.image_format};base64,{self.of(frame, whole)}"

    def video_url(self, frames: Sequence[Frame]) -> str:
        """A data URL of a clip: `video/jpeg` is vLLM's name for a list of pictures, whatever their own format."""
        return "data:video/jpeg;base64," + ",".join(self.of(frame, whole=False) for frame in frames)


def _nbytes(pictures: dict[bool, Future[str]]) -> int:
    return sum(len(picture.result()) for picture in pictures.values() if picture.done() and not picture.exception())


def _encoded(rgb: np.ndarray, settings: RemoteSettings) -> str:
    kind, options = ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]
    if settings.image_format == "jpeg":
        kind, options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, settings.jpeg_quality]
    done, data = cv2.imencode(kind, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"OpenCV cannot write a picture of {rgb.shape[1]} x {rgb.shape[0]} pixels as {kind}")
    return base64.b64encode(data.tobytes()).decode("ascii")
