"""Answers that take long, of a real engine: they grow on every page, can be cancelled, and outlive a reload."""

from __future__ import annotations

import pytest
from fixtures.waiting import PATIENCE_S, until
from fixtures.web_page import RoomCameras, WebProcess, node_of
from llava_ov_ros.msg import Answer

pytestmark = pytest.mark.web

WAIT_MS = 1000 * PATIENCE_S


@pytest.fixture(scope="module")
def cameras():
    one = RoomCameras(("front",))
    yield one
    one.close()


@pytest.fixture(scope="module")
def node(cameras, endless, tmp_path_factory):
    """A node whose answers take half a minute."""
    log = tmp_path_factory.mktemp("node") / "node.log"
    with node_of(cameras, log, model=endless, max_new_tokens=4096, deadline_s=120.0) as one:
        yield one


@pytest.fixture(scope="module")
def web(node, tmp_path_factory):
    one = WebProcess(node.name, tmp_path_factory.mktemp("web") / "web.log")
    yield one
    assert one.end() == 130


@pytest.fixture
def pages(chromium, web):
    """Opens the page in a browser of its own, each time."""
    contexts = []

    def opened():
        context = chromium.new_context(locale="en-GB")
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        page.goto(web.address)
        page.locator("#link.good").wait_for()
        page.locator("figure[data-state=ok]").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()


def ask(page, question):
    page.locator("#question").fill(question)
    page.locator("#send").click()
    growing = page.locator("article.growing", has=page.get_by_role("heading", name=question, exact=True))
    growing.wait_for()
    return growing


def text_of(growing):
    return growing.locator(".answer").evaluate("one => one.textContent")


def grows(growing):
    before = len(text_of(growing))
    until(lambda: len(text_of(growing)) > before, "another piece of the answer")


def test_an_answer_grows_survives_a_reload_and_is_cancelled(pages, cameras):
    heard = cameras.listen(Answer, "answers")
    page, other = pages(), pages()
    growing = ask(page, "What is this?")
    grows(growing)
    same = other.locator("article.growing", has_text="What is this?")
    grows(same)
    before = text_of(growing)
    page.reload()
    again = page.locator("article.growing", has_text="What is this?")
    again.wait_for()
    assert len(text_of(again)) >= len(before), "what there was is still there"
    grows(again)
    again.get_by_role("button", name="Cancel").click()
    answer = heard.wait(lambda one: one.question == "What is this?")
    assert answer.status == Answer.CANCELLED
    for one in (page, other):
        card = one.locator("#answers article", has_text="What is this?").first
        card.wait_for()
        assert "CANCELLED" in card.inner_text()
        assert card.locator(".answer").evaluate("one => one.textContent") == answer.text
        assert one.locator("article.growing").count() == 0


def test_what_is_cancelled_while_it_waits_ends_too(pages, cameras):
    heard = cameras.listen(Answer, "answers")
    page = pages()
    first, second = ask(page, "The first?"), ask(page, "The second?")
    second.get_by_role("button", name="Cancel").click()
    assert heard.wait(lambda one: one.question == "The second?").status == Answer.CANCELLED
    first.get_by_role("button", name="Cancel").click()
    assert heard.wait(lambda one: one.question == "The first?").status == Answer.CANCELLED


def test_a_node_that_dies_in_mid_answer_leaves_no_answer_growing(pages, node, web):
    """The last test: the node stays dead."""
    page = pages()
    grows(ask(page, "Will you live?"))
    node._process.kill()
    page.locator("article.growing").wait_for(state="detached")
    until(lambda: page.locator("#notice").inner_text(), "the notice")
    page.locator("#link.bad").wait_for()
    assert web.state()["growing"] == []
    assert web.process.poll() is None
