"""Who may use the page: names, addresses and origins, the token and its file."""

from __future__ import annotations

import socket

import pytest

from llava_ov_ros.web.access import Access, TokenFileError, host_of, is_loopback, read_token

TOKEN = "correct horse battery staple"
MACHINE = socket.gethostname().lower()


def why_not(access, path="/api/state", method="GET", **headers):
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return access.why_not({"type": "http", "method": method, "path": path, "headers": pairs})[0]


@pytest.mark.parametrize("host", ["127.0.0.1:8421", "localhost:8421", "LOCALHOST", "[::1]:8421", "localhost."])
def test_on_this_machine_the_names_of_this_machine_are_known(host):
    assert why_not(Access("127.0.0.1", None), host=host) == 0


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8421",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.0.7",
        "",
        "a@localhost",
    ],
)
def test_a_name_that_was_led_here_is_refused(host):
    """DNS rebinding: the browser of a page of evil.example believes that this server is evil.example."""
    assert why_not(Access("127.0.0.1", None), host=host) == 403


def test_in_a_network_addresses_and_the_machines_name_are_known():
    access = Access("0.0.0.0", TOKEN, ["robot.example.org"])
    bearer = f"Bearer {TOKEN}"
    for host in ("192.168.0.7:8421", MACHINE, f"{MACHINE}.local", "[fe80::1]:8421", "Robot.example.org"):
        assert why_not(access, host=host, authorization=bearer) == 0, host
    assert why_not(access, host="evil.example", authorization=bearer) == 403


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:8421", True),
        ("http://127.0.0.1:8422", False),
        ("http://localhost:8421", False),
        ("https://evil.example", False),
        ("null", False),
        ("", False),
        ("https://robot.example.org", True),
    ],
)
def test_only_the_page_itself_may_be_the_origin(origin, allowed):
    access = Access("127.0.0.1", None, ["robot.example.org"])
    assert why_not(access, host="127.0.0.1:8421", origin=origin) == (0 if allowed else 403)


@pytest.mark.parametrize(
    ("site", "allowed"), [("same-origin", True), ("none", True), ("cross-site", False), ("same-site", False)]
)
def test_what_another_site_loads_is_refused(site, allowed):
    assert why_not(Access("127.0.0.1", None), host="localhost", sec_fetch_site=site) == (0 if allowed else 403)


def test_the_api_needs_the_token_and_the_page_that_asks_for_it_does_not():
    access = Access("0.0.0.0", TOKEN)
    host = {"host": "192.168.0.7"}
    assert why_not(access, path="/", **host) == 0
    assert why_not(access, path="/page.js", **host) == 0
    assert why_not(access, path="/api/session", method="POST", **host) == 0
    for path in ("/api/session", "/api/state", "/api/events", "/api/openapi.json"):
        assert why_not(access, path=path, **host) == 401
    for wrong in ("Bearer nonsense", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN} "[:-4], "Bearer ä"):
        assert why_not(access, authorization=wrong, **host) == 401
    assert why_not(access, authorization=f"bearer {TOKEN}", **host) == 0
    cookie = access.cookie().partition(";")[0]
    assert why_not(access, cookie=cookie, **host) == 0
    assert why_not(access, cookie=f"a=b; {cookie}; c", **host) == 0
    assert why_not(access, cookie=f"{cookie}x", **host) == 401
    assert TOKEN not in access.cookie()
    assert "HttpOnly" in access.cookie() and "SameSite=Strict" in access.cookie()
    assert why_not(Access("0.0.0.0", TOKEN), cookie=cookie, **host) == 401, "a new process, a new session"


def test_the_token_file(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\nmore\n")
    file.chmod(0o600)
    assert read_token(file) == TOKEN
    file.chmod(0o644)
    with pytest.raises(TokenFileError, match="chmod 600"):
        read_token(file)
    file.chmod(0o600)
    for text, said in (("short\n", "has 5 characters"), ("x" * 5000, "has 1002 characters"), ("ü" * 20, "ASCII")):
        file.write_text(text)
        with pytest.raises(TokenFileError, match=said):
            read_token(file)
    with pytest.raises(TokenFileError, match="No such file"):
        read_token(tmp_path / "none")


def test_addresses():
    assert [host_of(one) for one in ("a:1", "[::1]:2", "A.", "x@y", "a/b", "[::1")] == ["a", "::1", "a", "", "", ""]
    assert [is_loopback(one) for one in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_loopback(one) for one in ("0.0.0.0", "::", "192.168.0.7", "robot", "")] == [False] * 5
