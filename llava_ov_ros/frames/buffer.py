"""A bounded buffer of one camera's frames, and the selection of clips from it. No clock of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from .frame import NS_PER_S, Clip, Frame


class NoFramesError(LookupError):
    """No buffered frame lies in the time asked for; the text says what is buffered."""


class FrameBuffer:
    """Frames of one camera with strictly increasing stamps, bounded in count and bytes.

    The newest frame is always kept, even where it alone exceeds `max_bytes`.
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
        """Stamp of the oldest frame that a buffer with these bounds would hold; 0 where there is none.

        Like this buffer, that one would hold the newest frame always.
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
        """Bytes of all that is held: pictures, or the values that they are made of."""
        return self._bytes

    @property
    def newest(self) -> Frame | None:
        """The frame with the newest stamp."""
        return self._frames[-1] if self._frames else None

    def append(self, frame: Frame) -> None:
        """Add a frame that is newer than all others; drop the oldest ones that exceed a bound."""
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
            NoFramesError: No frame lies in the range; the text gives the range that is buffered.
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
    """At most `count` frames at evenly spaced places, the newest always among them.

    Integer arithmetic (no rounding mode is involved), so the choice is the same everywhere; the original
    code's `np.linspace` (LLaVA-OneVision tutorial, cell 8) truncates likewise. With count 1 it is the newest.
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
    """A stamp as decimal seconds for messages, to the millisecond."""
    sign = "-" if stamp_ns < 0 else ""
    whole, rest = divmod(abs(stamp_ns), NS_PER_S)
    return f"{sign}{whole}.{rest // 1_000_000:03d} s"
