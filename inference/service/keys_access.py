"""Who may ask what, and how much: the check before every request, with keys in memory, reread every few seconds."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from forewarn.inference.service.errors import Refusal, place, rate_limited
from forewarn.inference.service.keys import Key, Keyring
from forewarn.inference.service.keys_store import KeyStore
from forewarn.inference.service.limits import RateLimits
from forewarn.inference.service.logs import LOGGER
from forewarn.inference.service.metrics import Metrics
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

# What load balancers and Apple's servers ask, without a key.
OPEN = frozenset({"/healthz", "/readyz", "/.well-known/apple-app-site-association"})
# What an address asks of a key where it is not `score`.
_SCOPES = {"/metrics": "metrics", "/v1/admin/model": "admin"}
_THREADS = 4
_FIRST_READ_S = 1.0

Answer = TypeVar("Answer")
logger = logging.getLogger(LOGGER)


class Access:
    """The keys of one worker process, and their limits. Without a store everybody may ask."""

    def __init__(self, store: KeyStore | None, refresh_s: float, metrics: Metrics) -> None:
        """Set up; nothing is read before `start`.

        Args:
            store: where keys are; None is an open service.
            refresh_s: how old what is known of the keys may get.
            metrics: where failures of the store are counted.
        """
        self._store = store
        self._refresh_s = refresh_s
        self._metrics = metrics
        self._keys = Keyring([])
        self._read_ever = self._read_last = False
        self._limits = RateLimits(store.counters(), metrics.store_errors.labels("limits").inc) if store else None
        # Drivers block, and a store that does not answer must not hold up health checks.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="forewarn-store")
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the keys are known, if any are needed."""
        return self._store is None or self._read_ever

    async def start(self) -> None:
        """Read the keys, and go on reading them; from within the event loop."""
        if self._store:
            self._task = asyncio.create_task(self._keep_reading(self._store))
            # The first request should find the keys, but a store that hangs must not hold up the start.
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_READ_S):
                    await self._tried.wait()

    async def stop(self) -> None:
        """Read no more, after the last request."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        if self._store:
            self._store.close()

    def admit(self, authorization: Sequence[str], scope: str | None) -> Key | None:
        """The key that a request names.

        Args:
            authorization: its headers of that name.
            scope: what the key must be for; None is any key.

        Returns:
            The key; None in an open service.

        Raises:
            Refusal: 401 without a key or with a wrong one, 403 for a key of another scope, 503 for a key that cannot be
                looked up because the store does not answer.
        """
        if self._store is None:
            return None
        if not authorization:
            raise Refusal("key_missing")
        kind, _, token = authorization[0].partition(" ")
        if len(authorization) > 1 or kind.lower() != "bearer":
            raise Refusal("key_invalid")
        token = token.strip()
        key = self._keys.find(token)
        if key is None:
            # It may be newer than what was last read.
            unsure = not self._read_last and not self._keys.knows(token)
            raise Refusal("store_unavailable" if unsure else "key_invalid")
        if scope is not None and scope not in key.scopes:
            what = f"the key is good, but this address needs the scope {scope}; ask for a key that has it"
            raise Refusal("scope_missing", what)
        return key

    async def charge(self, request: Request, messages: int) -> None:
        """Count the messages of a request against its key's limit.

        Raises:
            Refusal: 429 over the limit, 413 for more than the limit would ever let through at once.
        """
        key = key_of(request)
        if self._limits and key and key.per_minute is not None:
            wait = await self._in_thread(self._limits.hit, key, messages)
            if wait == math.inf:
                what = f"the key may send {key.per_minute} messages a minute; send at most so many a request"
                raise Refusal("too_many_for_key", what)
            if wait:
                raise rate_limited(wait)

    async def take(self, request: Request, messages: int) -> tuple[int, float]:
        """How many of some lines of a stream its key may send now, and the seconds until it may send more.

        Raises:
            Refusal: 401 if the key was revoked since the stream began.
        """
        key = key_of(request)
        if not self._limits or key is None:
            return messages, 0.0
        if not self._keys.works(key):
            raise Refusal("key_invalid")
        if key.per_minute is None:
            return messages, 0.0
        return await self._in_thread(self._limits.take, key, messages)

    async def _keep_reading(self, store: KeyStore) -> None:
        while True:
            await self._read(store)
            self._tried.set()
            # Twice as often as promised, so that the reading itself does not make us late.
            await asyncio.sleep(self._refresh_s / 2)

    async def _read(self, store: KeyStore) -> None:
        try:
            self._keys = Keyring(await self._in_thread(store.all))
        except Exception as error:
            self._metrics.store_errors.labels("keys").inc()
            if self._read_last or not self._read_ever:  # said once, not every few seconds
                logger.error("the keys could not be read", extra={"fields": {"error": place(error)}})
            self._read_last = False
        else:
            self._read_ever = self._read_last = True

    async def _in_thread(self, function: Callable[..., Answer], *values: object) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *values)


class KeyCheck:
    """ASGI middleware that lets a request in only with a key, before any of its body is read."""

    def __init__(self, app: ASGIApp, access: Access, routes: frozenset[str]) -> None:
        """Wrap `app`, whose addresses are `routes`; no other one is let through at all."""
        self.app = app
        self.access = access
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event of the ASGI server."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                self._check(scope)
            except Refusal as refusal:
                scope["state"]["reason"] = refusal.code
                await refusal.response()(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        path = scope["path"]
        # An address that only resembles one of ours must not get to it under another scope.
        known = path in self.routes
        needed = _SCOPES.get(path, "score") if known else None
        scope["state"]["key"] = self.access.admit(Headers(scope=scope).getlist("authorization"), needed)
        if not known:
            raise Refusal("not_found")


def key_of(request: Request) -> Key | None:
    """The key that a request was let in with; None in an open service."""
    return getattr(request.state, "key", None)
