"""One camera: decodes and admits its messages, buffers the frames, cuts clips, measures staleness and freezing."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..settings import DEFAULTS, StampSource, nanoseconds
from ..settings.value_range import ValueRange
from . import admission
from .admission import AdmissionSettings, RateGate
from .buffer import FrameBuffer
from .counts import CameraCounts, Outcome
from .decode_options import DecodeOptions
from .frame import Clip, Frame, Rgb, stamp_and_frame
from .growing import GrowingClip, GrowthSettings
from .image_error import DamagedError, ImageError
from .message_decoder import MessageDecoder
from .showing import ClipShowing, Rendering, Shown, first_shown, range_of
from .values import Values

_STAMP_SOURCE = StampSource(DEFAULTS.stamp_source[0])
_FUTURE_TOLERANCE_NS = nanoseconds(DEFAULTS.future_tolerance_s)
_JUMP_BACK_NS = nanoseconds(DEFAULTS.jump_back_s)


@dataclass(frozen=True)
class CameraSettings:
    """How one camera's messages become clips; the defaults are those of the parameters.

    Attributes:
        stamp_source: Whether a frame's time is its header stamp or its arrival.
        decode: Rotation, range of values, size bound, damaged pictures.
        admission: Rate, change and sharpness that a frame needs to enter the buffer.
        growth: Length, window and spacing of the growing clip.
        buffer_frames: Most frames kept.
        buffer_bytes: Most bytes of pictures kept.
        kept_frames: Most frames kept instead, where windows and ranges of time may be longer than that; None:
            buffer_frames. The growing clip holds only frames that buffer_frames and buffer_bytes allow all the same.
        kept_bytes: Most bytes of pictures kept likewise; None: buffer_bytes.
        future_tolerance_ns: Stamps later than the clock by more than this are refused.
        jump_back_ns: A stamp earlier than the newest by more than this empties the buffer (a looped bag). A frame that
            is earlier by less is refused as out of order, unless the newest stamp itself lies too far in the future.
    """

    stamp_source: StampSource = _STAMP_SOURCE
    decode: DecodeOptions = field(default_factory=DecodeOptions)
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    growth: GrowthSettings = field(default_factory=GrowthSettings)
    buffer_frames: int = DEFAULTS.buffer_frames
    buffer_bytes: int = DEFAULTS.buffer_mb * 2**20
    kept_frames: int | None = None
    kept_bytes: int | None = None
    future_tolerance_ns: int = _FUTURE_TOLERANCE_NS
    jump_back_ns: int = _JUMP_BACK_NS


class Camera:
    """Turns the messages of one camera into clips. Two threads may use it: one for messages, one for clips.

    The class has no clock: the caller passes the time, so that recorded and live data take the same path.
    """

    def __init__(self, name: str, settings: CameraSettings) -> None:
        self.name = name
        self._settings = settings
        self._decoder = MessageDecoder(name, settings.decode)
        self._gate = RateGate(settings.admission.rate_hz)
        self._buffer = FrameBuffer(
            name, settings.kept_frames or settings.buffer_frames, settings.kept_bytes or settings.buffer_bytes
        )
        self._growing = GrowingClip(name, settings.growth)
        self._showing = ClipShowing()
        self._lock = threading.Lock()
        self._counts = CameraCounts()
        self._counts_when_fresh = CameraCounts()
        self._newest_seen_ns: int | None = None
        self._fresh_ns: int | None = None
        self._age_on_arrival_ns = 0
        self._thumbnail: npt.NDArray[np.float32] | None = None
        self._thumbnail_range: ValueRange | None = None
        self._range: ValueRange | None = None
        self._digest: int | None = None
        self._picture_since_ns = 0
        self._picture_until_ns = 0

    @property
    def counts(self) -> CameraCounts:
        """A snapshot of the counters."""
        with self._lock:
            return replace(self._counts, shown_anew=self._showing.anew)

    @property
    def counts_since_fresh(self) -> CameraCounts:
        """The counts since the newest usable frame; all counts if there was none."""
        with self._lock:
            return self._counts.since(self._counts_when_fresh)

    @property
    def future_tolerance_ns(self) -> int:
        """How much later than the clock a stamp may be, in nanoseconds."""
        return self._settings.future_tolerance_ns

    def is_of_future(self, stamp_ns: int, now_ns: int) -> bool:
        """Whether a message of this stamp would be refused now because its stamp lies in the future.

        Args:
            stamp_ns: The message's own stamp in nanoseconds; 0, which is no stamp, never lies there.
            now_ns: The clock's time in nanoseconds.
        """
        is_time = self._settings.stamp_source is not StampSource.ARRIVAL and stamp_ns != 0
        return is_time and stamp_ns > now_ns + self._settings.future_tolerance_ns

    @property
    def buffered(self) -> tuple[int, int]:
        """Number and bytes of the buffered frames."""
        with self._lock:
            return len(self._buffer), self._buffer.nbytes

    @property
    def shown_range(self) -> ValueRange | None:
        """Stored values that the growing clip shows darkest and brightest; None if its frames have no such range."""
        with self._lock:
            current = self._growing.current
            return None if current is None else range_of(current)

    def offer(self, message: Any, now_ns: int) -> Outcome:
        """Take a message: decode its frame if the frame is due, and buffer the frame if it is admitted.

        Every message of a video must be offered, in order, since later pictures depend on earlier ones.

        Args:
            message: A message of one of `message_types.IMAGE_TYPES`. Its data may be kept: do not change them.
            now_ns: The clock's time in nanoseconds. It becomes the frame's time if the stamp source is arrival or the
                message's own stamp is zero.

        Returns:
            Whether the frame was admitted, or why not; the counters record the same.
        """
        return self._counted(partial(self._take, message, now_ns))

    def offer_unread(self, stamp_ns: int, read: Callable[[], Any], now_ns: int) -> Outcome:
        """Take a message that is not deserialised yet; it is deserialised only if its frame is due.

        The outcome and all counters are those of `offer` with the deserialised message.

        Args:
            stamp_ns: The message's stamp in nanoseconds.
            read: Returns the message, which must be a single picture, or raises ImageError.
            now_ns: As for `offer`.
        """
        return self._counted(partial(self._take_unread, stamp_ns, read, now_ns))

    def _counted(self, take: Callable[[], Outcome]) -> Outcome:
        with self._lock:
            try:
                outcome = take()
            except ImageError as error:
                outcome = Outcome.DAMAGED if isinstance(error, DamagedError) else Outcome.MALFORMED
                self._counts = replace(self._counts, last_error=str(error))
            self._counts = self._counts.after(outcome)
            if outcome in (Outcome.ADMITTED, Outcome.UNCHANGED):
                self._counts_when_fresh = self._counts
            return outcome

    def count_malformed(self, reason: str) -> None:
        """Count a message that could not be deserialised; `offer` counts those that cannot be decoded."""
        with self._lock:
            self._counts = replace(self._counts, last_error=reason).after(Outcome.MALFORMED)

    def end_stream(self) -> None:
        """Discard the video decoder's state, as when the publisher has gone; decoding resumes with a key frame."""
        with self._lock:
            self._decoder.begin_anew()

    def _take_unread(self, header_stamp: int, read: Callable[[], Any], now_ns: int) -> Outcome:
        stamp = self._time_of(header_stamp, now_ns)
        if isinstance(stamp, Outcome):
            # A single picture ends a video, whether it is due or not.
            self._decoder.begin_anew()
            return stamp
        return self._follow(read(), stamp, now_ns)

    def _take(self, message: Any, now_ns: int) -> Outcome:
        header_stamp, _ = stamp_and_frame(message)
        return self._follow(message, self._time_of(header_stamp, now_ns), now_ns)

    def _follow(self, message: Any, stamp: int | Outcome, now_ns: int) -> Outcome:
        """Decode a message, and admit its frame.

        Args:
            message: The message.
            stamp: Time of the frame in nanoseconds, or why the frame is not due.
            now_ns: The clock's time in nanoseconds.
        """
        # Also a message that is not due: later pictures of a video depend on it.
        picture = self._decoder.follow(message)
        if stamp in (Outcome.FUTURE_STAMP, Outcome.OUT_OF_ORDER):
            return stamp
        if picture is None:
            return Outcome.AWAITING_KEY_FRAME if self._decoder.is_waiting else Outcome.WITHOUT_PICTURE
        if isinstance(stamp, Outcome):
            return stamp
        decoded = picture()
        shown = first_shown(decoded.picture, self._settings.decode.value_range, self._range)
        if decoded.damage:
            self._counts = replace(self._counts, damaged=self._counts.damaged + 1, last_error=decoded.damage)
        if shown.blank:
            self._counts = replace(self._counts, blank=self._counts.blank + 1, last_blank=shown.blank)
        self._watch_picture(decoded.picture, stamp)
        outcome = self._judge(shown)
        # A malformed, damaged or blurred frame does not use up the turn at the admission rate: the next good one does.
        if outcome is not Outcome.BLURRED:
            self._gate.advance(stamp)
            self._fresh_ns = stamp
            self._age_on_arrival_ns = now_ns - stamp
        if outcome is Outcome.ADMITTED:
            header_stamp, frame_id = stamp_and_frame(message)
            self._range = shown.value_range or self._range
            frame = Frame(
                self.name,
                stamp,
                frame_id,
                shown.picture,
                header_stamp_ns=None if header_stamp == stamp else header_stamp,
                value_range=shown.value_range,
                blank=shown.blank,
            )
            self._buffer.append(frame)
            self._growing.add(frame, self._oldest_for_growth_ns())
        return outcome

    def _time_of(self, header_stamp: int, now_ns: int) -> int | Outcome:
        """Time of a message's frame in nanoseconds if the frame is due, else why it is refused.

        A stamp that jumps back empties the buffer here.
        """
        stamp = header_stamp
        if self._settings.stamp_source is StampSource.ARRIVAL:
            stamp = now_ns
            if stamp == self._newest_seen_ns:
                # Simulated time may stand still or tick slower than the camera: the messages are in order all the same.
                return Outcome.NOT_DUE
        elif stamp == 0:
            stamp = now_ns
            self._counts = replace(self._counts, zero_stamps=self._counts.zero_stamps + 1)
        elif self.is_of_future(stamp, now_ns):
            return Outcome.FUTURE_STAMP
        if self._newest_seen_ns is not None and stamp <= self._newest_seen_ns:
            # After the clock was set back, the buffered frames lie in the future: then any earlier stamp empties the
            # buffer.
            is_of_now = self._newest_seen_ns <= now_ns + self._settings.future_tolerance_ns
            if is_of_now and self._newest_seen_ns - stamp <= self._settings.jump_back_ns:
                return Outcome.OUT_OF_ORDER
            self._start_anew()
            self._counts = replace(self._counts, jumps_back=self._counts.jumps_back + 1)
        interval_ns = 0 if self._newest_seen_ns is None else stamp - self._newest_seen_ns
        self._newest_seen_ns = stamp
        if not self._gate.is_due(stamp, interval_ns):
            return Outcome.NOT_DUE
        return stamp

    def _oldest_for_growth_ns(self) -> int:
        """Stamp of the oldest frame that the growing clip may hold, however much more is kept."""
        return self._buffer.oldest_within_ns(self._settings.buffer_frames, self._settings.buffer_bytes)

    def _judge(self, shown: Shown) -> Outcome:
        """Admit a frame unless it is blurred or changed too little; keep the thumbnail for the next comparison.

        If clips decide the range of values, two frames are compared in the range of the earlier one, so that a changed
        range is not taken for a changed scene.
        """
        settings = self._settings.admission
        if settings.min_sharpness > 0:
            sharpness = admission.sharpness(shown.rgb)
            self._counts = replace(self._counts, last_sharpness=sharpness)
            if sharpness < settings.min_sharpness:
                return Outcome.BLURRED
        if settings.min_change > 0:
            thumbnail = admission.thumbnail(shown.rgb)
            if self._thumbnail is not None:
                alike = thumbnail
                if isinstance(shown.picture, Rendering) and self._thumbnail_range is not None:
                    alike = admission.thumbnail(shown.picture.rgb_in(self._thumbnail_range))
                change = admission.change(self._thumbnail, alike)
                self._counts = replace(self._counts, last_change=change)
                if change < settings.min_change:
                    return Outcome.UNCHANGED
            self._thumbnail, self._thumbnail_range = thumbnail, shown.value_range
        return Outcome.ADMITTED

    def _watch_picture(self, picture: Rgb | Values, stamp: int) -> None:
        """Note since which stamp the camera has sent an identical picture (every grey level or stored value equal).

        The pixels are compared, not the message's bytes: row padding and JPEG comments of a frozen camera may change.
        """
        digest = zlib.crc32(picture.stored.data if isinstance(picture, Values) else picture.data)
        if digest != self._digest:
            self._digest = digest
            self._picture_since_ns = stamp
        self._picture_until_ns = stamp

    def _start_anew(self) -> None:
        self._decoder.begin_anew()
        self._buffer.clear()
        self._growing.clear()
        self._gate.reset()
        self._thumbnail = None
        self._range = None
        self._digest = None
        self._newest_seen_ns = None
        self._fresh_ns = None

    def age_ns(self, now_ns: int) -> int | None:
        """Age of the newest usable frame in nanoseconds; None before the first frame.

        The age is negative if that frame is stamped later than `now_ns`, as after the clock was set back. A frame that
        changed too little to be admitted is usable, since the buffered frame still shows the scene; malformed and
        blurred frames are not.
        """
        with self._lock:
            return None if self._fresh_ns is None else now_ns - self._fresh_ns

    def age_on_arrival_ns(self) -> int:
        """Age of the newest usable frame at its arrival, by its stamp, in nanoseconds; 0 before the first frame."""
        with self._lock:
            return 0 if self._fresh_ns is None else self._age_on_arrival_ns

    def same_picture_ns(self) -> int:
        """For how long the camera has sent an identical picture: the difference of its stamps in nanoseconds."""
        with self._lock:
            return self._picture_until_ns - self._picture_since_ns if self._digest is not None else 0

    def set_growth(self, growth: GrowthSettings) -> None:
        """Change the settings of the growing clip and build it anew from the buffered frames."""
        with self._lock:
            self._growing = GrowingClip(self.name, growth)
            for frame in self._buffer:
                self._growing.add(frame, self._oldest_for_growth_ns())

    def growing_clip(self) -> Clip:
        """The growing clip: it stands for now, grows frame by frame, and its first frame rarely changes.

        Raises:
            NoFramesError: The buffer is empty.
        """
        with self._lock:
            return self._showing.of(self._growing.current or self._buffer.clip(0, 0, 1))

    def coming_clip(self) -> Clip | None:
        """The frames that the growing clip will begin with after it has re-anchored; None if none has arrived yet."""
        with self._lock:
            coming = self._growing.coming
            return None if coming is None else self._showing.of(coming)

    def recent_clip(self, window_ns: int, max_frames: int) -> Clip:
        """The last `window_ns` nanoseconds up to the newest frame, as at most `max_frames` evenly spread frames.

        Raises:
            NoFramesError: The buffer is empty.
        """
        with self._lock:
            newest = self._buffer.newest
            end_ns = 0 if newest is None else newest.stamp_ns
            return self._showing.of(self._buffer.clip(end_ns - window_ns, end_ns, max_frames))

    def clip(self, from_ns: int, to_ns: int, max_frames: int) -> Clip:
        """The frames between two stamps (inclusive), as at most `max_frames` evenly spread frames.

        Raises:
            NoFramesError: No buffered frame lies there; the message says which range is buffered.
        """
        with self._lock:
            return self._showing.of(self._buffer.clip(from_ns, to_ns, max_frames))
