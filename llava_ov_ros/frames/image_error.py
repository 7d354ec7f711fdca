"""The errors of a camera message that has no usable picture."""

from __future__ import annotations


class ImageError(ValueError):
    """A message cannot be turned into a picture.

    Attributes:
        camera: Name of the camera that sent the message.
        encoding: `Image.encoding` or `CompressedImage.format`, as the message spells it.
        reason: The fault of the message, with the wrong values.
    """

    def __init__(self, camera: str, encoding: str, reason: str) -> None:
        super().__init__(camera, encoding, reason)
        self.camera = camera
        self.encoding = encoding
        self.reason = reason

    def __str__(self) -> str:
        return f"camera {self.camera!r}, encoding {self.encoding!r}: {self.reason}"


class DamagedError(ImageError):
    """Parts of a picture are damaged, and damaged pictures are refused."""
