"""Where keys and the counts of rate limits are kept: SQLite, PostgreSQL or Redis, by the store's URL."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from forewarn.inference.errors import ForewarnError, MissingExtraError
from forewarn.inference.service.keys import Key
from limits.storage import Storage


class KeyStore(Protocol):
    """A place for keys. Every method blocks; each may be called from any thread.

    All but `counters` and `close` raise StoreError if the store does not answer.
    """

    def add(self, key: Key) -> None:
        """Store a new key."""

    def all(self) -> list[Key]:
        """Every key, revoked ones too, the oldest first."""

    def revoke(self, key_id: str) -> bool:
        """Make a key useless from now on; false if there is none with this ID. The first revocation's time stays."""

    def counters(self) -> Storage:
        """Where the `limits` library counts, in the same database; its methods raise limits' StorageError."""

    def close(self) -> None:
        """Close every connection."""


def open_store(url: str, create: bool = True) -> KeyStore:
    """The store at a URL; nothing is connected yet.

    Args:
        url: `sqlite:///relative/path`, `sqlite:////absolute/path`, `postgresql://...`, `redis://...` or `rediss://...`.
        create: whether a SQLite file that is not there is made. The service makes none: an empty one would say that
            every key is wrong.

    Raises:
        MissingExtraError: the database's driver is not installed.
        ForewarnError: the URL is none of these, or cannot be read.
    """
    try:
        parts = urlsplit(url)
        scheme, _ = parts.scheme, parts.port
    except ValueError:
        scheme = ""
    if scheme not in _OPENERS:
        raise ForewarnError(
            "the store of keys must be sqlite:///PATH, postgresql://HOST/DATABASE or redis://HOST, as a URL"
        )
    return _OPENERS[scheme](url, create)


def _open_sqlite(url: str, create: bool) -> KeyStore:
    from forewarn.inference.service.keys_sql import SqliteDatabase, SqlKeyStore

    path = url.removeprefix("sqlite:///")
    if path in (url, "") or path.startswith(":"):
        raise ForewarnError("a SQLite store is sqlite:///PATH, with a fourth slash for a path from the root")
    return SqlKeyStore(SqliteDatabase(Path(path), create))


def _open_postgres(url: str, create: bool) -> KeyStore:
    _needs("psycopg", "a postgresql:// store", "postgres")
    from forewarn.inference.service.keys_sql import PostgresDatabase, SqlKeyStore

    return SqlKeyStore(PostgresDatabase(url))


def _open_redis(url: str, create: bool) -> KeyStore:
    _needs("redis", "a redis:// store", "redis")
    from forewarn.inference.service.keys_redis import RedisKeyStore

    return RedisKeyStore(url)


def _needs(module: str, what: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(what, extra)


_OPENERS: dict[str, Callable[[str, bool], KeyStore]] = {
    "sqlite": _open_sqlite,
    "postgresql": _open_postgres,
    "postgres": _open_postgres,
    "redis": _open_redis,
    "rediss": _open_redis,
}
