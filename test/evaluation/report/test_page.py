"""The page of a run: complete in itself, and in a real browser filtered, sorted and readable on a phone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from llava_ov_ros.evaluation.metrics import CAPTION_METRICS, METRICS
from llava_ov_ros.evaluation.report.comparison import compare
from llava_ov_ros.evaluation.report.page import MEANINGS, report
from llava_ov_ros.evaluation.run.bag_answers import picture_name, tile
from llava_ov_ros.evaluation.suite.preflight import Shard, ShardCamera
from llava_ov_ros.replay import ImageTopic

S = 1_000_000_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TOPIC = ImageTopic("/front/image_raw", "sensor_msgs/msg/Image", "raw", 9, 0, 8 * S, stamped=True)
NASTY = '</script><b>&amp; \u2028 "quoted" 几个瓶子'


def row(number: int, em: float, **more):
    return {
        "bag": "bottles",
        "number": number,
        "question": f"How many bottles stand on the table ({number})?",
        "kind": "count",
        "category": "",
        "at_s": float(number),
        "stamp_ns": number * S,
        "window_s": 2.0,
        "status": "OK",
        "message": "",
        "text": "three" if em else "two",
        "confidence": 0.5 + number / 100,
        "value": 3,
        "gold": [3],
        "scores": {"em": em},
        "frames": [
            {"camera": "front", "stamp_ns": max(0, number - back) * S, "frame_id": ""} for back in range(2, -1, -1)
        ],
        **more,
    }


@pytest.fixture(scope="module")
def rows():
    found = [row(number, float(number % 2)) for number in range(7)]
    found.append(row(7, 0.0, status="STALE", text="", message="its newest frame is old", frames=[], confidence=0.0))
    found.append(row(8, 0.0, question=NASTY, kind="text", category="where", text=NASTY, gold=["on the table"]))
    return found


def figure(value: float):
    return {"em": {"n": 9, "value": value, "low": value - 0.2, "high": value + 0.2}}


SUMMARY = {
    "suite": "bottles",
    "model": "rooms",
    "way": "in process",
    "prompts": "plain/2",
    "mode": "video",
    "questions": 9,
    "statuses": {"OK": 8, "STALE": 1},
    "stale": 1 / 9,
    "refused": 1 / 9,
    "metrics": figure(1 / 3),
    "kinds": {"count": figure(3 / 8), "text": figure(0.2)},
    "categories": {},
    "bags": {"bottles": figure(1 / 3)},
    "captioning": {"not_available": "Java is not installed"},
    "calibration": {
        "n": 8,
        "ece": 0.1,
        "brier": 0.2,
        "bins": [{"from": 0.5, "to": 0.6, "n": 8, "confidence": 0.54, "accuracy": 0.375}],
    },
    "remarks": {"bottles": ["front (/front/image_raw): 9 messages, 9 frames kept"]},
}


@pytest.fixture(scope="module")
def page(rows, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for second in range(9):
        path = folder / "frames" / picture_name(0, 0, second * S)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.full((480, 640, 3), 25 * second, dtype=np.uint8)
        cv2.putText(picture, str(second), (220, 330), cv2.FONT_HERSHEY_SIMPLEX, 8, (255, 160, 0), 30)
        path.write_bytes(tile(picture))
    timing = {"latency": {"total_s": {"n": 8, "median": 0.02, "p95": 0.04}}}
    before = [one | {"scores": {"em": 1.0}, "text": "three"} if one["number"] == 2 else one for one in rows]
    shard = Shard(0, "bottles", Path("bottles"), (ShardCamera(TOPIC, "front", 0, "default"),), ())
    text = report(SUMMARY, timing, [(shard, one) for one in rows], folder / "frames", compare(rows, before, 0), "old")
    path = folder / "report.html"
    path.write_text(text)
    return path


def test_the_page_needs_nothing_but_itself(page):
    text = page.read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?(?!data:)[a-z]+:""", text)
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert text.count("</script>") == 2


def test_texts_stay_texts_and_every_picture_is_there_once(page, rows):
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page.read_text())[1])
    assert data["rows"][8]["text"] == NASTY
    used = {frame["tile"] for one in data["rows"] for frame in one["frames"]}
    assert used == set(data["tiles"])
    assert [frame["ago_s"] for frame in data["rows"][4]["frames"]] == [-2, -1, 0]


def test_a_page_that_would_be_too_large_leaves_pictures_of_right_answers_out(rows, page, monkeypatch):
    size = (page.parent / "frames" / picture_name(0, 0, 4 * S)).stat().st_size
    monkeypatch.setattr("llava_ov_ros.evaluation.report.page.MOST_PICTURE_BYTES", 3 * size)
    shard = Shard(0, "bottles", Path("bottles"), (ShardCamera(TOPIC, "front", 0, "default"),), ())
    wrong, right = rows[2] | {"scores": {"em": 0.0}}, rows[7] | {"scores": {"em": 1.0}, "frames": rows[6]["frames"]}
    text = report({}, {"latency": {}}, [(shard, right), (shard, wrong)], page.parent / "frames")
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text)[1])
    # Frames of seconds 0, 1, 2 are wrong's, of 4, 5, 6 right's.
    kept = {int(name.partition("-")[2].removesuffix(".jpg")) // S for name in data["tiles"]}
    assert kept <= {0, 1, 2}
    assert data["left_out"] == 6 - len(kept)
    assert len(kept) >= 2


@pytest.fixture(scope="module")
def browse(page, tmp_path_factory):
    """Opens the page in a headless browser with some filter; gives its DOM, or writes a screenshot."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("there is no Chromium here (Debian: apt install chromium)")
    profile = tmp_path_factory.mktemp("profile")

    def opened(chosen: str = "", *more: str, path: Path = page) -> str:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        address = path.as_uri() + (f"#{chosen}" if chosen else "")
        options = [f"--user-data-dir={profile}", "--virtual-time-budget=2000", *(more or ["--dump-dom"]), address]
        return subprocess.run([*command, *options], capture_output=True, text=True, check=True, timeout=100).stdout

    return opened


def cards(dom: str) -> list[str]:
    return re.findall(r"<article>(.*?)</article>", dom, re.DOTALL)


def test_in_a_browser_all_questions_are_shown_with_their_frames(browse):
    dom = browse()
    assert "9 of 9 questions" in dom
    shown = cards(dom)
    assert len(shown) == 9
    assert shown[4].count('<img alt="front" src="data:image/jpeg;base64,') == 3
    assert "front  -2.00 s" in shown[4]
    for text in ("33.3", "13.3 to 53.3", "Results in percent", "Java is not installed", "9 messages, 9 frames kept"):
        assert text in dom
    assert "-11.1" in dom
    assert "&lt;/script&gt;&lt;b&gt;" in shown[8]


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        ("outcome=wrong&status=OK", [0, 2, 4, 6, 8]),
        ("outcome=worse", [2]),
        ("text=(4)", [4]),
        ("outcome=right&sort=sure", [5, 3, 1]),
        ("sort=unsure&kind=text", [8]),
    ],
)
def test_in_a_browser_questions_are_filtered_and_sorted(browse, chosen, numbers):
    dom = browse(chosen)
    assert f"{len(numbers)} of 9 questions" in dom
    assert [int(re.search(r"<h3>(\d)\.00 s", card)[1]) for card in cards(dom)] == numbers


def test_in_a_browser_the_questions_of_a_bag_stand_along_its_time(browse, page, tmp_path):
    # Two questions of one moment stand below one another; the mark that is chosen shows its question with the frames.
    path = tmp_path / "report.html"
    path.write_text(page.read_text().replace("fromAddress();\n</script>", "fromAddress();\n" + CHOOSE + "\n</script>"))
    dom = browse(path=path)
    marks = re.findall(r'<button class="(good|bad)[^"]*" type="button" title="[^"]*" aria-label="(\d)\.00 s', dom)
    assert [kind for kind, _ in marks] == ["bad", "good"] * 3 + ["bad", "bad", "bad"]
    assert [int(second) for _, second in marks] == list(range(9))
    chosen = re.search(r"<section id=\"times\">.*?</section>", dom, re.DOTALL)[0]
    assert "<h3>4.00 s  How many bottles stand on the table (4)?</h3>" in chosen
    assert chosen.count("data:image/jpeg;base64,") == 3


CHOOSE = 'document.querySelectorAll(".line button")[4].dispatchEvent(new Event("mouseenter"));'


@pytest.mark.parametrize("width", [500, 1200])
def test_no_page_is_wider_than_its_window(browse, page, tmp_path, width):
    # 500 pixels is the least width of a window of Chromium.
    path = tmp_path / "report.html"
    told = "document.title = document.documentElement.scrollWidth - document.documentElement.clientWidth;"
    path.write_text(page.read_text().replace("fromAddress();\n</script>", f"fromAddress();\n{told}\n</script>"))
    assert "<title>0</title>" in browse("", "--dump-dom", f"--window-size={width},900", path=path)


def test_every_metric_of_a_run_has_a_meaning():
    assert set(MEANINGS) == METRICS - set(CAPTION_METRICS)


def test_in_a_browser_gold_and_answer_are_said_alike_and_what_is_not_scored_says_so(browse, tmp_path):
    said = [
        row(0, 0.0, text="five", value=5),
        row(1, 1.0, text="3", value=3),
        row(2, 0.0, kind="yes_no", text="no", value=False, gold=[True]),
        row(3, 0.0, kind="text", text="a lamp", value=None, gold=[], scores={}),
        row(4, 0.0, kind="text", text="a lamp", value=None, gold=["a bed"], scores={}),
        row(5, 0.0, kind="plan", text="", value=None, gold=[[["GotoLocation", "bed"], ["PickupObject", "mug"]]]),
    ]
    shard = Shard(0, "bottles", Path("bottles"), (ShardCamera(TOPIC, "front", 0, "default"),), ())
    path = tmp_path / "report.html"
    path.write_text(report(SUMMARY, {"latency": {}}, [(shard, one) for one in said], tmp_path, notice="rooms guesses"))
    dom = browse(path=path)
    shown = [dict(re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", card)) for card in cards(dom)]
    assert [one["answer"] for one in shown[:3]] == ["five (5)", "3", "no"]
    assert [one.get("gold") for one in shown[:5]] == ["3", "3", "yes", None, "a bed"]
    assert shown[5]["gold"] == "GotoLocation bed; PickupObject mug"
    assert shown[3]["score"] == "not scored: the suite does not say what is right"
    assert shown[4]["score"] == "not scored: no metric of this run suits the question"
    assert '<p class="bad" id="notice">rooms guesses</p>' in dom
    assert f"<dt>em</dt><dd>{MEANINGS['em']}</dd>" in dom
    assert '<p class="bad" id="notice" hidden="">' in browse()


@pytest.mark.parametrize("width", [390, 1200])
def test_a_screenshot_shows_frames_and_nothing_is_cut_off(browse, tmp_path, width):
    shot = tmp_path / "page.png"
    browse("outcome=right", f"--screenshot={shot}", f"--window-size={width},1400", "--hide-scrollbars")
    picture = cv2.imread(str(shot))
    assert picture.shape[1] == width
    # The orange digits of the frames are in it.
    blue, green, red = (picture[..., channel].astype(int) for channel in range(3))
    assert ((red > 180) & (blue < 60) & (green > 100)).sum() > 500
