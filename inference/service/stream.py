"""Newline-delimited JSON in both directions: a verdict or an error for each line, in order, in bounded memory.

What has arrived is answered before more is read, so that a client that reads slowly slows down only itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from forewarn.inference.service.body import Bodies, Draining, check_encoding
from forewarn.inference.service.errors import Refusal, place, rate_limited
from forewarn.inference.service.joining import Joining
from forewarn.inference.service.keys_access import Access
from forewarn.inference.service.logs import LOGGER
from forewarn.inference.service.metrics import Metrics
from forewarn.inference.service.model_change import Models
from forewarn.inference.service.schema import InputMessage, check_message, parse
from forewarn.inference.service.settings import Settings
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "application/x-ndjson"
_ACCEPTED = {MEDIA_TYPE, "application/ndjson", "application/jsonl", "application/x-jsonlines"}
_BOM = b"\xef\xbb\xbf"

logger = logging.getLogger(LOGGER)


class StreamedAnswer(Response):
    """A response that is written as it is made.

    Starlette's own would read the request beside us, to see whether the client is still there.
    """

    media_type = MEDIA_TYPE

    def __init__(self, parts: AsyncGenerator[bytes, None], expects_continue: bool) -> None:
        self.status_code = 200
        self.background = None
        self.parts = parts
        self.expects_continue = expects_continue
        self.init_headers({})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        # The server says 100 Continue when the body is first read, which must be before our status. Other clients get
        # the status at once: some send nothing before they have it.
        async with aclosing(self.parts):
            first = await anext(self.parts, b"") if self.expects_continue else b""
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for part in self.parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class StreamScorer:
    """Answers the lines of streams."""

    def __init__(
        self,
        models: Models,
        joining: Joining,
        access: Access,
        bodies: Bodies,
        settings: Settings,
        metrics: Metrics,
        draining: Draining,
    ) -> None:
        self._models = models
        self._joining = joining
        self._access = access
        self._bodies = bodies
        self._settings = settings
        self._metrics = metrics
        self._draining = draining
        # Never more than the queue could take at once, or it would be waited for in vain.
        self._group = min(settings.max_batch, settings.max_waiting)

    def answer(self, request: Request) -> StreamedAnswer:
        """The response to a stream.

        Raises:
            Refusal: 415 if it does not say that it holds JSON lines, or is compressed.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _ACCEPTED:
            what = f"send one JSON object a line with the header Content-Type: {MEDIA_TYPE}"
            raise Refusal("unsupported_media_type", what)
        check_encoding(request)
        return StreamedAnswer(self._parts(request), "expect" in request.headers)

    async def _parts(self, request: Request) -> AsyncGenerator[bytes, None]:
        request.state.messages = last = 0
        try:
            async with aclosing(self._bodies.lines(request, self._draining)) as coming:
                async for lines in coming:
                    for start in range(0, len(lines), self._group):
                        results = await self._results(request, lines[start : start + self._group])
                        request.state.messages += len(results)
                        if results:
                            yield b"".join(to_json(result) + b"\n" for result in results)
                        await asyncio.sleep(0)  # lines that are all bad never wait for anything else
                    last = lines[-1][0]
        except Refusal as refusal:
            # The status has long been sent; what stopped the stream becomes its last line.
            request.state.reason = refusal.code
            yield to_json(refusal.body(line=last + 1)) + b"\n"

    async def _results(self, request: Request, lines: list[tuple[int, bytes | None]]) -> list[dict[str, Any]]:
        """Verdicts and errors for some lines, in order; blank lines give nothing.

        Raises:
            Refusal: 401 if the key was revoked meanwhile.
        """
        good: list[tuple[int, InputMessage]] = []
        results: dict[int, dict[str, Any]] = {}
        for number, line in lines:
            content = line.removeprefix(_BOM) if line and number == 1 else line
            if content is not None and not content.strip():
                continue
            results[number] = {}  # keeps its place
            try:
                good.append((number, self._message(content)))
            except Refusal as refusal:
                results[number] = self._error(refusal, number)
        allowed, wait = await self._access.take(request, len(good))
        for number, _ in good[allowed:]:
            results[number] = self._error(rate_limited(wait), number)
        del good[allowed:]
        deadline = asyncio.get_running_loop().time() + self._settings.deadline_ms / 1000
        try:
            async with self._joining.join(request, [message for _, message in good]) as batch:
                verdicts = await self._models.score(batch.asked, deadline, patient=True)
            for (number, _), result in zip(good, batch.results(verdicts), strict=True):
                results[number] = result
        except Exception as error:
            if not isinstance(error, Refusal):
                logger.error("lines of a stream failed", extra={"fields": {"error": place(error)}})
            why = error if isinstance(error, Refusal) else Refusal("internal_error")
            for number, _ in good:
                results[number] = self._error(why, number)
        return list(results.values())

    def _message(self, line: bytes | None) -> InputMessage:
        if line is None:
            raise Refusal("message_too_long", "the line is too long")
        message = parse(InputMessage, line, "the line")
        check_message(message, self._settings)
        return message

    def _error(self, refusal: Refusal, number: int) -> dict[str, Any]:
        self._metrics.rejected.labels(refusal.code).inc()
        return refusal.body(line=number)
