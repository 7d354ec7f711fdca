"""The messages of one camera in their order to pictures: a single picture each, or a video that needs them all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .annex_b import Codec
from .bit_reader import VideoDamageError
from .decode import Decoded, decode_and_check, finish
from .decode_options import DecodeOptions
from .image_error import DamagedError, ImageError
from .video import VideoStream, frame_to_rgb, video_codec

if TYPE_CHECKING:
    from av import VideoFrame


class MessageDecoder:
    """Decodes what one camera sends; it has to see every message, since pictures of a video need those before them."""

    def __init__(self, camera_name: str, options: DecodeOptions) -> None:
        """Begin before the first message.

        Args:
            camera_name: Names the camera in errors.
            options: How its pictures are decoded.
        """
        self._camera_name = camera_name
        self._options = options
        self._stream: VideoStream | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a key frame has to come before the next picture."""
        return self._stream is not None and self._stream.is_waiting

    def begin_anew(self) -> None:
        """Give the video's decoder up: what comes next does not go on from what was before."""
        self._stream = None

    def follow(self, message: Any) -> Callable[[], Decoded] | None:
        """Take the next message. A video is decoded here, all else where the picture is wanted.

        Args:
            message: Of a type of `message_types.IMAGE_TYPES`, rclpy's or rosbags'.

        Returns:
            What makes the picture, and raises ImageError where it cannot; None where the message has none, or where a
            key frame has to come first (`is_waiting`).

        Raises:
            DamagedError: The message of a video is damaged, or frames before it are missing.
            ImageError: It is of a video that is not decoded.
        """
        try:
            codec = video_codec(message)
            if codec is None:
                self._stream = None
                return partial(decode_and_check, message, self._camera_name, self._options)
            frame = self._stream_of(codec).push(bytes(memoryview(message.data)))
        except ValueError as error:
            kind = DamagedError if isinstance(error, VideoDamageError) else ImageError
            raise kind(self._camera_name, _format(message), str(error)) from error
        return None if frame is None else partial(self._picture, frame, _format(message))

    def _picture(self, frame: VideoFrame, text: str) -> Decoded:
        try:
            return Decoded(finish(frame_to_rgb(frame), self._options), "")
        except ValueError as error:
            raise ImageError(self._camera_name, text, str(error)) from error

    def _stream_of(self, codec: Codec) -> VideoStream:
        if self._stream is None or self._stream.codec is not codec:
            self._stream = VideoStream(codec, self._options.max_pixels)
        return self._stream


def _format(message: Any) -> str:
    return str(message.format if hasattr(message, "format") else message.encoding)
