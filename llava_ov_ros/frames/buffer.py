"""A bounded buffer of one camera's frames, and the selection of clips from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from .frame import NS_PER_S, Clip, Frame


class NoFramesError(LookupError):
    """No buffered frame lies in the range that was asked for; the message says which range is buffered."""


class FrameBuffer:
    """Frames of one camera with strictly increasing stamps, bounded in count and bytes.

    The newest frame is always kept, even if it alone exceeds `max_bytes`.

    Raises:
        ValueError: `max_frames` or `max_bytes` is below 1.
    """

    def __init__(self, camera: str, max_frames: int, max_bytes: int) -> None:
        if max_frames < 1 or max_bytes < 1:
            raise ValueError(
                f"buffer of camera {camera!r}: max_frames {max_frames} and max_bytes {max_bytes} must be >= 1"
            )
        self._camera = camera
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    def oldest_within_ns(self, max_frames: int, max_bytes: int) -> int:
        """Stamp in nanoseconds of the oldest frame that a buffer with these bounds would hold; 0 if there is none.

        Such a buffer always holds the newest frame, as this one does.
        """
        oldest_ns, total_bytes = 0, 0
        for number, frame in enumerate(reversed(self._frames), 1):
            total_bytes += frame.picture.nbytes
            if number > 1 and (number > max_frames or total_bytes > max_bytes):
                break
            oldest_ns = frame.stamp_ns
        return oldest_ns

    @property
    def nbytes(self) -> int:
        """Bytes of all buffered pictures, or of the stored values from which they are rendered."""
        return self._bytes

    @property
    def newest(self) -> Frame | None:
        """The newest frame; None if the buffer is empty."""
        return self._frames[-1] if self._frames else None

    def append(self, frame: Frame) -> None:
        """Add a frame, and drop the oldest frames that exceed a bound.

        Raises:
            ValueError: The frame is not newer than all buffered frames.
        """
        newest = self.newest
        if newest is not None and frame.stamp_ns <= newest.stamp_ns:
            raise ValueError(f"stamp {frame.stamp_ns} is not newer than {newest.stamp_ns}")
        self._frames.append(frame)
        self._bytes += frame.picture.nbytes
        while len(self._frames) > 1 and (len(self._frames) > self._max_frames or self._bytes > self._max_bytes):
            self._bytes -= self._frames.popleft().picture.nbytes

    def clear(self) -> None:
        """Forget all frames."""
        self._frames.clear()
        self._bytes = 0

    def clip(self, from_ns: int, to_ns: int, max_frames: int) -> Clip:
        """The frames with from_ns <= stamp <= to_ns, thinned evenly to at most `max_frames`.

        Raises:
            NoFramesError: No frame lies in the range; the message gives the range that is buffered.
        """
        inside = [frame for frame in self._frames if from_ns <= frame.stamp_ns <= to_ns]
        if not self._frames:
            raise NoFramesError(f"camera {self._camera!r} has sent no usable frame")
        if not inside:
            raise NoFramesError(
                f"camera {self._camera!r} has no frame between {seconds(from_ns)} and {seconds(to_ns)}; "
                f"{len(self._frames)} frames from {seconds(self._frames[0].stamp_ns)} to "
                f"{seconds(self._frames[-1].stamp_ns)} are buffered"
            )
        return Clip(self._camera, tuple(spread(inside, max_frames)))


def spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """Choose at most `count` frames at evenly spaced indices, always including the newest.

    Integer arithmetic has no rounding mode, so every machine chooses the same frames; the original code's
    `np.linspace` (LLaVA-OneVision tutorial, cell 8) truncates likewise. With `count` 1 the newest frame is chosen.

    Raises:
        ValueError: `count` is less than 1.
    """
    if count < 1:
        raise ValueError(f"a clip of {count} frames was asked for: it needs at least 1")
    total = len(frames)
    if total <= count:
        return list(frames)
    if count == 1:
        return [frames[-1]]
    return [frames[i * (total - 1) // (count - 1)] for i in range(count)]


def seconds(stamp_ns: int) -> str:
    """A stamp in seconds for messages, truncated to milliseconds, such as `12.345 s`."""
    sign = "-" if stamp_ns < 0 else ""
    whole, rest = divmod(abs(stamp_ns), NS_PER_S)
    return f"{sign}{whole}.{rest // 1_000_000:03d} s"
