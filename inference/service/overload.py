"""Refuses requests while the queue is full, before anything is spent on them: with many more than can be answered, the
refusals would take the time that the answers need.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from functools import lru_cache

from forewarn.inference.service.errors import overloaded
from forewarn.inference.service.settings import Settings
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Of the requests that come while the queue is full, so many are let through to see whether they need the queue at all.
_TRIED = 1 / 16
# How much the outcome of one of them counts for the share of those that were answered.
_WEIGHT = 1 / 16
# Looking a message up costs less than an eighth of scoring it: where one in eight is answered, all are let through.
_WORTH = 8
# Explanations have a queue of their own. Where this is in a text instead, the request is refused a little later.
_EXPLAIN = b'"explain"'


class EarlyRefusal:
    """ASGI middleware that answers 429 while the queue has no room for a single message.

    A campaign's messages need no room, since they are in the cache. So a few requests are let through all the same, and
    all of them for as long as enough of those were answered.
    """

    def __init__(
        self, app: ASGIApp, full_for_s: Callable[[], float | None], routes: Collection[str], settings: Settings
    ) -> None:
        """Wrap an application.

        Args:
            app: what answers.
            full_for_s: for how many seconds the queue holds work, if it is full; otherwise None.
            routes: the paths whose POST requests go through the queue.
            settings: how large a body may be, and how long it may take.
        """
        self.app = app
        self.full_for_s = full_for_s
        self.routes = routes
        self.settings = settings
        self._answered = 0.0
        self._due = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event of the ASGI server."""
        queued = scope["type"] == "http" and scope["path"] in self.routes and scope["method"] == "POST"
        seconds = self.full_for_s() if queued else None
        if seconds is None:
            await self.app(scope, receive, send)
        elif self._let_through():
            await self.app(scope, receive, send)
            # Whoever refuses leaves a reason.
            self._answered += _WEIGHT * (("reason" not in scope["state"]) - self._answered)
        else:
            await self._refuse(seconds, scope, receive, send)

    def _let_through(self) -> bool:
        self._due += max(_TRIED, min(1.0, _WORTH * self._answered))
        if self._due < 1:
            return False
        self._due -= 1
        return True

    async def _refuse(self, seconds: float, scope: Scope, receive: Receive, send: Send) -> None:
        # A client that waits to be told to send its body is not told to.
        waits = any(name == b"expect" for name, _ in scope["headers"])
        limit = asyncio.get_running_loop().time() + self.settings.body_timeout_s
        part = None if waits else await _next(receive, limit)
        if part and _EXPLAIN in part.get("body", b""):
            await self.app(scope, _again(part, receive), send)
            return
        scope["state"]["reason"] = "overloaded"
        size = 0
        # The rest is read, for the next request to follow on the same connection.
        while part and part.get("more_body") and size <= self.settings.max_body_bytes:
            size += len(part.get("body", b""))
            part = await _next(receive, limit)
        keep_alive = part is not None and not part.get("more_body")
        await _answer(math.ceil(seconds), keep_alive)(scope, receive, send)


async def _next(receive: Receive, limit: float) -> Message | None:
    """The next part of a body, or None if it has not come by then."""
    try:
        async with asyncio.timeout_at(limit):
            message = await receive()
    except TimeoutError:
        return None
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


def _again(part: Message, receive: Receive) -> Receive:
    """What gives a part of a body that was read already, and then the rest."""
    parts = [part]

    async def receive_again() -> Message:
        return parts.pop() if parts else await receive()

    return receive_again


@lru_cache
def _answer(seconds: int, keep_alive: bool) -> JSONResponse:
    """The answer, made once for each time to wait."""
    response = overloaded(seconds).response()
    if not keep_alive:
        response.headers["Connection"] = "close"
    return response
