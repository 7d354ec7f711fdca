"""Reads from H.264 and H.265 what FFmpeg's decoders do not report: key frames, their size, and missing frames.

Section numbers are those of ITU-T H.264 and H.265.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from .bit_reader import BitReader

_START_CODE = b"\0\0\1"
_MOST_LEADING_ZEROS = 8
_MOST_UNITS = 4096
# Most bytes read of a NAL unit: a sequence parameter set has a few hundred bytes, a slice's header fewer.
_PARAMETER_BYTES, _SLICE_BYTES = 4096, 32
# Profiles whose parameter sets hold the chroma format (7.3.2.1.1).
_HIGH_PROFILES = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244)
_H264_SLICE, _H264_KEY_SLICE, _H264_PARAMETERS = 1, 5, 7
_H265_FIRST_KEY, _H265_LAST_KEY, _H265_LAST_SLICE, _H265_PARAMETERS = 16, 23, 31, 33


class Codec(Enum):
    """A supported video codec; the value is its name."""

    H264 = "H.264"
    H265 = "H.265"


@dataclass(frozen=True)
class Parameters:
    """A sequence parameter set.

    Attributes:
        number: Id of the parameter set.
        width: Pixels of a row.
        height: Rows.
        frame_number_bits: Bits of H.264's `frame_num`; 0 if frame numbers cannot reveal missing frames: in H.265, or if
            the stream allows gaps.
        colour_planes: Whether the colour planes are coded separately.
    """

    number: int
    width: int
    height: int
    frame_number_bits: int = 0
    colour_planes: bool = False


@dataclass(frozen=True)
class AccessUnit:
    """The content of one message of video.

    Attributes:
        parameters: The sequence parameter sets of the message.
        has_picture: Whether the message holds a picture or a part of one.
        is_key: Whether the picture is a key frame: IDR of H.264, IRAP of H.265.
        first_slice: In H.264 the beginning of the first slice, after the NAL unit's header byte; empty in H.265.
        is_reference: Whether the picture is a reference for others (H.264).
    """

    parameters: tuple[Parameters, ...]
    has_picture: bool
    is_key: bool
    first_slice: bytes = b""
    is_reference: bool = False


def read_unit(data: bytes, codec: Codec) -> AccessUnit:
    """Read the NAL units of a message.

    Raises:
        VideoDamageError: A header is cut off.
        ValueError: The data are no stream with start codes (Annex B), or have too many NAL units.
    """
    parameters: list[Parameters] = []
    has_picture = is_key = is_reference = False
    first_slice = b""
    for begin, end in _nal_units(data, codec):
        kind = data[begin] & 31 if codec is Codec.H264 else (data[begin] >> 1) & 63
        if codec is Codec.H264:
            if kind == _H264_PARAMETERS:
                parameters.append(_h264_parameters(data[begin + 1 : min(end, begin + _PARAMETER_BYTES)]))
            elif kind in (_H264_SLICE, _H264_KEY_SLICE):
                if not has_picture:
                    first_slice = data[begin + 1 : min(end, begin + _SLICE_BYTES)]
                has_picture = True
                is_key |= kind == _H264_KEY_SLICE
                is_reference |= bool(data[begin] & 96)
        elif kind == _H265_PARAMETERS:
            parameters.append(_h265_parameters(data[begin + 2 : min(end, begin + _PARAMETER_BYTES)]))
        elif kind <= _H265_LAST_SLICE:
            has_picture = True
            is_key |= _H265_FIRST_KEY <= kind <= _H265_LAST_KEY
    return AccessUnit(tuple(parameters), has_picture, is_key, first_slice, is_reference)


def _nal_units(data: bytes, codec: Codec) -> Iterator[tuple[int, int]]:
    """Begin and end offset of each NAL unit, without its start code."""
    found = 0
    begin = data.find(_START_CODE, 0, _MOST_LEADING_ZEROS + len(_START_CODE))
    if begin < 0 or any(data[:begin]):
        raise ValueError(
            f"data start with {data[:8].hex(' ')}, no start code: {codec.value} has to come as Annex B "
            "(h264_mp4toannexb and hevc_mp4toannexb turn it into that)"
        )
    while begin >= 0:
        begin += len(_START_CODE)
        following = data.find(_START_CODE, begin)
        end = len(data) if following < 0 else following
        found += 1
        if found > _MOST_UNITS:
            raise ValueError(f"data have more than {_MOST_UNITS} NAL units: send one picture per message")
        if begin < end:
            yield begin, end
        begin = following


def _h264_parameters(payload: bytes) -> Parameters:
    """A sequence parameter set of H.264 (7.3.2.1.1)."""
    reader = BitReader(payload)
    profile = reader.bits(8)
    reader.bits(16)
    number = reader.unsigned()
    chroma, colour_planes = 1, False
    if profile in _HIGH_PROFILES:
        chroma = reader.unsigned()
        colour_planes = chroma == 3 and bool(reader.bits(1))
        reader.unsigned()
        reader.unsigned()
        reader.bits(1)
        if reader.bits(1):
            for index in range(8 if chroma != 3 else 12):
                if reader.bits(1):
                    _skip_scaling_list(reader, 16 if index < 6 else 64)
    frame_number_bits = 4 + reader.unsigned()
    order = reader.unsigned()
    if order == 0:
        reader.unsigned()
    elif order == 1:
        reader.bits(1)
        reader.signed()
        reader.signed()
        for _ in range(min(reader.unsigned(), 255)):
            reader.signed()
    reader.unsigned()
    gaps_allowed = reader.bits(1)
    width, height = 16 * (1 + reader.unsigned()), 16 * (1 + reader.unsigned())
    whole_frames = reader.bits(1)
    if not whole_frames:
        height *= 2
        reader.bits(1)
    reader.bits(1)
    if reader.bits(1):
        across, down = _crop_units(chroma)
        width -= across * (reader.unsigned() + reader.unsigned())
        height -= down * (2 - whole_frames) * (reader.unsigned() + reader.unsigned())
    return Parameters(number, width, height, 0 if gaps_allowed else min(frame_number_bits, 16), colour_planes)


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    """Skip a scaling list (7.3.2.1.1.1)."""
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.signed()) % 256
        last = following or last


def _h265_parameters(payload: bytes) -> Parameters:
    """A sequence parameter set of H.265 (7.3.2.2)."""
    reader = BitReader(payload)
    reader.bits(4)
    sub_layers = reader.bits(3)
    reader.bits(1)
    # profile_tier_level (7.3.3): 88 bits of profile, 8 of level, the same for sub-layers that have them.
    reader.bits(96)
    present = [(reader.bits(1), reader.bits(1)) for _ in range(sub_layers)]
    if sub_layers:
        reader.bits(2 * (8 - sub_layers))
    for profile, level in present:
        reader.bits(88 * profile + 8 * level)
    number = reader.unsigned()
    chroma = reader.unsigned()
    if chroma == 3:
        reader.bits(1)
    width, height = reader.unsigned(), reader.unsigned()
    if reader.bits(1):
        across, down = _crop_units(chroma)
        width -= across * (reader.unsigned() + reader.unsigned())
        height -= down * (reader.unsigned() + reader.unsigned())
    return Parameters(number, width, height)


def _crop_units(chroma: int) -> tuple[int, int]:
    """Pixels of one cropping unit, across and down (6.2)."""
    return 2 if chroma in (1, 2) else 1, 2 if chroma == 1 else 1


class FrameNumberCheck:
    """Finds gaps in the frame numbers of H.264 (7.4.3), since FFmpeg's decoder conceals missing frames silently."""

    def __init__(self) -> None:
        self._parameters: Parameters | None = None
        self._last: int | None = None
        self._ambiguous = False

    def forget(self) -> None:
        """Forget the last frame number, but keep the parameter sets; counting resumes with the next picture."""
        self._last = None

    def gap_before(self, unit: AccessUnit) -> str:
        """Describe the gap if reference frames are missing before a message; empty if none are.

        Raises:
            VideoDamageError: The slice's header is cut off.
        """
        for parameters in unit.parameters:
            # With several sequence parameter sets, a slice names its own only through a picture parameter set.
            self._ambiguous |= self._parameters is not None and self._parameters.number != parameters.number
            self._parameters = parameters
        known = self._parameters
        if known is None or self._ambiguous or not known.frame_number_bits or not unit.first_slice:
            return ""
        reader = BitReader(unit.first_slice)
        for _ in range(3):
            reader.unsigned()
        if known.colour_planes:
            reader.bits(2)
        number, last = reader.bits(known.frame_number_bits), self._last
        if unit.is_reference or unit.is_key:
            self._last = number
        if unit.is_key or last is None or number == (last + 1) % (1 << known.frame_number_bits):
            return ""
        return f"its frame number is {number}, that of the frame before it {last}"
