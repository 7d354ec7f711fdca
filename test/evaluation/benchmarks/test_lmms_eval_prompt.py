"""What lmms-eval's documents become: the layout of its own LLaVA-OneVision model."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from llava_ov_ros.evaluation.benchmarks.lmms_eval_prompt import (
    DocumentError,
    chat_parts,
    context_texts,
    shown,
    turns_of,
    video_frames,
)
from llava_ov_ros.onevision.prompt import Text, Visual

RED, BLUE = Image.new("RGB", (8, 6), (255, 0, 0)), Image.new("RGB", (8, 6), (0, 0, 255))


def said(*parts, role="user"):
    content = [
        SimpleNamespace(type="text", text=part)
        if isinstance(part, str)
        else SimpleNamespace(type="video" if part == VIDEO else "image", url=part)
        for part in parts
    ]
    return SimpleNamespace(role=role, content=content)


VIDEO = ("a video",)


@pytest.fixture
def video(tmp_path):
    """Ten pictures, each of another grey."""
    file = tmp_path / "greys.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 5, (32, 24))
    for number in range(10):
        writer.write(np.full((24, 32, 3), 25 * number, dtype=np.uint8))
    writer.release()
    return file


@pytest.mark.parametrize(
    ("context", "items", "expected"),
    [
        ("What?", 1, "<image>\nWhat?"),
        ("What?", 3, "<image> <image> <image>\nWhat?"),
        ("In <image> and <image>?", 2, "In <image> and <image>?"),
        ("What?", 0, "What?"),
    ],
)
def test_pictures_stand_first_unless_the_text_says_where(context, items, expected):
    assert context_texts(context, items) == [expected]


def test_a_list_of_values_is_a_dialogue():
    dialogue = json.dumps([{"value": "<image>\nWhat?"}, {"value": "A mug."}, {"value": "Where?"}])
    assert context_texts(dialogue, 1) == ["<image>\nWhat?", "A mug.", "Where?"]
    assert context_texts("[1, 2, 3]", 0) == ["[1, 2, 3]"]
    for no_dialogue in ("[no JSON", "[" * 100_000, f"[{'9' * 5000}]"):
        assert context_texts(no_dialogue, 0) == [no_dialogue]


def test_turns_have_places_in_order():
    turns = turns_of(["<image> and <image>?", "Mugs.", "And <image>?"], 3)
    assert turns == [
        [Text(""), Visual(0), Text(" and "), Visual(1), Text("?")],
        [Text("Mugs.")],
        [Text("And "), Visual(2), Text("?")],
    ]
    assert turns_of(["What is <image>?"], 0) == [[Text("What is <image>?")]]
    with pytest.raises(DocumentError, match="places for 1 pictures, and the document shows 2"):
        turns_of(["<image>"], 2)


def test_one_picture_is_shown_in_most_detail_and_several_padded():
    one, several = shown([RED], 32), shown([RED, BLUE], 32)
    assert (one.mode, len(one.items)) == ("image", 1)
    assert (several.mode, [len(item) for item in several.items]) == ("multi_image", [1, 1])
    assert several.items[1][0].rgb[0, 0].tolist() == [0, 0, 255]
    assert shown(None, 32).items == shown([], 32).items == ()


def test_a_file_of_a_picture_is_a_picture(tmp_path):
    file = tmp_path / "blue.png"
    BLUE.save(file)
    assert shown([str(file)], 32).items[0][0].rgb[0, 0].tolist() == [0, 0, 255]


def test_a_video_is_one_clip_of_frames_at_equal_distances(video):
    what = shown([str(video)], 4)
    assert (what.mode, len(what.items)) == ("video", 1)
    greys = [int(frame.rgb.mean()) for frame in what.items[0]]
    assert greys == pytest.approx([0, 75, 150, 225], abs=6)
    assert len(video_frames(video, 16)) == 16


def test_pictures_that_are_frames_of_a_video():
    what = shown([RED, BLUE, RED, BLUE, RED], 32, sample_frames=3)
    assert (what.mode, len(what.items), len(what.items[0])) == ("video", 1, 3)


@pytest.mark.parametrize(
    ("visuals", "message"),
    [
        (["a.mp4", "b.mp4"], "2 videos or pictures"),
        (["nowhere.mp4"], "nowhere.mp4: not a video"),
        (["nowhere.png"], "cannot be read"),
        ([3], "shows int"),
    ],
)
def test_documents_that_cannot_be_shown(visuals, message):
    with pytest.raises(DocumentError, match=message):
        shown(visuals, 32)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((RED, "What?"), "<image>\nWhat?"),
        ((RED, BLUE, "What?"), "<image> <image>\nWhat?"),
        (("In ", RED, "or ", BLUE, "?"), "In <image>\nor <image>\n?"),
        ((VIDEO, "What?"), "<image>\nWhat?"),
        (("What?",), "What?"),
        # As lmms-eval makes messages from a simple task whose text has the places.
        ((RED, BLUE, "In <image> or <image>?"), "In <image> or <image>?"),
        ((RED, "Literally <image> and <image>"), "<image>\nLiterally  and "),
        (("What is <image>?",), "What is <image>?"),
    ],
)
def test_a_chat_is_laid_out_as_the_simple_prompt(parts, text):
    found = chat_parts([said(*parts)])
    assert found.texts == (text,)
    assert found.visuals == tuple(part for part in parts if not isinstance(part, str))


def test_a_dialogue_with_a_system_message():
    messages = [
        said("Be brief.", role="system"),
        said(RED, "What?"),
        said("A mug.", role="assistant"),
        said("And ", BLUE),
    ]
    found = chat_parts(messages)
    assert found.system == "Be brief."
    assert found.texts == ("<image>\nWhat?", "A mug.", "And <image>")
    assert found.visuals == (RED, BLUE)


def test_chats_that_cannot_be_asked():
    with pytest.raises(DocumentError, match="take turns"):
        chat_parts([said("What?"), said("What?")])
    with pytest.raises(DocumentError, match="does not end with what the user says"):
        chat_parts([said("What?"), said("A mug.", role="assistant")])
    sound = SimpleNamespace(role="user", content=[SimpleNamespace(type="audio", url="a.wav")])
    with pytest.raises(DocumentError, match="the chat has audio"):
        chat_parts([sound])
