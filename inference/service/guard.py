"""The outermost layer of every request: its correlation id and security headers, its time limit for sending, its log
line and its count.

It answers 500 itself to whatever was not caught. Starlette's own catch-all would re-raise to uvicorn, which logs the
exception's message, and that may quote text.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import Collection, Iterable

from forewarn.inference.service.errors import Refusal, place
from forewarn.inference.service.logs import LOGGER
from forewarn.inference.service.metrics import Metrics
from forewarn.inference.service.tracing import RequestTrace, Traces
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ID_HEADER = b"x-request-id"
# Answers are about people's messages: nothing on the way may keep them, or take them for a web page.
SECURITY_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# What nginx logs for a client that left before its answer.
_CLIENT_GONE = 499

logger = logging.getLogger(LOGGER)


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        routes: Collection[str],
        send_timeout_s: float,
        traces: Traces | None = None,
    ) -> None:
        """Wrap an application.

        Args:
            app: what answers.
            metrics: where requests are counted.
            routes: the paths that may be named in metrics, logs and traces; any other one is `other`.
            send_timeout_s: for a client to take the next part of an answer.
            traces: where requests are traced; None is nowhere.
        """
        self.app = app
        self.metrics = metrics
        self.routes = routes
        self.send_timeout_s = send_timeout_s
        self.traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event of the ASGI server."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self, scope, receive, send)
        if self.traces:
            with self.traces.request(exchange.route, scope) as exchange.trace:
                await exchange.run()
        else:
            await exchange.run()


class _ClientStalled(Exception):
    """The client does not read its answer."""


class _Exchange:
    """One request and its answer."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard = guard
        self._scope = scope
        self._receive = receive
        self._send = send
        self._state: dict[str, object] = scope.setdefault("state", {})
        self._id = request_id(scope["headers"])
        self._status = 0
        path = scope["path"]
        self.route = path if path in guard.routes else "other"
        self.trace: RequestTrace | None = None

    async def run(self) -> None:
        started = time.perf_counter()
        try:
            await self._guard.app(self._scope, self._receive, self._timed_send)
        except ClientDisconnect:
            self._status = self._status or _CLIENT_GONE
        except asyncio.CancelledError:
            # The drain limit has passed. Told so is better than cut off.
            await self._refuse(Refusal("draining"))
        except _ClientStalled:
            # Returning without the rest makes the server close the connection.
            self._state["reason"] = "client_stalled"
        except Exception as error:
            self._log(logging.ERROR, "request failed", error=place(error))
            await self._refuse(Refusal("internal_error"))
        finally:
            self._account(time.perf_counter() - started)

    async def _timed_send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS, (ID_HEADER, self._id)]
        try:
            async with asyncio.timeout(self._guard.send_timeout_s):
                await self._send(message)
        except TimeoutError:
            raise _ClientStalled from None

    async def _refuse(self, refusal: Refusal) -> None:
        """Answer, unless an answer is on its way; that one is then broken off by the server."""
        self._state["reason"] = refusal.code
        if not self._status:
            await refusal.response()(self._scope, self._receive, self._timed_send)

    def _account(self, seconds: float) -> None:
        route, metrics = self.route, self._guard.metrics
        metrics.requests.labels(route, str(self._status)).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        reason = self._state.get("reason")
        if reason:
            metrics.rejected.labels(reason).inc()
        if self.trace:
            for name in ("messages", "bytes"):
                value = self._state.get(name)
                if isinstance(value, int):
                    self.trace.tell(f"forewarn.{name}", value)
            self.trace.end(self._status)
        # Successes, and refusals by the thousand when overloaded, would cost more to log than to answer.
        quiet = self._status < 400 or self._status == 429
        level = logging.DEBUG if quiet else logging.INFO
        if logger.isEnabledFor(level):
            fields = {"route": route, "status": self._status, "ms": round(1000 * seconds, 2)}
            fields |= {name: self._state[name] for name in ("reason", "messages") if name in self._state}
            self._log(level, "request", **fields)

    def _log(self, level: int, event: str, **fields: object) -> None:
        logger.log(level, event, extra={"fields": {"request_id": self._id.decode("ascii"), **fields}})


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The caller's X-Request-ID where it is a safe token, or a new one."""
    for name, value in headers:
        if name == ID_HEADER and _SAFE_ID.fullmatch(value):
            return bytes(value)
    # Unique is enough: the system's randomness, which uuid4 takes, costs as much as a whole refusal.
    return b"%032x" % random.getrandbits(128)
