"""What a stranger can send to the server: each thing is refused, and the server serves on. There is no node."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import httpx
import psutil
import pytest
import websockets.sync.client
from fixtures.waiting import until
from fixtures.web_page import WebProcess
from websockets.exceptions import ConnectionClosed, InvalidStatus

from llava_ov_ros.web.access import CONTENT_SECURITY_POLICY
from llava_ov_ros.web.request_bodies import MOST_BODY_BYTES
from llava_ov_ros.web.server import CONNECTIONS_PER_CLIENT

TOKEN = "correct horse battery staple"
CLIENTS = 8
MIB = 2**20


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """The server on this machine, without a token."""
    log = tmp_path_factory.mktemp("web") / "web.log"
    one = WebProcess("/nobody/llava_ov", log, "--clients", str(CLIENTS))
    yield one
    assert one.end() == 130
    told = log.read_text()
    assert "Traceback" not in told, told


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """The server for a network, with a token."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "token").write_text(f"{TOKEN}\n")
    (folder / "token").chmod(0o600)
    one = WebProcess("/nobody/llava_ov", folder / "web.log", "--host", "0.0.0.0", "--token-file", str(folder / "token"))
    yield one
    assert one.end() == 130


def events(web, **options):
    return websockets.sync.client.connect(f"{web.address.replace('http', 'ws')}/api/events", proxy=None, **options)


def is_well(web):
    """Whether the server serves a browser as it should."""
    with events(web) as browser:
        assert json.loads(browser.recv(timeout=30))["event"] == "state"
    return web.state()["node"]["up"] is False


def post(web, path, body, **options):
    return httpx.post(f"{web.address}{path}", json=body, timeout=60, trust_env=False, **options)


def test_the_process_maps_no_torch(web):
    with events(web) as browser:
        browser.recv(timeout=30)
        maps = "".join(one.path for one in psutil.Process(web.process.pid).memory_maps())
    assert "rclpy" in maps
    assert "torch" not in maps


def test_every_response_has_the_headers_that_keep_others_out(web):
    for path in ("/", "/page.js", "/api/state", "/nothing", "/api/evidence/1"):
        headers = web.get(path).headers
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_files_outside_of_the_page_are_not_served(web):
    for path in (
        "/../app.py",
        "/..%2fapp.py",
        "/static/index.html",
        "/openapi.json",
        "/%2e%2e/%2e%2e/setup.py",
        "/index.html/",
    ):
        assert web.get(path).status_code in (307, 404), path


def test_another_site_can_neither_ask_nor_listen(web):
    origin = {"Origin": "https://evil.example"}
    assert post(web, "/api/asks", {"question": "?"}, headers=origin).status_code == 403
    assert web.get("/api/state", headers={"Host": "evil.example"}).status_code == 403
    assert web.get("/", headers={"Host": f"evil.example:{web.port}"}).status_code == 403
    with pytest.raises(InvalidStatus) as refused:
        events(web, additional_headers=origin)
    assert refused.value.response.status_code == 403
    led_here = socket.create_connection(("127.0.0.1", web.port), 30)
    with pytest.raises(InvalidStatus) as refused:
        websockets.sync.client.connect("ws://evil.example/api/events", sock=led_here)
    assert refused.value.response.status_code == 403
    plain = httpx.post(
        f"{web.address}/api/asks", content='{"question": "?"}', headers={"Content-Type": "text/plain"}, trust_env=False
    )
    assert plain.status_code == 415, "what a form of another site could send"
    assert is_well(web)


def test_without_the_token_there_is_the_page_alone(guarded):
    assert guarded.get("/").status_code == 200
    assert guarded.get("/api/state").status_code == 401
    assert post(guarded, "/api/asks", {"question": "?"}).status_code == 401
    with pytest.raises(InvalidStatus) as refused:
        events(guarded)
    assert refused.value.response.status_code == 403
    assert post(guarded, "/api/session", {"token": "wrong"}).status_code == 401
    opened = post(guarded, "/api/session", {"token": TOKEN})
    assert opened.status_code == 204
    cookie = {"Cookie": opened.headers["set-cookie"].partition(";")[0]}
    assert guarded.state(headers=cookie)["node"]["name"] == "/nobody/llava_ov"
    assert guarded.state(headers={"Authorization": f"Bearer {TOKEN}"})["answers"] == []
    with events(guarded, additional_headers=cookie) as browser:
        assert json.loads(browser.recv(timeout=30))["event"] == "state"


def test_a_question_of_ten_megabytes_is_refused(web):
    before = psutil.Process(web.process.pid).memory_info().rss
    for _ in range(20):
        assert post(web, "/api/asks", {"question": "x" * 10_000_000}).status_code == 413

    def endless():
        for _ in range(1000):
            yield b"x" * 10_000

    # Without a length, as chunks.
    headers = {"Content-Type": "application/json"}
    # The server may have answered and gone in the midst of it.
    with httpx.Client(trust_env=False, timeout=60) as client, contextlib.suppress(httpx.WriteError):
        assert client.post(f"{web.address}/api/asks", content=endless(), headers=headers).status_code == 413
    assert psutil.Process(web.process.pid).memory_info().rss < before + 50 * MIB
    assert is_well(web)


BODIES = [
    (b"", 400, "no JSON"),
    (b"[]", 400, "no JSON object"),
    (b"[" * 100_000, 400, "no JSON"),
    (b'{"question": "?", "command": "rm"}', 422, "there is no field 'command'"),
    (b'{"question": 7}', 422, "it must be a text"),
    (b'{"question": "\\ud800"}', 422, "whole characters"),
    (b'{"question": "a\\u0000b"}', 422, "NUL"),
    (json.dumps({"question": "x" * 10_001}).encode(), 422, "question has 10001 characters: allowed are up to 10000"),
    (json.dumps({"question": "?", "choices": ["a"] * 101}).encode(), 422, "choices must be a list of at most 100"),
    (json.dumps({"question": "?", "choices": ["a" * 1001]}).encode(), 422, "choice 1 has 1001 characters"),
    (b'{"question": "?", "window_s": 1e300}', 422, "window_s"),
    (b'{"question": "?", "window_s": NaN}', 422, "window_s"),
    (b'{"question": "?", "window_s": -1}', 422, "window_s"),
    (b'{"question": "?", "window_s": true}', 422, "window_s"),
    (b'{"question": "?", "cameras": "front"}', 422, "cameras must be a list"),
]


@pytest.mark.parametrize(("body", "status", "said"), BODIES, ids=[said for _, _, said in BODIES])
def test_bodies_that_cannot_be_used(web, body, status, said):
    headers = {"Content-Type": "application/json"}
    response = httpx.post(f"{web.address}/api/asks", content=body, headers=headers, timeout=60, trust_env=False)
    assert response.status_code == status
    assert said in response.json()["error"]


def test_the_longest_question_that_a_node_takes_fits_into_a_body(web):
    longest = {"question": "\U0001f600" * 10_000, "history": ["\U0001f600" * 10_000] * 4}
    assert len(json.dumps(longest)) < MOST_BODY_BYTES
    assert post(web, "/api/asks", longest).status_code == 503, "there is no node"


def test_where_there_is_no_node_each_request_says_so(web):
    requests = [
        post(web, "/api/asks", {"question": "?"}),
        post(web, "/api/plans", {"goal": "tidy up"}),
        post(web, "/api/steps", {"step": "NoOp"}),
        httpx.put(f"{web.address}/api/goal", json={"goal": "tidy up"}, trust_env=False),
        httpx.delete(f"{web.address}/api/goal", trust_env=False),
    ]
    assert {one.status_code for one in requests} == {503}
    assert all("the node has ended" in one.json()["error"] for one in requests)


def test_a_thousand_sockets_keep_nobody_out(web):
    """Idle ones, halves of requests, and WebSockets; meanwhile a browser that was there goes on."""
    most = CONNECTIONS_PER_CLIENT * CLIENTS
    process = psutil.Process(web.process.pid)
    with events(web) as browser:
        browser.recv(timeout=30)
        idle = [socket.create_connection(("127.0.0.1", web.port), 30) for _ in range(1000)]
        for number, one in enumerate(idle):
            if number % 2:
                with_half = b"GET /api/state HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "
                try:
                    one.sendall(with_half)
                except OSError:
                    # It had to give way already.
                    continue
        assert web.state()["node"]["up"] is False
        until(lambda: len(process.net_connections("tcp")) <= most + 8, "the end of the oldest sockets")
        assert web.get("/").status_code == 200
        browser.send('{"pictures": false}')
        browser.ping().wait(30)
        for one in idle:
            one.close()
    assert is_well(web)


def test_more_browsers_than_may_are_told_to_come_later(web):
    async def crowd():
        address = f"{web.address.replace('http', 'ws')}/api/events"

        async def come():
            # Of hundreds at a time, some wait for their turn in the system's queue.
            async with websockets.connect(address, proxy=None, open_timeout=60, compression=None) as one:
                try:
                    first = await one.recv()
                except ConnectionClosed as closed:
                    return closed.rcvd.code
                entered.append(json.loads(first)["event"])
                if len(entered) == CLIENTS:
                    full.set()
                await leave.wait()
                return 0

        entered, full, leave = [], asyncio.Event(), asyncio.Event()
        staying = [asyncio.create_task(come()) for _ in range(CLIENTS)]
        await asyncio.wait_for(full.wait(), 60)
        refused = [await come() for _ in range(20)]
        leave.set()
        return refused, await asyncio.gather(*staying)

    refused, stayed = asyncio.run(crowd())
    assert refused == [1013] * 20
    assert stayed == [0] * CLIENTS
    until(lambda: is_well(web), "room for a browser")


def test_messages_of_a_browser_are_bounded_and_nonsense_is_ignored(web):
    with events(web) as browser:
        browser.recv(timeout=30)
        for text in ("", "[]", "null", '{"pictures": 7}', "[" * 900, '{"pictures": true}'):
            browser.send(text)
        browser.ping().wait(30)
        with pytest.raises(ConnectionClosed) as closed:
            browser.send("x" * 100_000)
            while True:
                browser.recv(timeout=30)
        assert closed.value.rcvd.code == 1009
    assert is_well(web)


def test_what_is_no_http_is_refused(web):
    for nonsense in (b"\x16\x03\x01\x02\x00" * 100, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, b"\r\n" * 50_000):
        with socket.create_connection(("127.0.0.1", web.port), 30) as one:
            try:
                one.sendall(nonsense)
                one.settimeout(30)
                answer = one.recv(100)
            except OSError:
                answer = b""
        assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert is_well(web)
