"""Reading what a client sends: bounded in size and time, so that a slow or large one holds nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from forewarn.inference.service.errors import Refusal, overloaded
from forewarn.inference.service.settings import Settings
from starlette.requests import ClientDisconnect, Request

DEADLINE_HEADER = "X-Request-Deadline-Ms"
# In JSON a character outside the first plane may take twelve bytes (\ud83d\ude00); id, sender and locale come on top.
_BYTES_A_CHARACTER = 12
_BYTES_BESIDE = 8192


def deadline_of(request: Request, settings: Settings) -> float:
    """When the answer must be out, on the event loop's clock; the clock starts here.

    Raises:
        Refusal: 422 if the header is not a whole number of milliseconds above zero.
    """
    given = request.headers.get(DEADLINE_HEADER)
    milliseconds = settings.deadline_ms
    if given is not None:
        if not re.fullmatch(r"0*[1-9][0-9]{0,8}", given):
            raise Refusal("invalid_request", f"{DEADLINE_HEADER}: must be a whole number of milliseconds, from 1")
        milliseconds = min(int(given), settings.max_deadline_ms)
    return asyncio.get_running_loop().time() + milliseconds / 1000


def check_encoding(request: Request) -> None:
    """Raise a Refusal (415) for a body that was compressed: unpacked, a small one may be of any size."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        what = "send the body as it is: this service takes no Content-Encoding"
        raise Refusal("unsupported_media_type", what, {"Accept-Encoding": "identity"})


# Its number in a stream, from 1, and what it holds; None for one that is too long.
Line = tuple[int, bytes | None]


class Bodies:
    """Reads whole bodies, and bounds what all of them together hold in memory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held = 0

    @asynccontextmanager
    async def read(self, request: Request, deadline: float) -> AsyncIterator[bytes]:
        """The body, counted as held until the context is left.

        Raises:
            Refusal: 415, 413, 408 or 504 for a body of another kind, too large, too slow, or past the deadline; 429
                when the bodies of all requests hold too much memory.
        """
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not (media_type.endswith("/json") or media_type.endswith("+json")):
            raise Refusal("unsupported_media_type")
        check_encoding(request)
        limit = asyncio.get_running_loop().time() + self._settings.body_timeout_s
        chunks: list[bytes] = []
        try:
            try:
                async with asyncio.timeout_at(min(limit, deadline)):
                    await self._collect(request, chunks)
            except TimeoutError:
                # The rest of the body is not read: the connection cannot go on.
                code = "read_timeout" if limit < deadline else "deadline_exceeded"
                raise Refusal(code, headers={"Connection": "close"}) from None
            chunks[:] = [b"".join(chunks)]  # held once, not twice
            request.state.bytes = len(chunks[0])
            yield chunks[0]
        finally:
            self._held -= sum(map(len, chunks))

    async def _collect(self, request: Request, chunks: list[bytes]) -> None:
        limit = self._settings.max_body_bytes
        size = 0
        more = True
        # Over the limit it is read on, up to as much again: a client still sending would see a reset, not our answer.
        while more and size <= 2 * limit:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
                self._hold(len(chunk))
        if size > limit:
            raise Refusal("body_too_large", f"the body is larger than {limit} bytes; send fewer messages a request")

    async def lines(self, request: Request, draining: Draining) -> AsyncGenerator[list[Line], None]:
        """The lines of a stream, in lists of what has arrived.

        An unfinished line counts as held until it is answered. Lines that come whole are passed on as they come.

        Raises:
            Refusal: 408 if nothing comes for too long, 503 when the process is told to stop, 429 when the bodies of all
                requests hold too much memory.
        """
        longest = _BYTES_A_CHARACTER * self._settings.max_characters + _BYTES_BESIDE
        stream = request.stream()
        number = held = request.state.bytes = 0
        rest = bytearray()
        too_long = False
        try:
            while (chunk := await draining.next(stream, self._settings.body_timeout_s)) is not None:
                request.state.bytes += len(chunk)
                *complete, tail = chunk.split(b"\n")
                lines: list[Line] = []
                for piece in complete:
                    number += 1
                    rest += piece
                    lines.append((number, None if too_long or len(rest) > longest else bytes(rest)))
                    rest.clear()
                    too_long = False
                if not too_long:
                    rest += tail
                if len(rest) > longest:
                    rest.clear()
                    too_long = True
                # What was unfinished before is in the first of these lines, until they are answered.
                if lines:
                    yield lines
                more, held = len(rest) - held, len(rest)
                self._hold(more)
            if rest or too_long:
                yield [(number + 1, None if too_long else bytes(rest))]
        finally:
            self._held -= held

    def _hold(self, more: int) -> None:
        self._held += more
        if more > 0 and self._held > self._settings.max_held_bytes:
            raise overloaded(1)


class Draining:
    """Whether the process has been told to stop; cuts short the waits for a stream's next bytes."""

    def __init__(self) -> None:
        self.on = False
        self._waits: set[asyncio.Timeout] = set()

    def begin(self) -> None:
        """Told to stop; from within the event loop."""
        self.on = True
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(0)

    async def next(self, stream: AsyncIterator[bytes], seconds: float) -> bytes | None:
        """The next chunk of a stream, or None at its end.

        Raises:
            Refusal: 408 if it does not come in time, 503 when the process is told to stop.
        """
        if self.on:
            raise Refusal("draining")
        wait = asyncio.timeout(seconds)
        try:
            async with wait:
                self._waits.add(wait)
                return await anext(stream, None)
        except TimeoutError:
            raise Refusal("draining" if self.on else "read_timeout") from None
        finally:
            self._waits.discard(wait)
