"""The page and its API over HTTP and WebSocket; docs/web.md describes both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from llava_ov_ros.srv import ClearGoal

from .access import Access, Guarded
from .board import Board
from .browsers import Browser, Browsers
from .node_requests import NodeGoneError, NodeRequests, TooManyOpenError
from .request_bodies import BodyError, Fields, ask_of, goal_of, plan_of, read_body, report_of

STATIC = Path(__file__).resolve().parent / "static"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
TRY_AGAIN_LATER = 1013
"""Close code of a WebSocket where as many browsers watch as may (RFC 6455's registry)."""
LONGEST_SEARCH = 1000


class WebApp:
    """The routes, and what they share; everything here runs in the event loop's thread."""

    def __init__(self, board: Board, browsers: Browsers, requests: NodeRequests, access: Access) -> None:
        self._board = board
        self._browsers = browsers
        self._requests = requests
        self._access = access

    def asgi(self) -> ASGIApp:
        """The application, behind the rules of `access.py`."""
        routes: list[Any] = [
            Route("/", partial(_file, STATIC / "index.html"), methods=["GET"]),
            *(
                Route(f"/{path.name}", partial(_file, path), methods=["GET"])
                for path in sorted(STATIC.iterdir())
                if path.suffix in KINDS
            ),
            Route("/api/openapi.json", partial(_file, STATIC / "openapi.json"), methods=["GET"]),
            Route("/api/session", self._open_session, methods=["POST"]),
            Route("/api/session", _is_open, methods=["GET"]),
            Route("/api/state", self._state, methods=["GET"]),
            Route("/api/answers", self._answers, methods=["GET"]),
            Route("/api/evidence/{number:int}", self._evidence, methods=["GET"]),
            Route("/api/asks", self._ask, methods=["POST"]),
            Route("/api/asks/{request_id}", self._cancel, methods=["DELETE"]),
            Route("/api/plans", self._plan, methods=["POST"]),
            Route("/api/plans/{request_id}", self._cancel, methods=["DELETE"]),
            Route("/api/goal", self._set_goal, methods=["PUT"]),
            Route("/api/goal", self._clear_goal, methods=["DELETE"]),
            Route("/api/steps", self._report, methods=["POST"]),
            WebSocketRoute("/api/events", self._events),
        ]
        handlers: Mapping[Any, Callable[..., Any]] = {
            BodyError: _refused(lambda error: error.status),
            NodeGoneError: _refused(lambda error: 503),
            TooManyOpenError: _refused(lambda error: 429),
            404: _missing,
            405: _missing,
        }
        return Guarded(Starlette(routes=routes, exception_handlers=handlers), self._access)

    def _whole(self, dropped: int) -> dict[str, Any]:
        return {"event": "state", "dropped": dropped, "state": self._board.state()}

    async def _open_session(self, request: Request) -> Response:
        """Give a browser that knows the token a cookie, which also opens its WebSocket."""
        token = Fields(await read_body(request), ("token",)).text("token", None)
        if not self._access.is_token(token):
            return JSONResponse({"error": "this is not the token"}, 401)
        return Response(status_code=204, headers={"Set-Cookie": self._access.cookie()})

    async def _state(self, request: Request) -> Response:
        return JSONResponse(self._board.state())

    async def _answers(self, request: Request) -> Response:
        search = request.query_params.get("search", "")
        if len(search) > LONGEST_SEARCH:
            raise BodyError(f"search has {len(search)} characters: allowed are up to {LONGEST_SEARCH}")
        answers = self._board.answers(search)
        if "download" not in request.query_params:
            return JSONResponse({"answers": answers})
        text = json.dumps({"answers": answers}, ensure_ascii=False, indent=1, allow_nan=False)
        name = f"answers-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(text.encode(errors="replace"), media_type="application/json", headers=headers)

    async def _evidence(self, request: Request) -> Response:
        jpeg = self._board.evidence(request.path_params["number"])
        if jpeg is None:
            return JSONResponse({"error": "there is no such picture any more"}, 404)
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(jpeg, media_type="image/jpeg", headers=headers)

    async def _ask(self, request: Request) -> Response:
        goal = ask_of(await read_body(request))
        self._requests.ask(goal)
        return JSONResponse({"request_id": goal.request_id}, 202)

    async def _plan(self, request: Request) -> Response:
        goal = plan_of(await read_body(request))
        self._requests.plan(goal)
        return JSONResponse({"request_id": goal.request_id}, 202)

    async def _cancel(self, request: Request) -> Response:
        if not self._requests.cancel(request.path_params["request_id"]):
            return JSONResponse({"error": "nothing of this id, asked by this page, is in work"}, 404)
        return Response(status_code=202)

    async def _set_goal(self, request: Request) -> Response:
        response = await self._requests.call(goal_of(await read_body(request)))
        return JSONResponse(
            {"success": response.success, "message": response.message, "turn": response.turn},
            200 if response.success else 409,
        )

    async def _clear_goal(self, request: Request) -> Response:
        response = await self._requests.call(ClearGoal.Request())
        event = self._board.take("goal_cleared", None)
        if event is not None:
            self._browsers.tell(event)
        return JSONResponse({"success": response.success, "message": response.message})

    async def _report(self, request: Request) -> Response:
        response = await self._requests.call(report_of(await read_body(request)))
        return JSONResponse(
            {
                "success": response.success,
                "message": response.message,
                "unexpected": list(response.unexpected),
                "turn": response.turn,
            },
            200 if response.success else 409,
        )

    async def _events(self, websocket: WebSocket) -> None:
        """Send a browser the state, then events and pictures, until it leaves."""
        await websocket.accept()
        browser = self._browsers.enter()
        if browser is None:
            await websocket.close(TRY_AGAIN_LATER, "as many browsers watch as may (--clients)")
            return
        tasks = [asyncio.create_task(one(websocket, browser)) for one in (self._send, self._listen)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._browsers.leave(browser)
            for task in tasks:
                task.cancel()
            # Whoever leaves does so in the middle of something.
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, websocket: WebSocket, browser: Browser) -> None:
        while True:
            # Waits while the browser does not take what was sent before.
            message = await browser.next(self._whole)
            if isinstance(message, str):
                await websocket.send_text(message)
            else:
                await websocket.send_bytes(message)

    async def _listen(self, websocket: WebSocket, browser: Browser) -> None:
        """Hear whether the browser wants pictures: `{"pictures": true}`; anything else is ignored."""
        while True:
            try:
                text = await websocket.receive_text()
            except (WebSocketDisconnect, KeyError):
                return
            try:
                wants = json.loads(text)["pictures"]
            except (ValueError, TypeError, KeyError, RecursionError):
                continue
            browser.wants_pictures = wants is True
            self._browsers.look()


async def _is_open(request: Request) -> Response:
    """Say that the browser has the token: without it the request would not have come here."""
    return Response(status_code=204)


async def _file(path: Path, request: Request) -> Response:
    kind = KINDS.get(path.suffix, "application/json")
    return Response(path.read_bytes(), headers={"Content-Type": kind, "Cache-Control": "no-cache"})


def _refused(status: Callable[[Any], int]) -> Callable[[Request, Exception], Response]:
    def handle(request: Request, error: Exception) -> Response:
        code = status(error)
        # Of a body that was not read to its end, the rest would be taken for another request.
        headers = {"Connection": "close"} if code in (408, 413) else None
        return JSONResponse({"error": str(error)}, code, headers)

    return handle


def _missing(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"there is no {request.method} {request.url.path[:200]}"}, error.status_code)  # type: ignore[attr-defined]
