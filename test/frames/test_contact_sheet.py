"""The evidence picture."""

from __future__ import annotations

import numpy as np
from PIL import ImageFont

from llava_ov_ros.frames import NS_PER_S, Clip, Frame, Line, contact_sheet
from llava_ov_ros.frames.contact_sheet import BACKGROUND, CAPTION_PX, MARGIN_PX, MOST_LINES, _font, _wrap


def clip_of(camera: str, colours: list[tuple[int, int, int]], size: tuple[int, int] = (60, 80)) -> Clip:
    frames = (
        Frame(camera, i * NS_PER_S, "optical", np.full((*size, 3), colour, np.uint8))
        for i, colour in enumerate(colours)
    )
    return Clip(camera, tuple(frames))


RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def test_frames_stand_in_rows_per_camera_oldest_first() -> None:
    sheet = contact_sheet([clip_of("front", [RED, GREEN, BLUE]), clip_of("back", [BLUE])], [], tile_px=80, columns=2)
    across, down = 80 + MARGIN_PX, 60 + CAPTION_PX + MARGIN_PX
    assert sheet.shape == (2 * MARGIN_PX + 3 * down, 2 * across + MARGIN_PX, 3)
    centres = [
        [tuple(map(int, sheet[MARGIN_PX + row * down + 30, MARGIN_PX + column * across + 40])) for column in (0, 1)]
        for row in (0, 1, 2)
    ]
    assert centres == [[RED, GREEN], [BLUE, BACKGROUND], [BLUE, BACKGROUND]]


def test_every_frame_has_a_caption() -> None:
    sheet = contact_sheet([clip_of("front", [RED, GREEN])], [], tile_px=240)
    captions = sheet[MARGIN_PX + 180 : MARGIN_PX + 180 + CAPTION_PX]
    for left in (MARGIN_PX, 2 * MARGIN_PX + 240):
        assert (captions[:, left : left + 240] != BACKGROUND).any()
    assert (captions[:, :240] != captions[:, 240 + MARGIN_PX : 480 + MARGIN_PX]).any(), "the times differ"


def test_the_aspect_ratio_is_kept() -> None:
    sheet = contact_sheet([clip_of("front", [RED], size=(200, 100))], [], tile_px=50)
    assert sheet.shape[0] == 2 * MARGIN_PX + 100 + CAPTION_PX + MARGIN_PX


def test_lines_add_height_and_have_their_colour() -> None:
    clips = [clip_of("front", [RED])]
    bare = contact_sheet(clips, [])
    sheet = contact_sheet(clips, [Line("How many?", (0, 255, 255)), Line("Three.", size_px=30)])
    assert sheet.shape == (bare.shape[0] + 16 + 6 + 30 + 6, *bare.shape[1:])
    assert (sheet[bare.shape[0] - MARGIN_PX :] == (0, 255, 255)).all(axis=2).any()


def test_no_clip_still_gives_the_lines() -> None:
    assert contact_sheet([], [Line("camera 'front' has sent no usable frame")]).shape[0] > 2 * MARGIN_PX
    assert contact_sheet([], []).shape[0] == 2 * MARGIN_PX


def test_text_of_any_script_is_drawn() -> None:
    bare = contact_sheet([], [Line("")])
    for text in ("桌子上有三个瓶子", "trois bouteilles à côté", "🤖"):
        assert (contact_sheet([], [Line(text)]) != bare).any()


def test_wrapping() -> None:
    font = _font(16, False)
    width = round(font.getlength("aaaa bbbb"))
    assert _wrap("aaaa bbbb cccc", font, width) == ["aaaa bbbb", "cccc"]
    assert _wrap("aaaa bbbb ", font, width) == ["aaaa bbbb"]
    assert _wrap("aaaa bbbbb", font, width) == ["aaaa", "bbbbb"]
    assert _wrap("one\ntwo", font, width) == ["one", "two"]
    assert _wrap("", font, width) == [""]
    assert "".join(_wrap("x" * 100, font, width, most_lines=100)) == "x" * 100
    assert all(font.getlength(line) <= width for line in _wrap("x" * 100 + " y z" * 30, font, width, most_lines=100))
    assert _wrap("ab", font, 1) == ["a", "b"]


def test_a_small_and_a_read_only_picture() -> None:
    pixel = np.full((1, 1, 3), 9, np.uint8)
    pixel.flags.writeable = False
    assert contact_sheet([Clip("front", (Frame("front", 0, "", pixel),))], []).dtype == np.uint8


def test_of_a_long_text_only_what_is_shown_is_measured(monkeypatch) -> None:
    measured = 0
    getlength = ImageFont.FreeTypeFont.getlength

    def count(font, text, *arguments, **named):
        nonlocal measured
        measured += len(text)
        return getlength(font, text, *arguments, **named)

    monkeypatch.setattr(ImageFont.FreeTypeFont, "getlength", count)
    for text in (
        "word " * 20_000,
        "x" * 100_000,
        "\N{COMBINING ACUTE ACCENT}" * 100_000,
        "line\n" * 20_000,
        "字" * 100_000,
    ):
        measured = 0
        sheet = contact_sheet([], [Line(text)])
        assert measured < 100_000
        assert sheet.shape[0] <= contact_sheet([], [Line("\n".join("x" * MOST_LINES))]).shape[0]
    assert _wrap("one two three", _font(16, False), 1000, most_lines=1) == ["one two three"]
    assert _wrap("one\ntwo\nthree", _font(16, False), 1000, most_lines=2) == ["one", "two…"]
