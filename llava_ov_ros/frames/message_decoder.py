"""Decodes the messages of one camera in order: single pictures, or a video in which each picture needs earlier ones."""

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
    """Decodes the messages of one camera. It must get every message, since pictures of a video need earlier ones."""

    def __init__(self, camera_name: str, options: DecodeOptions) -> None:
        """Create a decoder that has seen no message.

        Args:
            camera_name: Name of the camera, for errors.
            options: How the camera's pictures are decoded.
        """
        self._camera_name = camera_name
        self._options = options
        self._stream: VideoStream | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the video's next picture needs a key frame first."""
        return self._stream is not None and self._stream.is_waiting

    def begin_anew(self) -> None:
        """Discard the video decoder's state, since the next message does not continue the previous ones."""
        self._stream = None

    def follow(self, message: Any) -> Callable[[], Decoded] | None:
        """Take the next message. Video is decoded at once, a single picture only when the result is called.

        Args:
            message: A message of one of `message_types.IMAGE_TYPES`, of rclpy's or rosbags' class.

        Returns:
            A function that makes the picture or raises ImageError. None if the message of a video has no picture, or
            needs a key frame first (`is_waiting`).

        Raises:
            DamagedError: The message of a video is damaged, or frames before it are missing.
            ImageError: The video's codec or form is not supported.
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
