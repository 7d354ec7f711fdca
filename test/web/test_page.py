"""The page in a real browser, about the installed node with the shipped model over DDS, in a rendered room."""

from __future__ import annotations

import json
import re
import socket
import time

import cv2
import numpy as np
import psutil
import pytest
from fixtures.waiting import PATIENCE_S, until
from fixtures.web_page import RoomCameras, WebProcess, decoded, node_of
from llava_ov_ros.msg import ActionHint, Answer, Plan
from websockets.sync.client import connect

pytestmark = pytest.mark.web

WAIT_MS = 1000 * PATIENCE_S
STANDING = "What colour is the bed?"
NODE = {"standing_questions": [STANDING], "standing_period_s": 5.0, "hint_period_s": 0.5, "max_new_tokens": 64}


@pytest.fixture(scope="module")
def cameras():
    one = RoomCameras(("front", "rear"))
    yield one
    one.close()


@pytest.fixture(scope="module")
def node(cameras, tmp_path_factory):
    """The node, which a test may end and start again."""
    with node_of(cameras, tmp_path_factory.mktemp("node") / "node.log", **NODE) as one:
        yield one


@pytest.fixture(scope="module")
def web(node, tmp_path_factory):
    log = tmp_path_factory.mktemp("web") / "web.log"
    one = WebProcess(node.name, log)
    yield one
    assert one.end() == 130
    assert "Traceback" not in log.read_text(), log.read_text()


class Seen:
    """A page, with what it has loaded and complained about."""

    def __init__(self, browser, address, **options):
        self.context = browser.new_context(viewport={"width": 1280, "height": 1000}, locale="en-GB", **options)
        self.context.set_default_timeout(WAIT_MS)
        self.page = self.context.new_page()
        self.loaded, self.complaints = [], []
        self.page.on("request", lambda request: self.loaded.append(request.url))
        self.page.on("console", lambda line: line.type in ("error", "warning") and self.complaints.append(line.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)
        self.page.locator("#link.good").wait_for()
        for name in ("front", "rear"):
            self.page.locator(f"figure[data-camera={name}][data-state=ok] img").wait_for(state="visible")


@pytest.fixture(scope="module")
def seen(chromium, web):
    one = Seen(chromium, web.address)
    yield one
    one.context.close()


@pytest.fixture
def page(seen):
    return seen.page


def ask(page, question, kind="text", choices=()):
    """Ask with the form, and wait for the answer's card."""
    page.locator("#kind").select_option(kind)
    if choices:
        page.locator("#choices").fill("\n".join(choices))
    page.locator("#question").fill(question)
    page.locator("#send").click()
    card = page.locator("#answers article", has=page.get_by_role("heading", name=question, exact=True)).first
    card.wait_for()
    return card


def test_the_cameras_are_live_and_their_pictures_change(page):
    image = page.locator("figure[data-camera=front] img")
    assert image.evaluate("one => [one.naturalWidth, one.naturalHeight]") == [320, 240]
    before = image.get_attribute("src")
    until(lambda: image.get_attribute("src") != before, "the next picture")
    assert page.locator("figure[data-camera=front] .pill").inner_text() == "live"
    assert re.fullmatch(r"\d+\.\d s old", page.locator("figure[data-camera=front] figcaption .dim").inner_text())


def test_an_answer_has_the_text_and_frames_that_a_ros_client_hears(page, cameras):
    heard = cameras.listen(Answer, "answers")
    card = ask(page, "What is on the desk?")
    answer = heard.wait(lambda one: one.question == "What is on the desk?")
    assert card.locator(".answer").inner_text() == answer.text
    assert f"{100 * answer.confidence:.0f} %" in card.locator(".bar").inner_text()
    card.locator("summary").click()
    lines = card.locator("details li").all_inner_texts()
    assert len(lines) == len(answer.frames)
    stamp = answer.frames[0].stamp_used
    shown = time.strftime("%H:%M:%S", time.localtime(stamp.sec)) + f".{stamp.nanosec // 10**6:03}"
    assert lines[0].split() == [answer.frames[0].camera, shown]
    sheet = card.locator("img.sheet").first
    sheet.wait_for(state="visible")
    until(lambda: sheet.evaluate("one => one.naturalWidth") > 300, "the evidence picture")


def test_compared_choices_are_bars(page, cameras):
    heard = cameras.listen(Answer, "answers")
    choices = ["red", "blue", "green"]
    card = ask(page, "What colour is the sofa?", "choice", choices)
    answer = heard.wait(lambda one: one.kind == "choice")
    expected = sorted(answer.choices, key=lambda one: -one.probability)
    labels = [line.split("\n") for line in card.locator(".bar").all_inner_texts()]
    assert [label[0] for label in labels] == [one.text for one in expected]
    assert [label[-1] for label in labels] == [f"{100 * one.probability:.0f} %" for one in expected]
    assert {label[0] for label in labels} >= set(choices)
    assert card.locator(".answer").inner_text() == answer.text


def test_a_refusal_says_why(page):
    page.locator("#kind").select_option("choice")
    page.locator("#choices").fill("")
    card = ask(page, "Which of nothing?", "choice")
    assert "INVALID" in card.inner_text()
    page.locator("#kind").select_option("text")


def test_standing_questions_have_their_last_answers(page):
    entry = page.locator("#standing li", has_text=STANDING)
    until(lambda: "%" in entry.inner_text(), "an answer of the standing question")


def test_answers_are_searched_and_downloaded(page, web):
    ask(page, "Is there a pan?", "yes_no")
    page.locator("#search").fill("IS THERE A PAN")
    until(lambda: page.locator("#answers article").count() == 1, "the filter")
    assert page.locator("#answers h3").all_inner_texts() == ["Is there a pan?"]
    page.locator("#search").fill("")
    with page.expect_download() as download:
        page.locator("#download").click()
    saved = json.loads(download.value.path().read_text())
    assert download.value.suggested_filename.endswith(".json")
    assert "Is there a pan?" in [one["question"] for one in saved["answers"]]
    assert len(web.get("/api/answers", params={"search": "is there a pan"}).json()["answers"]) == 1


def test_a_plan_has_its_steps_and_what_was_found(page, cameras):
    heard = cameras.listen(Plan, "plans")
    page.locator("#goal").fill(cameras.goal)
    page.locator("#goal-plan").click()
    plan = heard.wait(lambda one: one.goal == cameras.goal)
    outcome = {Plan.ACCEPTED: "ACCEPTED", Plan.REJECTED: "REJECTED", Plan.CANNOT_TELL: "CANNOT_TELL"}[plan.outcome]
    card = page.locator(f"#plans article[data-outcome={outcome}]").first
    card.wait_for()
    shown = card.locator(".steps .mono").all_inner_texts()
    assert shown == [" ".join([step.action, *step.arguments]) for step in plan.steps]
    assert card.locator(".steps li").count() == len(plan.steps) > 0
    judges = ", ".join(plan.accepted_by)
    judged = f"judges that accept the steps: {judges}" if judges else "no judge accepts the steps"
    assert judged in card.inner_text()


def test_a_frozen_and_a_lost_camera_are_shown_as_such_and_come_back(page, cameras):
    rear = page.locator("figure[data-camera=rear]")
    cameras.frozen.add("rear")
    page.locator("figure[data-camera=rear][data-state=frozen]").wait_for()
    assert rear.locator(".pill").inner_text() == "frozen"
    assert "same picture for" in rear.inner_text()
    card = ask(page, "What do you see now?")
    assert "FROZEN" in card.inner_text()
    cameras.frozen.discard("rear")
    page.locator("figure[data-camera=rear][data-state=ok]").wait_for()
    cameras.lose("rear")
    page.locator("figure[data-camera=rear][data-state=lost]").wait_for()
    assert "nobody publishes" in rear.inner_text()
    assert page.locator("figure[data-camera=front]").get_attribute("data-state") == "ok"
    cameras.find("rear")
    page.locator("figure[data-camera=rear][data-state=ok]").wait_for()


def test_a_browser_that_never_reads_takes_no_memory_and_slows_nobody(web):
    """It gets pictures, too, until its connection is full; then the newest one of each camera waits for it."""
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect(("127.0.0.1", web.port))
    head = f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    stalled.sendall(f"{head}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    assert stalled.recv(12) == b"HTTP/1.1 101"
    process = psutil.Process(web.process.pid)
    with connect(f"{web.address.replace('http', 'ws')}/api/events", proxy=None, max_size=None) as quick:

        def pictures(count):
            shown = []
            while len(shown) < count:
                message = quick.recv(timeout=PATIENCE_S)
                if isinstance(message, bytes):
                    shown.append(decoded(message))
            return shown

        pictures(10)
        before = process.memory_info().rss
        shown = pictures(100)
        assert process.memory_info().rss < before + 20 * 2**20
        assert {head["camera"] for head, _ in shown} == {"front", "rear"}
        assert {picture.shape for _, picture in shown} == {(240, 320, 3)}
        stamps = [head["stamp"]["sec"] for head, _ in shown]
        assert stamps == sorted(stamps)
    stalled.close()


def test_two_browsers_see_the_same_each_in_its_language(chromium, page, web):
    other = Seen(chromium, web.address)
    other.context.close()
    context = chromium.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN", color_scheme="dark")
    context.set_default_timeout(WAIT_MS)
    second = context.new_page()
    second.goto(web.address)
    second.locator("#link.good").wait_for()
    assert second.locator("#cameras-title").inner_text() == "摄像头"
    assert second.locator("html").get_attribute("lang") == "zh-CN"
    card = ask(page, "Where is the mug of two browsers?")
    same = second.locator("#answers article", has_text="Where is the mug of two browsers?").first
    same.wait_for()
    assert same.locator(".answer").inner_text() == card.locator(".answer").inner_text()
    second.locator("#language").click()
    assert second.locator("#cameras-title").inner_text() == "Cameras"
    second.reload()
    second.locator("#link.good").wait_for()
    assert second.locator("#cameras-title").inner_text() == "Cameras", "the choice is kept"
    context.close()


def test_on_a_phone_nothing_is_wider_than_the_page(chromium, web, seen):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, locale="en-GB")
    context.set_default_timeout(WAIT_MS)
    phone = context.new_page()
    phone.goto(web.address)
    phone.locator("#link.good").wait_for()
    ask(phone, "W" * 300)
    for summary in phone.locator("summary").all():
        summary.click()
    widths = "() => [document.documentElement.scrollWidth, window.innerWidth]"
    assert phone.evaluate(widths) == [390, 390]
    context.close()


def test_by_keyboard_alone(chromium, web):
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.set_default_timeout(WAIT_MS)
    one = context.new_page()
    one.goto(web.address)
    one.locator("#link.good").wait_for()
    focused = "() => document.activeElement.id || document.activeElement.className"
    one.keyboard.press("Tab")
    assert one.evaluate(focused) == "skip"
    one.keyboard.press("Enter")
    one.keyboard.press("Tab")
    reached = [one.evaluate(focused)]
    one.locator("#question").focus()
    one.keyboard.type("Is the keyboard enough?")
    one.keyboard.press("Enter")
    one.locator("#answers article", has_text="Is the keyboard enough?").wait_for()
    for _ in range(200):
        one.keyboard.press("Tab")
        reached.append(one.evaluate(focused))
        if reached[-1].startswith("frames-"):
            break
    wanted = {"kind", "window", "send", "download", "search"}
    assert wanted <= set(reached), reached
    one.keyboard.press("Enter")
    assert one.locator("#answers details").first.evaluate("one => one.open")
    while not one.evaluate(focused).startswith("goal"):
        one.keyboard.press("Tab")
    outline = one.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "what has the focus shows it"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(chromium, web, scheme):
    from axe_playwright_python.sync_playwright import Axe

    # Axe puts a script into the page, which the page's own policy would not allow.
    context = chromium.new_context(viewport={"width": 1000, "height": 900}, color_scheme=scheme, bypass_csp=True)
    context.set_default_timeout(WAIT_MS)
    one = context.new_page()
    one.goto(web.address)
    one.locator("#link.good").wait_for()
    one.locator("#answers article").first.wait_for()
    one.locator("summary").first.click()
    found = Axe().run(one).response["violations"]
    serious = [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in ("serious", "critical")]
    assert serious == []
    context.close()


def test_it_loads_nothing_from_outside_and_complains_of_nothing(seen, web):
    outside = [
        url for url in seen.loaded if not url.startswith((web.address, web.address.replace("http", "ws"), "blob:"))
    ]
    assert outside == []
    assert seen.complaints == []


def shown_hint(page, heard, turn):
    """The hint of a later turn than this one, once the page shows it."""
    hint = heard.wait(lambda one: one.turn > turn and one.hint != ActionHint.NONE)
    page.locator("#hint p", has_text=re.compile(rf"^turn {hint.turn} ")).wait_for()
    return hint


def test_from_a_goal_to_done_with_the_buttons(page, cameras):
    """The model's wrong hints are reported as failed, until it names the step that the episode shows next."""
    heard = cameras.listen(ActionHint, "action_hint")
    page.locator("#goal").fill(cameras.goal)
    page.locator("#goal-set").click()
    hint = shown_hint(page, heard, 0)
    for number, step in enumerate(cameras.steps):
        while " ".join([hint.action, *hint.arguments]) != step:
            assert hint.action, f"no step after {list(hint.failed)} failed"
            page.locator("#step-failed").click()
            hint = shown_hint(page, heard, hint.turn)
        assert page.locator("#hint .next .mono").inner_text() == step
        if number == 0:
            page.locator("#step-done").click()
            hint = shown_hint(page, heard, hint.turn)
            assert page.locator(".steps-done .mono").all_inner_texts() == list(hint.done) == [step]
            page.locator("#undone-0").click()
            hint = shown_hint(page, heard, hint.turn)
            assert list(hint.done) == []
            page.locator("#step-done").wait_for()
            while " ".join([hint.action, *hint.arguments]) != step:
                page.locator("#step-failed").click()
                hint = shown_hint(page, heard, hint.turn)
        page.locator("#step-done").click()
        cameras.at_s = cameras.times_s[number + 1]
        hint = shown_hint(page, heard, hint.turn)
        assert list(hint.done) == cameras.steps[: number + 1]
    page.locator("#hint .next.good").wait_for()
    assert page.locator("#hint .next").inner_text() == "The goal is reached."
    page.locator("#goal-clear").click()
    page.locator("#hint .next").wait_for(state="detached")


def test_a_picture_of_the_page(page, cameras, tmp_path, request):
    cameras.at_s = 0.0
    page.locator("#search").fill("")
    page.locator("#goal").fill(cameras.goal)
    page.locator("#goal-plan").click()
    page.locator("#growing-plans article").wait_for(state="detached")
    page.locator("#goal-set").click()
    page.locator("#hint .next").wait_for()
    ask(page, "What is on the desk?", "phrase")
    card = ask(page, "What colour is the pan?", "choice", ["red", "blue", "green", "purple"])
    card.locator("summary").click()
    sheet = card.locator("img.sheet").first
    sheet.wait_for(state="visible")
    until(lambda: sheet.evaluate("one => one.naturalWidth") > 300, "the evidence picture")
    page.locator("#kind").select_option("text")
    page.locator("#question").fill("")
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    page.set_viewport_size({"width": 1280, "height": 1250})
    out = request.config.getoption("--web-picture") or tmp_path / "page.png"
    page.screenshot(path=out)
    picture = cv2.imread(str(out))
    assert picture.shape == (1250, 1280, 3)
    # The cameras, the colours of the page, and more than one of each.
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1000
    page.locator("#goal-clear").click()


def test_the_node_is_killed_and_comes_back(page, node, cameras, web, tmp_path):
    node._process.kill()
    page.locator("#link.bad").wait_for()
    assert "does not answer" in page.locator("#link-notice").inner_text()
    page.locator("figure[data-camera=front] .view.old").wait_for()
    page.locator("#question").fill("Is anybody there?")
    page.locator("#send").click()
    until(lambda: "Refused" in page.locator("#notice").inner_text(), "the refusal")
    with node_of(cameras, tmp_path / "node.log", **NODE):
        page.locator("#link.good").wait_for()
        page.locator("figure[data-camera=front][data-state=ok]").wait_for()
        assert page.locator("#link-notice").is_hidden()
        ask(page, "Is the node back?")
        assert web.process.poll() is None
