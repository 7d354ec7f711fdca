"""Decodes one H.264 or H.265 video, message by message, through FFmpeg (the package av, extra `video`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from .annex_b import Codec, FrameNumberCheck, Parameters, read_unit
from .bit_reader import VideoDamageError
from .decode_options import check_claim, check_size
from .frame import Rgb

if TYPE_CHECKING:
    from av import CodecContext, VideoFrame

NEEDS_AV = "video needs the package av, which is not installed: pip install 'av>=17,<19'"
_NO_PICTURE = "it has no whole picture: its data are damaged, or frames before it are missing"
_OTHER_VIDEO = ("vp8", "vp9", "av1", "mpeg1", "mpeg2", "mpeg4", "theora", "ffv1")
_DECODERS = {Codec.H264: "h264", Codec.H265: "hevc"}
# H.264's decoder marks what it has concealed; that of H.265 says nothing unless errors end the decoding.
_OPTIONS = {Codec.H264: {}, Codec.H265: {"err_detect": "explode"}}


def has_av() -> bool:
    """Whether video can be decoded: the package av is installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


def video_codec(message: Any) -> Codec | None:
    """The video codec of a message; None if the message is a single picture.

    `CompressedImage.format` and `CompressedVideo.format` name the codec (`h264`, `h265`, `hevc`); the first word of
    `FFMPEGPacket.encoding` names the codec or the encoder (`libx264`, `hevc_nvenc`, `h264;yuv420p;bgr8;bgr8`).

    Raises:
        ValueError: The message is video of an unsupported codec.
    """
    is_packet = hasattr(message, "pts")
    if not is_packet and not hasattr(message, "format"):
        return None
    text = message.encoding if is_packet else message.format
    name = text.partition(";")[0].strip().lower()
    codec = _named_codec(name) if is_packet or " " not in name else None
    if codec is None and (is_packet or name.startswith(_OTHER_VIDEO)):
        raise ValueError(f"video of the codec {name!r} is not decoded, H.264 and H.265 are")
    return codec


def _named_codec(name: str) -> Codec | None:
    if re.search(r"[hx]\.?264|^avc", name):
        return Codec.H264
    return Codec.H265 if re.search(r"[hx]\.?265|hevc", name) else None


class VideoStream:
    """Decodes the messages of one video in order.

    Nothing is decoded before the first key frame, nor between damage or a missing frame and the next key frame, so that
    every picture is as the encoder intended. FFmpeg uses one thread, since its frame threads would delay each picture.

    Attributes:
        codec: The video's codec.
        is_waiting: Whether the next picture needs a key frame first.
    """

    def __init__(self, codec: Codec, max_pixels: int) -> None:
        """Create a decoder that waits for a key frame.

        Args:
            codec: Codec of the video.
            max_pixels: Most pixels of a picture; a larger one is refused before memory is allocated for it.

        Raises:
            ValueError: The package av is not installed.
        """
        try:
            import av
        except ImportError:
            raise ValueError(NEEDS_AV) from None
        self.codec = codec
        self.is_waiting = True
        self._max_pixels = max_pixels
        self._number = 0
        self._parameters: Parameters | None = None
        self._frame_numbers = FrameNumberCheck()
        self._context: CodecContext = av.CodecContext.create(_DECODERS[codec], "r")
        self._context.thread_count = 1
        # The coded picture may exceed the displayed one by less than a block of 64 each way.
        self._context.options = {**_OPTIONS[codec], "max_pixels": str(4 * max_pixels + 64 * 64)}

    def push(self, data: bytes) -> VideoFrame | None:
        """Decode the next message.

        Args:
            data: NAL units with start codes (Annex B): one picture, parameter sets, or both.

        Returns:
            The message's picture; None if it has none, or needs a key frame first (`is_waiting`).

        Raises:
            VideoDamageError: The message is damaged, or frames before it are missing.
            ValueError: The data have no start codes, the picture is too large, or the video has B-frames.
        """
        try:
            return self._push(data)
        except ValueError:
            self._context.flush_buffers()
            self._frame_numbers.forget()
            self.is_waiting = True
            raise

    def _push(self, data: bytes) -> VideoFrame | None:
        unit = read_unit(data, self.codec)
        for parameters in unit.parameters:
            check_size(parameters.width, parameters.height, self._max_pixels)
            self._parameters = parameters
        if unit.is_key and self._parameters is not None:
            check_claim(self._parameters.width, self._parameters.height, len(data))
            self.is_waiting = False
        gap = self._frame_numbers.gap_before(unit)
        if self.is_waiting:
            self._frame_numbers.forget()
            if unit.has_picture:
                return None
        elif gap:
            raise VideoDamageError(f"frames before it are missing: {gap}")
        try:
            frame = self._decode(data)
        except VideoDamageError:
            # libavcodec reports parameter sets without a picture as an error, although it has read them.
            if unit.has_picture:
                raise
            return None
        if frame is None and unit.has_picture:
            raise VideoDamageError(_NO_PICTURE)
        return frame

    def _decode(self, data: bytes) -> VideoFrame | None:
        import av

        self._number += 1
        packet = av.Packet(data)
        packet.pts = packet.dts = self._number
        try:
            frames = self._context.decode(packet)  # type: ignore[attr-defined]
        except av.error.FFmpegError as error:
            raise VideoDamageError(f"{_NO_PICTURE} ({error.strerror})") from None
        if self._context.has_b_frames:  # type: ignore[attr-defined]
            raise ValueError(
                "its pictures come in another order than its messages (B-frames), so that a picture could not be "
                "shown before later ones: encode without them (bframes=0, or tune=zerolatency)"
            )
        # After damage, the decoder may also return the picture of an earlier message.
        own = [frame for frame in frames if frame.pts == self._number]
        if not own:
            return None
        frame: VideoFrame = own[-1]
        check_size(frame.width, frame.height, self._max_pixels)
        if frame.is_corrupt:
            raise VideoDamageError("parts of the picture are damaged")
        return frame


def frame_to_rgb(frame: VideoFrame) -> Rgb:
    """Convert a decoded frame to RGB, uint8 (height, width, 3), by the colour space that its stream declares.

    Raises:
        ValueError: FFmpeg cannot convert the frame's pixel format.
    """
    import av

    try:
        return np.asarray(frame.to_ndarray(format="rgb24", threads=1), dtype=np.uint8)
    except av.error.FFmpegError as error:
        raise ValueError(f"its pixels cannot be converted ({error.strerror})") from None
