"""Questions, answers and names that look like HTML stay texts, wherever the page shows them."""

from __future__ import annotations

import pytest
from fixtures.waiting import PATIENCE_S, until
from fixtures.web_page import WebProcess
from llava_ov_ros.srv import SetGoal

pytestmark = pytest.mark.web

NASTY = '<img src=x onerror="document.title=1"><script>document.title=2</script>&lt;b&gt; \u202e"\' 杯子'
CAMERA = "<svg onload='document.title=3'>"


@pytest.fixture
def page(chromium):
    context = chromium.new_context(locale="en-GB")
    context.set_default_timeout(1000 * PATIENCE_S)
    yield context.new_page()
    context.close()


def test_nothing_that_the_node_says_becomes_html(page, rig, scripted, tmp_path):
    def script(clips, question, on_text, should_stop):
        on_text(NASTY)
        return NASTY

    robot = rig(
        load=scripted(script),
        cameras={"front": "raw"},
        active=False,
        hint_period_s=0.1,
        plan_decoding="free",
        standing_questions=[NASTY],
    )
    # A topic could not have this name.
    assert robot.set(cameras=[CAMERA]).successful
    assert robot.transition("configure")
    assert robot.transition("activate")
    until(robot.cameras["front"].publisher.get_subscription_count, "the node's subscription")
    robot.cameras["front"].send(robot.node.get_clock().now().nanoseconds)
    web = WebProcess(robot.name, tmp_path / "web.log")
    try:
        requests, dialogs = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        page.goto(web.address)
        page.locator("#link.good").wait_for()
        page.locator("figure").wait_for()
        assert page.locator("figcaption b").inner_text() == CAMERA
        robot.cameras["front"].send(robot.node.get_clock().now().nanoseconds)
        page.locator("#kind").select_option("choice")
        page.locator("#choices").fill(f"{NASTY}\nno")
        page.locator("#question").fill(NASTY)
        page.locator("#send").click()
        card = page.locator("#answers article").first
        card.wait_for()
        until(lambda: robot.diagnostic("queue")[1]["ended_ok"] != "0" and card.locator(".bar").count(), "the answer")
        assert card.locator("h3").evaluate("one => one.textContent") == NASTY
        assert card.locator(".answer").evaluate("one => one.textContent") == NASTY
        assert card.locator(".bar span").first.evaluate("one => one.textContent") == NASTY
        card.locator("summary").click()
        assert CAMERA in card.locator("details").inner_text()
        assert robot.tell(SetGoal.Request(goal=NASTY)).success
        robot.cameras["front"].send(robot.node.get_clock().now().nanoseconds)
        page.locator("#hint .next").wait_for()
        assert NASTY in page.locator("#hint h3").first.evaluate("one => one.textContent")
        page.locator("#goal").fill(NASTY)
        page.locator("#goal-plan").click()
        page.locator("#plans article").first.wait_for()
        assert page.locator("#plans h3").first.evaluate("one => one.textContent") == NASTY
        assert page.locator("#standing h3").first.evaluate("one => one.textContent") == NASTY
        assert page.title() == "llava_ov"
        assert page.locator("main svg, main script, img[src=x]").count() == 0
        assert dialogs == []
        assert [url for url in requests if not url.startswith((web.address, "blob:"))] == []
    finally:
        assert web.end() == 130
