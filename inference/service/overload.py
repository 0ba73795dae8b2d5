"""Refuses requests while the queue is full, before anything is spent on them: with many more than can be answered, the
refusals would take the time that the answers need.

A refusal that goes through the application costs a fifth of what a message costs the model, most of it in the server
around it. So it is made in the server's protocol, from the request's address and what the queue says.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

from forewarn.inference.service.errors import overloaded
from forewarn.inference.service.guard import ID_HEADER, SECURITY_HEADERS, request_id
from forewarn.inference.service.metrics import Metrics
from forewarn.inference.service.settings import Settings
from pydantic_core import to_json
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# Of the requests that come while the queue is full, so many are let through to see whether they need the queue at all.
_TRIED = 1 / 32
# How much the outcome of one of them counts for the share of those that were answered.
_WEIGHT = 1 / 16
# Looking a message up costs less than an eighth of scoring it: where one in eight is answered, all are let through.
_WORTH = 8
# Explanations have a queue of their own. Where this is in a text instead, the application refuses the request.
_EXPLAIN = b'"explain"'
# Under this name the application gives its servers the `Door`, in the state of its lifespan.
STATE = "forewarn.door"


class Door:
    """Whether a request may come in, for all connections of a service.

    A campaign's messages need no room in the queue, since they are in the cache. So a few requests are let through all
    the same, and all of them for as long as enough of those were answered.
    """

    def __init__(
        self, full_for_s: Callable[[], float | None], routes: Collection[str], settings: Settings, metrics: Metrics
    ) -> None:
        """Set up.

        Args:
            full_for_s: for how many seconds the queue holds work, if it is full; otherwise None.
            routes: the paths whose POST requests go through the queue.
            settings: how long a body may take.
            metrics: where refusals are counted.
        """
        self.full_for_s = full_for_s
        self.settings = settings
        self._counts = {route.encode("ascii"): metrics.requests.labels(route, "429") for route in routes}
        self._rejected = metrics.rejected.labels("overloaded")
        self._answered = 0.0
        self._due = 0.0

    def closed_for_s(self, method: bytes, url: bytes) -> float | None:
        """For how many seconds there is work, if the queue is full and the request needs it; otherwise None."""
        if method != b"POST" or url.partition(b"?")[0] not in self._counts:
            return None
        return self.full_for_s()

    def let_through(self) -> bool:
        """Whether to try a request though the queue is full; `tried` wants to know what came of it."""
        self._due += max(_TRIED, min(1.0, _WORTH * self._answered))
        if self._due < 1:
            return False
        self._due -= 1
        return True

    def tried(self, answered: bool) -> None:
        """What became of a request that was let through."""
        self._answered += _WEIGHT * (answered - self._answered)

    def refused(self, url: bytes) -> None:
        """Count a refusal."""
        self._counts[url.partition(b"?")[0]].inc()
        self._rejected.inc()


class RefusingProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, which answers 429 itself while the application's door is closed.

    Such a request is held until it is read to its end, for the next one to follow on the same connection, but not for
    longer than any other body may take. Which key it carries is not looked at.
    """

    _held: float | None = None  # the seconds to tell; the request under way is one to refuse
    _limit: asyncio.TimerHandle | None = None
    _tried: RequestResponseCycle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._door: Door = self.app_state[STATE]
        self._body = bytearray()  # of the request that is held

    def on_message_begin(self) -> None:
        """The time to the next request is over; after a refusal the request may have come with the one before it."""
        self._unset_keepalive_if_required()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Let the request in, or hold it."""
        if self.transport.is_closing():  # refused by then, and the client goes on all the same
            return
        seconds = None
        if self.cycle is None or self.cycle.response_complete:  # otherwise it waits for the one before it
            seconds = self._door.closed_for_s(self.parser.get_method(), self.url)
        if seconds is None:
            super().on_headers_complete()
        elif self._door.let_through():
            super().on_headers_complete()
            self._tried = self.cycle
        else:
            self._held = seconds
            # A client that waits to be told to send its body is not told to, even if it wants an explanation.
            if self.expect_100_continue:
                self._refuse(last=True)

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on, or look at it."""
        if self._held is None:
            if not self.transport.is_closing():
                super().on_body(body)
            return
        start = max(0, len(self._body) - len(_EXPLAIN) + 1)
        self._body += body
        # To refuse a large one in the application costs little beside what the model would take for it.
        if self._body.find(_EXPLAIN, start) >= 0 or len(self._body) > HIGH_WATER_LIMIT:
            read = bytes(self._body)
            self._let_go()
            super().on_headers_complete()
            super().on_body(read)

    def on_message_complete(self) -> None:
        """The request is read."""
        if self._held is not None:
            # As uvicorn has it, HTTP/1.0 closes in any case.
            self._refuse(last=self.parser.get_http_version() == "1.0" or not self.parser.should_keep_alive())
        elif not self.transport.is_closing():
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Take what came; a body that is refused may not take longer than another one."""
        super().data_received(data)
        if self._held is not None and self._limit is None:
            self._limit = self.loop.call_later(self._door.settings.body_timeout_s, self._refuse, True)

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP; nothing follows the last answer of a connection."""
        self._let_go()
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for an answer any more."""
        self._let_go()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The service stops: better refused than cut off."""
        if self._held is not None:
            self._refuse(last=True)
        else:
            super().shutdown()

    def on_response_complete(self) -> None:
        """An answer of the application's has gone out."""
        if self._tried is not None:
            # Whoever refuses leaves a reason.
            self._door.tried("reason" not in self._tried.scope["state"])
            self._tried = None
        super().on_response_complete()

    def _let_go(self) -> None:
        """Hold no request, if one is held."""
        self._held = None
        self._body.clear()
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _refuse(self, last: bool) -> None:
        """Answer 429 to the request that is held; after the `last` answer of a connection it is closed."""
        assert self._held is not None
        head, body = _answer(math.ceil(self._held), last)
        self._let_go()
        self._door.refused(self.url)
        # The server's own: the date.
        more = b"".join(b"\r\n%s: %s" % header for header in self.server_state.default_headers)
        self.transport.write(b"%s%s%s\r\n\r\n%s" % (head, request_id(self.headers), more, body))
        if last:
            self.transport.close()
        super().on_response_complete()  # unless it is closed, the time to the next request begins


@lru_cache
def _answer(seconds: int, last: bool) -> tuple[bytes, bytes]:
    """The answer up to the value of its last header, the correlation id, and its body; once for each time to wait."""
    refusal = overloaded(seconds)
    body = to_json(refusal.body())
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *SECURITY_HEADERS]
    headers += [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in refusal.headers.items()]
    if last:
        headers.append((b"connection", b"close"))
    lines = [b"HTTP/1.1 429 Too Many Requests", *(b"%s: %s" % header for header in headers), ID_HEADER + b": "]
    return b"\r\n".join(lines), body
