"""Who may use the page: the Host and Origin that a browser names, the token, and the headers of every response."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

SHORTEST_TOKEN, LONGEST_TOKEN = 16, 1000
COOKIE = "llava_ov_session"
OPENS_SESSION = ("POST", "/api/session")
"""The one request below /api/ that needs no token: its body has it."""
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class TokenFileError(ValueError):
    """The file with the token cannot be used; the text says why."""


def read_token(path: Path) -> str:
    """Read the token from the first line of a file.

    Raises:
        TokenFileError: The file cannot be read, others may read it, or its first line is no token.
    """
    try:
        with path.open(encoding="ascii") as file:
            token = file.readline(LONGEST_TOKEN + 2).strip()
            mode = path.stat().st_mode
    except OSError as error:
        raise TokenFileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TokenFileError(f"{path}: the token must be of ASCII characters") from None
    if mode & 0o077:
        raise TokenFileError(f"{path} can be used by others (mode {mode & 0o777:03o}): chmod 600 {path}")
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN:
        raise TokenFileError(
            f"{path}: its first line has {len(token)} characters: a token has from {SHORTEST_TOKEN} to {LONGEST_TOKEN}"
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_of(netloc: str) -> str:
    """The host in lower case of `host`, `host:port` or `[address]:port`; empty if it is none of these."""
    try:
        parts = urlsplit(f"//{netloc}")
        if parts.username is not None or parts.path or parts.query or parts.fragment:
            return ""
        return (parts.hostname or "").rstrip(".")
    except ValueError:
        return ""


class Access:
    """The rules for requests.

    A page of another site can make a browser send requests here; a name of that site may even lead here (DNS
    rebinding). So the Host must be a name that this server has, and the Origin, where a browser sends one, the same.
    """

    def __init__(self, address: str, token: str | None, names: Sequence[str] = ()) -> None:
        """Set the rules.

        Args:
            address: The address that the server listens on.
            token: Who uses the API has to have it; None: nobody needs one.
            names: Further names under which browsers reach the server, such as that of a proxy.
        """
        self._token = token
        self._is_local = is_loopback(address)
        machine = socket.gethostname().lower()
        own = {"localhost"} if self._is_local else {"localhost", machine, f"{machine}.local"}
        self._given = {name.lower() for name in names}
        self._names = own | self._given
        # What the cookie holds; the token itself does not stay in the browser.
        self._session = secrets.token_urlsafe(32)

    def why_not(self, scope: Scope) -> tuple[int, str]:
        """HTTP status and reason for refusing a request; 0 and an empty text if the request is allowed."""
        headers = Headers(scope=scope)
        host = host_of(headers.get("host", ""))
        if not self._knows(host):
            return 403, f"the Host {host[:100]!r} is no name of this server (--allow-host)"
        origin = headers.get("origin")
        if origin is not None and not self._is_own(origin, headers["host"]):
            return 403, f"the Origin {origin[:100]!r} is another site"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "the request comes from another site"
        request = scope.get("method", ""), scope["path"]
        if request[1].startswith("/api/") and request != OPENS_SESSION and not self._has_token(headers):
            return 401, "the token is missing or wrong"
        return 0, ""

    def _knows(self, host: str) -> bool:
        if host in self._names:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        # An address is no name that somebody could have led here.
        return address.is_loopback or not self._is_local

    def _is_own(self, origin: str, host: str) -> bool:
        netloc = origin.partition("://")[2]
        return bool(netloc) and (netloc.lower() == host.lower() or host_of(netloc) in self._given)

    def _has_token(self, headers: Headers) -> bool:
        if self._token is None:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.is_token(given.strip()):
            return True
        # Other servers of this machine share the cookies, and may have set ones that are no good.
        return _same(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""), self._session)

    def is_token(self, given: str) -> bool:
        """Whether a text is the token; true for any text if no token is needed."""
        return self._token is None or _same(given, self._token)

    def cookie(self) -> str:
        """The value of the Set-Cookie header for a browser that has given the token."""
        return f"{COOKIE}={self._session}; Path=/; HttpOnly; SameSite=Strict"


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


class Guarded:
    """An ASGI application that only allowed requests reach, and whose responses have the headers of `HEADERS`."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        status, reason = self._access.why_not(scope)
        if not status:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "http":
            await JSONResponse({"error": reason}, status)(scope, receive, send_with_headers)
        else:
            # Before it is accepted, this refuses the upgrade with status 403.
            await WebSocketClose(reason=reason)(scope, receive, send)
