"""Requests with parts of long SMS messages: one verdict for a message, however its parts come.

With several worker processes the parts of a message may reach different ones. They share the buffer of their parent
then, over a socket on this machine: the texts are in no file, and in the memory of these processes alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, Protocol

from forewarn.inference.classifier import Verdict
from forewarn.inference.service.errors import place
from forewarn.inference.service.keys_access import key_of
from forewarn.inference.service.logs import LOGGER
from forewarn.inference.service.metrics import Metrics
from forewarn.inference.service.parts import Part, PartBuffer, Report, State
from forewarn.inference.service.schema import InputMessage
from forewarn.inference.service.scoring import Asked
from forewarn.inference.service.settings import Settings
from starlette.requests import Request

# How workers are told where their parent's buffer is: the socket, a space, and the key to it.
SOCKET_VARIABLE = "FOREWARN_PARTS_SOCKET"
# The longest that a text outlives its time when nothing else comes.
_SWEEP_S = 1.0

logger = logging.getLogger(LOGGER)


class Batch:
    """The messages of a request, and what is to be scored for them."""

    def __init__(self, messages: Sequence[InputMessage], states: dict[int, State]) -> None:
        """Set up.

        Args:
            messages: as they came.
            states: how far the messages are of which some are parts, by their place.
        """
        self._messages = messages
        self._waiting: dict[int, int] = {}
        self._places: list[int] = []
        # All parts of a message that came together have one verdict.
        wholes: dict[Asked, int] = {}
        self.asked: list[Asked] = []
        for i, message in enumerate(messages):
            state = states.get(i)
            if state is None:
                self._places.append(len(self.asked))
                self.asked.append(Asked(message.text, message.sender, message.locale))
            elif state.text is None:
                self._places.append(-1)
                self._waiting[i] = state.seen
            else:
                asked = Asked(state.text, message.sender, message.locale)
                self._places.append(wholes.setdefault(asked, len(self.asked)))
                if self._places[-1] == len(self.asked):
                    self.asked.append(asked)

    def results(self, verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
        """What goes out, a result a message, from the verdicts on `asked`."""
        results: list[dict[str, Any]] = []
        for i, (message, at) in enumerate(zip(self._messages, self._places, strict=True)):
            if i in self._waiting:
                results.append({"id": message.id, "status": "waiting", "seen": self._waiting[i]})
            else:
                results.append(verdicts[at].to_dict(message.id))
            if message.concat:
                results[-1]["parts"] = message.concat.parts
        return results


class _Buffer(Protocol):
    async def call(self, method: str, *values: Any) -> Any:
        """The answer of a method of PartBuffer."""

    def close(self) -> None:
        """No call comes any more."""


class _Own:
    """The buffer of this process."""

    def __init__(self, settings: Settings) -> None:
        self._buffer = _buffer(settings)

    async def call(self, method: str, *values: Any) -> Any:
        """See _Buffer."""
        return getattr(self._buffer, method)(*values)

    def close(self) -> None:
        """See _Buffer."""


class _Shared:
    """The buffer of the parent process."""

    def __init__(self, where: str) -> None:
        self._address, _, self._key = where.partition(" ")
        self._connection: Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="forewarn-parts")

    async def call(self, method: str, *values: Any) -> Any:
        """See _Buffer."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, method, values)

    def _call(self, method: str, values: tuple[Any, ...]) -> Any:
        if self._connection is None:
            self._connection = Client(self._address, authkey=bytes.fromhex(self._key))
        self._connection.send((method, values))
        return self._connection.recv()

    def close(self) -> None:
        """See _Buffer."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class Joining:
    """Puts the parts in requests together with those that came before."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Set up; nothing expires before `start`."""
        where = os.environ.get(SOCKET_VARIABLE)
        self._buffer: _Buffer = _Shared(where) if where else _Own(settings)
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None

    def use(self, buffer: _Buffer) -> None:
        """Hold the parts elsewhere; before `start`."""
        self._buffer = buffer

    async def start(self) -> None:
        """Begin to drop what waits too long; from within the event loop."""
        self._task = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """Stop, after the last request."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._buffer.close()

    @asynccontextmanager
    async def join(self, request: Request, messages: Sequence[InputMessage]) -> AsyncIterator[Batch]:
        """What is to be scored for some messages; when the context fails, none of their parts are kept."""
        parts: dict[int, Part] = {}
        for i, message in enumerate(messages):
            if message.concat and message.concat.parts > 1:
                parts[i] = _part(request, message)
        if not parts:
            yield Batch(messages, {})
            return
        states: list[State] = await self._buffer.call("add", list(parts.values()))
        try:
            yield Batch(messages, dict(zip(parts, states, strict=True)))
        except BaseException:
            new = [part for part, state in zip(parts.values(), states, strict=True) if state.new]
            await self._buffer.call("remove", new)
            raise

    async def _sweep(self) -> None:
        told = False
        while True:
            try:
                report: Report = await self._buffer.call("report")
                self._metrics.parts_joined.inc(report.joined)
                for why, number in report.lost.items():
                    self._metrics.parts_lost.labels(why).inc(number)
                self._metrics.parts_bytes.set(report.size_bytes)
                told = False
            except Exception as error:
                if not told:  # said once, not every second
                    logger.error("the buffer of parts does not answer", extra={"fields": {"error": place(error)}})
                told = True
            await asyncio.sleep(_SWEEP_S)


@contextmanager
def shared_parts(settings: Settings) -> Iterator[None]:
    """One buffer for the worker processes that are started within the context, in this process."""
    with tempfile.TemporaryDirectory(prefix="forewarn-parts-") as folder:
        key = secrets.token_bytes(32)
        with Listener(f"{folder}/socket", family="AF_UNIX", backlog=64, authkey=key) as listener:
            os.environ[SOCKET_VARIABLE] = f"{listener.address} {key.hex()}"
            threading.Thread(target=_accept, args=(listener, _buffer(settings)), daemon=True).start()
            try:
                yield
            finally:
                del os.environ[SOCKET_VARIABLE]


def _accept(listener: Listener, buffer: PartBuffer) -> None:
    while True:
        try:
            connection = listener.accept()
        except (AuthenticationError, EOFError, ConnectionError):
            continue  # a worker that was killed as it came
        except OSError:
            return  # closed
        threading.Thread(target=_answer, args=(connection, buffer), daemon=True).start()


def _answer(connection: Connection, buffer: PartBuffer) -> None:
    """Do what a worker asks for, until it ends."""
    with connection, suppress(EOFError, OSError):
        while True:
            method, values = connection.recv()
            connection.send(getattr(buffer, method)(*values))


def _buffer(settings: Settings) -> PartBuffer:
    return PartBuffer(settings.parts_bytes, settings.parts_messages, settings.parts_wait_s)


def _part(request: Request, message: InputMessage) -> Part:
    key, concat = key_of(request), message.concat
    assert concat and message.sender
    return Part(
        owner=key.id if key else "",
        sender=message.sender,
        recipient=concat.recipient or "",
        reference=concat.reference,
        number=concat.part,
        parts=concat.parts,
        text=message.text,
    )
