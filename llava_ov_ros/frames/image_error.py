"""The error that a camera message without a usable picture raises, and its kind for damaged pictures."""

from __future__ import annotations


class ImageError(ValueError):
    """A message that cannot be turned into a picture.

    Attributes:
        camera: Name of the camera that sent the message.
        encoding: `Image.encoding` or `CompressedImage.format`, as the message spells it.
        reason: What is wrong, with the numbers that are wrong.
    """

    def __init__(self, camera: str, encoding: str, reason: str) -> None:
        super().__init__(camera, encoding, reason)
        self.camera = camera
        self.encoding = encoding
        self.reason = reason

    def __str__(self) -> str:
        return f"camera {self.camera!r}, encoding {self.encoding!r}: {self.reason}"


class DamagedError(ImageError):
    """A picture of which parts are damaged, where such pictures are refused."""
