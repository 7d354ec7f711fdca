"""Video in messages: the pictures of av's own decoding, from the first key frame on, and never a damaged one."""

from __future__ import annotations

import sys

import numpy as np
import psutil
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from llava_ov_ros.frames import (
    AdmissionSettings,
    Camera,
    CameraSettings,
    DamagedError,
    DecodeOptions,
    ImageError,
    MessageDecoder,
    Outcome,
    StampSource,
)
from llava_ov_ros.frames.annex_b import Codec, read_unit
from llava_ov_ros.message_types import COMPRESSED_IMAGE, COMPRESSED_VIDEO, FFMPEG_PACKET
from llava_ov_ros.replay.definitions import DEFINITIONS

S = 1_000_000_000
CODECS = ("h264", "h265")
NAMES = {
    ("h264", COMPRESSED_IMAGE): "h264",
    ("h264", COMPRESSED_VIDEO): "h264",
    ("h264", FFMPEG_PACKET): "libx264",
    ("h265", COMPRESSED_IMAGE): "hevc",
    ("h265", COMPRESSED_VIDEO): "h265",
    ("h265", FFMPEG_PACKET): "hevc;yuv420p;bgr8;bgr8",
}


@pytest.fixture(scope="module")
def video(moving_pictures, encode_video):
    """Sixty packets of each codec."""
    pictures = moving_pictures(60)
    return {codec: encode_video(codec, pictures) for codec in CODECS}


@pytest.fixture(scope="module")
def wrap():
    """Makes a message of a packet: `wrap(data, codec, kind, number)`, with a stamp every tenth of a second."""
    store = get_typestore(Stores.LATEST)
    for kind, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, kind))
    types = store.types

    def build(data, codec="h264", kind=COMPRESSED_VIDEO, number=0, name=None, start_ns=S):
        stamp_ns = start_ns + number * S // 10
        stamp = types["builtin_interfaces/msg/Time"](sec=stamp_ns // S, nanosec=stamp_ns % S)
        octets = np.frombuffer(data, np.uint8)
        text = NAMES[codec, kind] if name is None else name
        if kind == COMPRESSED_VIDEO:
            return types[kind](timestamp=stamp, frame_id="optical", data=octets, format=text)
        header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="optical")
        if kind == COMPRESSED_IMAGE:
            return types[kind](header=header, format=text, data=octets)
        fields = {"width": 320, "height": 240, "encoding": text, "pts": number, "flags": 0, "is_bigendian": False}
        return types[kind](header=header, data=octets, **fields)

    return build


def camera(rate_hz=0.0, **fields):
    settings = CameraSettings(admission=AdmissionSettings(rate_hz=rate_hz), buffer_frames=100, **fields)
    return Camera("front", settings)


def offered(one, messages):
    return [one.offer(message, 100 * S) for message in messages]


def frames_of(one):
    return one.clip(0, 10**12, 1000).frames


@pytest.mark.parametrize("kind", [COMPRESSED_IMAGE, COMPRESSED_VIDEO, FFMPEG_PACKET])
@pytest.mark.parametrize("codec", CODECS)
def test_every_picture_is_that_of_avs_own_decoding(codec, kind, video, wrap, decode_video):
    one = camera()
    messages = [wrap(data, codec, kind, number) for number, data in enumerate(video[codec])]
    assert offered(one, messages) == 60 * [Outcome.ADMITTED]
    truth = decode_video(codec, video[codec])
    frames = frames_of(one)
    assert [frame.stamp_ns for frame in frames] == [S + number * S // 10 for number in range(60)]
    assert {frame.frame_id for frame in frames} == {"optical"}
    for frame, picture in zip(frames, truth, strict=True):
        assert np.array_equal(frame.rgb, picture)


@pytest.mark.parametrize("codec", CODECS)
def test_from_the_middle_on_nothing_comes_before_the_next_key_frame(codec, video, wrap, decode_video):
    one = camera()
    outcomes = offered(one, [wrap(video[codec][number], codec, number=number) for number in range(22, 60)])
    assert outcomes == 8 * [Outcome.AWAITING_KEY_FRAME] + 30 * [Outcome.ADMITTED]
    assert (one.counts.awaiting_key_frame, one.counts.admitted, one.counts.malformed) == (8, 30, 0)
    truth = decode_video(codec, video[codec])
    for frame, picture in zip(frames_of(one), truth[30:], strict=True):
        assert np.array_equal(frame.rgb, picture)


@pytest.mark.parametrize("codec", CODECS)
def test_what_the_rate_leaves_out_is_decoded_for_what_comes_after_it(codec, video, wrap, decode_video):
    one = camera(rate_hz=2.0)
    outcomes = offered(one, [wrap(data, codec, number=number) for number, data in enumerate(video[codec])])
    assert outcomes.count(Outcome.ADMITTED) == 12
    assert set(outcomes) == {Outcome.ADMITTED, Outcome.NOT_DUE}
    truth = decode_video(codec, video[codec])
    for frame in frames_of(one):
        assert np.array_equal(frame.rgb, truth[(frame.stamp_ns - S) * 10 // S])


@pytest.mark.parametrize("codec", CODECS)
def test_a_missing_message_is_damage_until_the_next_key_frame(codec, video, wrap, decode_video):
    """Libavcodec conceals missing frames of H.264 and marks nothing: its pictures are wrong from there on."""
    one = camera()
    numbers = [*range(20), *range(21, 40)]
    outcomes = offered(one, [wrap(video[codec][number], codec, number=number) for number in numbers])
    assert outcomes == (
        20 * [Outcome.ADMITTED] + [Outcome.DAMAGED] + 8 * [Outcome.AWAITING_KEY_FRAME] + 10 * [Outcome.ADMITTED]
    )
    assert "frames before it are missing" in one.counts.last_error
    truth = decode_video(codec, video[codec])
    for frame, number in zip(frames_of(one), [*range(20), *range(30, 40)], strict=True):
        assert np.array_equal(frame.rgb, truth[number])


@pytest.mark.parametrize("codec", CODECS)
def test_a_missing_key_frame_is_noticed_too(codec, video, wrap):
    one = camera()
    numbers = [*range(13, 30), *range(31, 50)]
    outcomes = offered(one, [wrap(video[codec][number], codec, number=number) for number in numbers])
    waiting = Outcome.AWAITING_KEY_FRAME
    assert outcomes == (
        2 * [waiting] + 15 * [Outcome.ADMITTED] + [Outcome.DAMAGED] + 13 * [waiting] + 5 * [Outcome.ADMITTED]
    )


@pytest.mark.parametrize("lost", [1, 2, 14, 15, 17])
def test_a_burst_of_missing_messages_is_noticed_where_the_frame_numbers_have_wrapped_around(
    lost, moving_pictures, encode_video, wrap
):
    """The encoder counts up to 16 and has one key frame here."""
    packets = encode_video("h264", moving_pictures(60), key_every=100)
    one = camera()
    numbers = [*range(40), *range(40 + lost, 60)]
    outcomes = offered(one, [wrap(packets[number], number=number) for number in numbers])
    waiting = (19 - lost) * [Outcome.AWAITING_KEY_FRAME]
    assert outcomes == [*40 * [Outcome.ADMITTED], Outcome.DAMAGED, *waiting]


def test_a_message_that_comes_twice_is_damage(video, wrap):
    one = camera()
    outcomes = offered(one, [wrap(video["h264"][i], number=n) for n, i in enumerate([0, 1, 2, 2, 3])])
    assert outcomes == [*3 * [Outcome.ADMITTED], Outcome.DAMAGED, Outcome.AWAITING_KEY_FRAME]


def test_no_parameter_set_of_several_may_be_too_large(moving_pictures, encode_video, wrap):
    large, small = (encode_video("h264", moving_pictures(1, *size))[0] for size in ((640, 480), (320, 240)))
    decoder = MessageDecoder("front", DecodeOptions(max_pixels=320 * 240))
    with pytest.raises(ImageError, match="size is 640x480"):
        decoder.follow(wrap(large[: large.index(b"\0\0\1\x65")] + small))


@pytest.mark.parametrize("kept", [0.4, 0.7])
def test_a_cut_off_message_is_damaged_and_named(kept, video, wrap):
    one = camera()
    packets = list(video["h264"])
    packets[17] = packets[17][: round(kept * len(packets[17]))]
    outcomes = offered(one, [wrap(data, number=number) for number, data in enumerate(packets)])
    assert outcomes[17] is Outcome.DAMAGED
    assert outcomes[18:30] == 12 * [Outcome.AWAITING_KEY_FRAME]
    assert outcomes[30:] == 30 * [Outcome.ADMITTED]
    assert one.counts.last_error.startswith("camera 'front', encoding 'h264': ")
    assert "damaged" in one.counts.last_error


def test_parameter_sets_in_messages_of_their_own(video, wrap):
    """As hardware encoders give them: once before the first key frame."""
    first = video["h264"][0]
    key = first.index(b"\0\0\1\x65")
    one = camera()
    outcomes = offered(one, [wrap(first[key:], number=0), wrap(first[:key], number=1)])
    assert outcomes == 2 * [Outcome.AWAITING_KEY_FRAME]
    after = [first[key:], first[:key], *video["h264"][1:3]]
    assert [one.offer(wrap(data, number=2 + i), 9 * S) for i, data in enumerate(after)] == [
        Outcome.ADMITTED,
        Outcome.WITHOUT_PICTURE,
        Outcome.ADMITTED,
        Outcome.ADMITTED,
    ]
    assert one.counts.without_picture == 1


def test_parameter_sets_are_remembered_over_damage(video, wrap):
    first, one = video["h264"][0], camera()
    key = first.index(b"\0\0\1\x65")
    packets = [first, *video["h264"][1:3], b"\0\0\0\1\x41\x9a", first[key:], video["h264"][1]]
    outcomes = offered(one, [wrap(data, number=number) for number, data in enumerate(packets)])
    assert outcomes == [*3 * [Outcome.ADMITTED], Outcome.DAMAGED, *2 * [Outcome.ADMITTED]]


@pytest.mark.parametrize("codec", CODECS)
def test_another_size_and_another_codec_within_a_stream(codec, video, wrap, moving_pictures, encode_video):
    other = "h265" if codec == "h264" else "h264"
    small = encode_video(codec, moving_pictures(3, 160, 96))
    one = camera()
    packets = [(data, codec) for data in [*video[codec][:4], *small]] + [(data, other) for data in video[other][:4]]
    outcomes = offered(one, [wrap(data, name, number=number) for number, (data, name) in enumerate(packets)])
    assert outcomes == 11 * [Outcome.ADMITTED]
    assert [frame.rgb.shape[:2] for frame in frames_of(one)] == 4 * [(240, 320)] + 3 * [(96, 160)] + 4 * [(240, 320)]


def test_stamps_that_jump_back_begin_a_new_stream(video, wrap):
    one = camera()
    offered(one, [wrap(data, number=number) for number, data in enumerate(video["h264"][:25])])
    # A loop that was cut in the middle of a group of pictures.
    looped = [wrap(video["h264"][number], number=number - 20) for number in range(20, 35)]
    assert [one.offer(message, 9 * S) for message in looped] == (
        10 * [Outcome.AWAITING_KEY_FRAME] + 5 * [Outcome.ADMITTED]
    )
    assert one.counts.jumps_back == 1


def test_refused_stamps_do_not_break_the_video(video, wrap, decode_video):
    one = camera()
    numbers = [0, 1, 1, 2]
    outcomes = [one.offer(wrap(video["h264"][i], number=n), 9 * S) for i, n in enumerate(numbers)]
    assert outcomes == [Outcome.ADMITTED, Outcome.ADMITTED, Outcome.OUT_OF_ORDER, Outcome.ADMITTED]
    assert np.array_equal(frames_of(one)[-1].rgb, decode_video("h264", video["h264"][:4])[3])


def test_stamps_of_arrival_and_rotation(video, wrap, decode_video):
    one = camera(decode=DecodeOptions(rotate_deg=90), stamp_source=StampSource.ARRIVAL)
    outcomes = [one.offer(wrap(data, start_ns=5), 7 * S + i) for i, data in enumerate(video["h264"][:3])]
    assert outcomes == 3 * [Outcome.ADMITTED]
    frames, truth = frames_of(one), decode_video("h264", video["h264"][:3])
    assert [frame.stamp_ns for frame in frames] == [7 * S, 7 * S + 1, 7 * S + 2]
    for frame, picture in zip(frames, truth, strict=True):
        assert np.array_equal(frame.rgb, np.rot90(picture, -1))


def test_a_video_that_stands_still_is_noticed(moving_pictures, encode_video, wrap):
    """The encoder improves the picture for a while, and then it stays the same."""
    packets = encode_video("h265", 60 * moving_pictures(1), key_every=60)
    one = camera()
    offered(one, [wrap(data, "h265", number=number) for number, data in enumerate(packets)])
    assert one.counts.admitted == 60
    assert one.same_picture_ns() > 2 * S


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_in_another_order_are_refused_with_the_remedy(codec, moving_pictures, encode_video, wrap):
    packets = encode_video(codec, moving_pictures(20), b_frames=2)
    one = camera()
    offered(one, [wrap(data, codec, number=number) for number, data in enumerate(packets)])
    assert one.counts.admitted == 0
    assert "B-frames" in one.counts.last_error
    assert "tune=zerolatency" in one.counts.last_error


@pytest.mark.parametrize("codec", CODECS)
def test_a_size_that_is_too_large_is_refused_before_it_is_decoded(codec, video, wrap):
    decoder = MessageDecoder("front", DecodeOptions(max_pixels=320 * 240 - 1))
    with pytest.raises(ImageError, match="size is 320x240 = 76800 pixels, more than 76799") as caught:
        decoder.follow(wrap(video[codec][0], codec))
    assert not isinstance(caught.value, DamagedError)
    exact = MessageDecoder("front", DecodeOptions(max_pixels=320 * 240))
    assert exact.follow(wrap(video[codec][0], codec))().picture.shape == (240, 320, 3)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("width", "height"), [(320, 240), (322, 246), (64, 16), (642, 362)])
def test_the_size_in_the_parameters_is_that_of_the_picture(codec, width, height, moving_pictures, encode_video):
    (data,) = encode_video(codec, moving_pictures(1, width, height))
    unit = read_unit(data, Codec.H264 if codec == "h264" else Codec.H265)
    assert unit.is_key
    assert [(one.width, one.height) for one in unit.parameters] == [(width, height)]


def test_a_length_instead_of_a_start_code_is_named(video, wrap):
    data = video["h264"][0]
    one = camera()
    assert one.offer(wrap(len(data).to_bytes(4) + data[4:]), S) is Outcome.MALFORMED
    assert "has to come as Annex B" in one.counts.last_error


@pytest.mark.parametrize(
    ("kind", "name"), [(COMPRESSED_VIDEO, "vp9"), (COMPRESSED_VIDEO, "av1"), (FFMPEG_PACKET, "mpeg4;yuv420p;bgr8;bgr8")]
)
def test_other_codecs_are_refused_by_name(kind, name, wrap):
    one = camera()
    assert one.offer(wrap(b"\0\0\1\xb3", kind=kind, name=name), S) is Outcome.MALFORMED
    assert f"video of the codec {name.split(';')[0]!r} is not decoded, H.264 and H.265 are" in one.counts.last_error


def test_neither_decoding_nor_converting_starts_threads(video, wrap):
    before = psutil.Process().num_threads()
    decoder = MessageDecoder("front", DecodeOptions())
    pictures = [decoder.follow(wrap(data)) for data in video["h264"][:5]]
    assert all(picture().picture.any() for picture in pictures)
    assert psutil.Process().num_threads() <= before


def test_without_av_one_sentence_names_the_extra(video, wrap, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    one = camera()
    assert one.offer(wrap(video["h264"][0]), S) is Outcome.MALFORMED
    assert "pip install 'av>=17,<19'" in one.counts.last_error


def test_any_bytes_are_damaged_or_malformed_and_no_more(video, wrap):
    random = np.random.default_rng(4)
    one = camera()
    for number in range(300):
        data = bytearray(video["h264"][number % 30])
        for _ in range(int(random.integers(1, 20))):
            data[int(random.integers(0, min(len(data), 400)))] = int(random.integers(0, 256))
        one.offer(wrap(bytes(data), number=number), 10**12)
    counts = one.counts
    assert counts.received == 300
    assert counts.damaged + counts.malformed + counts.awaiting_key_frame > 100


def test_the_decoder_is_given_up_where_no_more_messages_come(video, wrap):
    one = camera()
    offered(one, [wrap(data, number=number) for number, data in enumerate(video["h264"][:3])])
    one.end_stream()
    assert one.offer(wrap(video["h264"][3], number=3), S) is Outcome.AWAITING_KEY_FRAME
