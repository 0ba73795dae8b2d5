"""The load generator: asyncio on raw sockets with keep-alive, closed loop or open loop.

In a closed loop each connection sends its next request when it has its answer: a slow server is asked less, which is
right for a peak and flatters times. In an open loop requests are due at a constant rate whatever the server does, and a
time begins when its request was due (Tene's coordinated omission): waiting for a connection counts.
"""

from __future__ import annotations

import asyncio
import math
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

BIN_S = 0.1
# A request that has no answer by then is given up, and counts as broken.
_GIVE_UP_S = 15.0
# Servers close what is idle for some seconds (uvicorn after 5), maybe just as a request is on its way, which would look
# like a request lost. Clients forget such connections sooner, and so do we.
_KEEP_IDLE_S = 2.0


@dataclass
class Tally:
    """What came of a load.

    Attributes:
        seconds: that it lasted.
        sent: requests sent.
        due: requests that should have been sent by then; in a closed loop the same as `sent`.
        statuses: answers by HTTP status, all of them.
        broken: requests without an answer, by reason.
        broken_ports: the client's port of each connection that broke with a request on it.
        bare_429: answers 429 without a Retry-After that is a whole number.
        in_time: answers 200 while the load lasted; what came before or after is in `statuses` alone.
        unsent: requests that were due and for which no connection became free, even long after the end.
        seconds_each: of each answer 200, from when it was due (open loop) or sent (closed loop).
        by_bin: answers 200 by tenth of a second.
        ended: which tenth of a second each of `seconds_each` ended in.
    """

    seconds: float = 0.0
    sent: int = 0
    due: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    broken_ports: list[int] = field(default_factory=list)
    bare_429: int = 0
    in_time: int = 0
    unsent: int = 0
    seconds_each: array[float] = field(default_factory=lambda: array("d"))
    by_bin: Counter[int] = field(default_factory=Counter)
    ended: array[int] = field(default_factory=lambda: array("i"))

    @property
    def rate(self) -> float:
        """Answers 200 a second, of those that came while the load lasted."""
        return self.in_time / self.seconds

    @property
    def failures(self) -> int:
        """Requests without an answer, and answers that are neither 200 nor a clean 429."""
        other = sum(number for status, number in self.statuses.items() if status not in (200, 429))
        return sum(self.broken.values()) + other + self.bare_429

    def counts(self) -> dict[str, object]:
        """Everything that was counted, for JSON."""
        return {
            "due": self.due,
            "sent": self.sent,
            "unsent": self.unsent,
            "statuses": dict(self.statuses),
            "broken": dict(self.broken),
            "answered_in_time": self.in_time,
        }

    def percentiles(self, since_s: float = 0.0) -> dict[str, float]:
        """p50, p95 and p99 in milliseconds, of what ended `since_s` or later; not a number where nothing did."""
        first = since_s / BIN_S
        kept = sorted(s for s, end in zip(self.seconds_each, self.ended, strict=True) if end >= first)
        if not kept:
            return {"p50": math.nan, "p95": math.nan, "p99": math.nan}
        return {f"p{q}": 1000 * kept[min(len(kept) - 1, math.ceil(len(kept) * q / 100) - 1)] for q in (50, 95, 99)}


def describe(tally: Tally) -> str:
    """What came of a load, in words."""
    parts = [f"{number:,} x {status}" for status, number in sorted(tally.statuses.items())]
    parts += [f"{number:,} x {reason}" for reason, number in sorted(tally.broken.items())]
    if tally.bare_429:
        parts.append(f"{tally.bare_429:,} x 429 without Retry-After")
    return ", ".join(parts) or "nothing"


class _Connection(asyncio.Protocol):
    """One keep-alive connection: a request at a time, and the answer's status, Retry-After and end."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self.due = 0.0
        self.idle_since = 0.0
        self.busy = False
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def send(self, request: bytes, due: float) -> None:
        assert self._transport
        self.busy, self.due = True, due
        self._transport.write(request)

    def close(self) -> None:
        if self._transport:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        while self._buffer:
            head_end = self._buffer.find(b"\r\n\r\n")
            if head_end < 0:
                return
            head = self._buffer[:head_end].lower()
            end = head_end + 4 + int(_header(head, b"content-length") or 0)
            if len(self._buffer) < end:
                return
            body, self._buffer = self._buffer[head_end + 4 : end], self._buffer[end:]
            status = int(head[9:12])
            if status < 200:  # "100 Continue" is not the answer
                continue
            self.busy = False
            retry = _header(head, b"retry-after")
            closes = _header(head, b"connection") == b"close"
            self._load.answered(self, status, retry, body, closes)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(self, type(exc).__name__ if exc else "closed")


def _header(head: bytes, name: bytes) -> bytes | None:
    at = head.find(b"\r\n" + name + b":")
    if at < 0:
        return None
    start = at + len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


class _Load:
    """A load while it runs: who may send, and what came back."""

    def __init__(
        self,
        port: int,
        requests: Iterator[bytes],
        seconds: float,
        connections: int,
        rate: float | None = None,
        warm_s: float = 0.0,
        on_answer: Callable[[int, bytes], None] | None = None,
        until: asyncio.Future[None] | None = None,
    ) -> None:
        self._port = port
        self._requests = requests
        self._connections = connections
        self._rate = rate
        self._warm_s = warm_s
        self._on_answer = on_answer
        self._until = until
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()  # when requests were due that no connection is free for
        self._all: set[_Connection] = set()
        self._opening = 0
        self._begun = 0.0
        self._over = False
        self.tally = Tally(seconds=seconds)

    async def run(self) -> Tally:
        await asyncio.gather(*(self._open() for _ in range(min(self._connections, 64))))
        self._begun = time.perf_counter() + self._warm_s
        if self._rate is None:
            while self._idle:
                self._send(self._idle.popleft(), time.perf_counter())
            await asyncio.sleep(self._warm_s + self.tally.seconds)
            self.tally.due = self.tally.sent
        else:
            await self._offer(self._rate)
        self._over = True
        await self._finish()
        return self.tally

    async def _offer(self, rate: float) -> None:
        """Requests at a constant rate; those that came due during a sleep go out together, with their own times."""
        while True:
            now = time.perf_counter()
            # A late turn at the end of the load still owes what came due before it.
            last = min(now, self._begun + self.tally.seconds) if self._until is None else now
            while (due := self._begun + self.tally.due / rate) < last:
                self.tally.due += 1
                self._request(due)
            if now >= self._begun + self.tally.seconds and (self._until is None or self._until.done()):
                break
            await asyncio.sleep(max(0.0005, due - now))
        if self._until is not None:
            self.tally.seconds = now - self._begun

    def _request(self, due: float) -> None:
        while self._idle:
            connection = self._idle.popleft()
            if time.perf_counter() - connection.idle_since < _KEEP_IDLE_S:
                self._send(connection, due)
                return
            self._all.discard(connection)
            connection.close()
        self._waiting.append(due)
        if len(self._all) + self._opening < self._connections:
            self._reopen()

    def _reopen(self) -> None:
        self._opening += 1
        task = asyncio.ensure_future(self._open(counted=True))
        task.add_done_callback(lambda done: done.exception())  # counted already

    async def _open(self, counted: bool = False) -> None:
        """A new connection, which goes to work at once where a request waits."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        except (OSError, TimeoutError) as error:
            if not counted:
                raise
            # A request is refused with the connection that it was to go on.
            self.tally.broken[f"connect: {type(error).__name__}"] += 1
            if self._waiting:
                self._waiting.popleft()
            return
        finally:
            self._opening -= counted
        self._all.add(connection)
        self._next(connection)

    def _next(self, connection: _Connection) -> None:
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        elif self._rate is None and self._begun and not self._over:
            self._send(connection, time.perf_counter())
        else:
            connection.idle_since = time.perf_counter()
            self._idle.append(connection)

    def _send(self, connection: _Connection, due: float) -> None:
        self.tally.sent += 1
        connection.send(next(self._requests), due)

    def answered(self, connection: _Connection, status: int, retry: bytes | None, body: bytes, closes: bool) -> None:
        now = time.perf_counter()
        tally = self.tally
        tally.statuses[status] += 1
        if status == 200 and now >= self._begun:
            end = int((now - self._begun) / BIN_S)
            tally.seconds_each.append(now - connection.due)
            tally.ended.append(end)
            tally.by_bin[end] += 1
            tally.in_time += not self._over and (self._until is not None or now - self._begun <= tally.seconds)
        elif status == 429 and not (retry or b"").isdigit():
            tally.bare_429 += 1
        if self._on_answer:
            self._on_answer(status, body)
        if closes:
            connection.close()  # `lost` opens another one
        else:
            self._next(connection)

    def lost(self, connection: _Connection, reason: str) -> None:
        if not connection.busy and (self._over or connection not in self._all):
            return  # we closed it
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if connection.busy:
            connection.busy = False
            self.tally.broken[reason] += 1
            self.tally.broken_ports.append(connection.port)
        if not self._over and len(self._all) + self._opening < self._connections:
            self._reopen()

    async def _finish(self) -> None:
        """Let what is under way, and what was due, be answered."""
        limit = time.perf_counter() + _GIVE_UP_S
        while self._waiting and time.perf_counter() < limit:
            await asyncio.sleep(0.02)
        self.tally.unsent = len(self._waiting)
        self._waiting.clear()
        # What is under way by now has all the time that any request has.
        limit = time.perf_counter() + _GIVE_UP_S
        while time.perf_counter() < limit and any(x.busy for x in self._all):
            await asyncio.sleep(0.02)
        for connection in self._all:
            if connection.busy:
                connection.busy = False
                self.tally.broken["no answer"] += 1
                self.tally.broken_ports.append(connection.port)
            connection.close()
        await asyncio.sleep(0.05)


async def closed_loop(
    port: int, requests: Iterator[bytes], seconds: float, connections: int, warm_s: float = 0.0
) -> Tally:
    """So many connections, each with one request at a time.

    Args:
        port: on the loopback.
        requests: whole HTTP requests, without end.
        seconds: that the load lasts.
        connections: at a time.
        warm_s: that the load has gone on before it counts.

    Raises:
        OSError: nobody listens there.
    """
    return await _Load(port, requests, seconds, connections, warm_s=warm_s).run()


async def open_loop(
    port: int,
    requests: Iterator[bytes],
    seconds: float,
    rate: float,
    connections: int = 512,
    on_answer: Callable[[int, bytes], None] | None = None,
    until: asyncio.Future[None] | None = None,
) -> Tally:
    """Requests at a constant rate, whatever becomes of them.

    Args:
        port: on the loopback.
        requests: whole HTTP requests, without end.
        seconds: that the load lasts at least.
        rate: requests a second.
        connections: that are open at most; a request that finds none free waits, and its time runs.
        on_answer: is told status and body of each answer.
        until: the load does not end before this is done.

    Raises:
        OSError: nobody listens there.
    """
    return await _Load(port, requests, seconds, connections, rate, on_answer=on_answer, until=until).run()
