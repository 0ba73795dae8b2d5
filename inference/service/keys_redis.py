"""Keys in Redis: a hash with one field a key."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

import redis
from forewarn.inference.errors import ForewarnError
from forewarn.inference.service.keys import STORE_TIMEOUT_S, Key, StoreError, now
from limits.storage import RedisStorage, Storage
from redis.backoff import NoBackoff
from redis.retry import Retry

_HASH = "forewarn:keys"


class RedisKeyStore:
    """Keys as JSON in the hash `forewarn:keys`; turn on persistence in Redis, or a restart forgets them."""

    def __init__(self, url: str) -> None:
        """Raises ForewarnError if the URL cannot be read."""
        self._url = url
        try:
            self._redis: Any = redis.Redis.from_url(url, decode_responses=True, **_options())
        except ValueError:
            raise ForewarnError("the store of keys is no URL that Redis knows; write redis://HOST:PORT/0") from None

    def add(self, key: Key) -> None:
        """Store a new key."""
        self._call("hset", key.id, json.dumps(asdict(key)))

    def all(self) -> list[Key]:
        """Every key, the oldest first."""
        return sorted(map(_read, self._call("hvals")), key=lambda key: (key.created, key.id))

    def revoke(self, key_id: str) -> bool:
        """Make a key useless from now on; false if there is none with this ID."""
        stored = self._call("hget", key_id)
        if stored is None:
            return False
        # Nothing of a key ever changes but this, so that two who write at once write the same.
        key = _read(stored)
        self._call("hset", key_id, json.dumps(asdict(replace(key, revoked=key.revoked or now()))))
        return True

    def counters(self) -> Storage:
        """Where the `limits` library counts."""
        return RedisStorage(self._url, wrap_exceptions=True, key_prefix="forewarn:limits", **_options())

    def close(self) -> None:
        """Close every connection."""
        self._redis.close()

    def _call(self, command: str, *values: str) -> Any:
        try:
            return getattr(self._redis, command)(_HASH, *values)
        except redis.RedisError as error:
            where, kind = urlsplit(self._url).hostname, type(error).__name__
            what = f"the store of keys on {where} cannot be used ({kind}); check that Redis runs there and the URL"
            raise StoreError(what) from None


def _options() -> dict[str, Any]:
    # One new try, for a connection that went stale; redis-py's own default waits for seconds between three.
    return {
        "socket_timeout": STORE_TIMEOUT_S,
        "socket_connect_timeout": STORE_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 1),
    }


def _read(stored: str) -> Key:
    fields = json.loads(stored)
    return Key(**{**fields, "scopes": tuple(fields["scopes"])})
