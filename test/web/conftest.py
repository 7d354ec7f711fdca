"""Chromium for the tests of this folder, and the nodes and models of the node's tests."""

from __future__ import annotations

import pytest
from fixtures.nodes import endless as endless
from fixtures.nodes import rig as rig
from fixtures.nodes import scripted as scripted
from fixtures.web_page import browser_path


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium, driven by Playwright; the system's own, for none is downloaded.

    Playwright has an event loop in this thread, so that other tests can have none of theirs meanwhile.
    """
    path = browser_path()
    if path is None:
        pytest.skip("there is no Chromium here (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()
