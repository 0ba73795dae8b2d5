"""Keys in SQLite and PostgreSQL: the same statements, on a connection for each thread."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from forewarn.inference.service.keys import STORE_TIMEOUT_S, Key, StoreError, now
from forewarn.inference.service.limits import SqlCounters
from limits.storage import Storage

_TABLES = (
    "CREATE TABLE IF NOT EXISTS forewarn_keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, secret_sha256 TEXT NOT NULL, "
    "scopes TEXT NOT NULL, per_minute BIGINT, created TEXT NOT NULL, revoked TEXT)",
    "CREATE TABLE IF NOT EXISTS forewarn_counters "
    "(name TEXT PRIMARY KEY, count BIGINT NOT NULL, expires DOUBLE PRECISION NOT NULL)",
)


class Database(ABC):
    """Runs one statement at a time. Each thread has its own connection, made anew after a failure."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[Any] = []

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement, with a question mark for each value, and commit it.

        Returns:
            The rows that it gives, if any.

        Raises:
            StoreError: the database does not answer or refuses.
        """
        held = getattr(self._local, "connection", None)
        try:
            if held is not None and self._replaced():
                self._drop()
                held = None
            return self._run(held or self._new(), statement, values)
        except self._errors() as error:
            lost = held is not None and self._lost(held)
            self._drop()
            if not lost:
                raise StoreError(self._told(error)) from None
        # The server was started anew since this thread last asked.
        return self.execute(statement, values)

    def close(self) -> None:
        """Close the connections of all threads; none of them may be at work."""
        with self._lock:
            for connection in self._connections:
                with suppress(*self._errors()):
                    connection.close()
            self._connections.clear()
        self._local = threading.local()

    def _new(self) -> Any:
        connection = self._local.connection = self._connect()
        with self._lock:
            self._connections.append(connection)
        return connection

    def _drop(self) -> None:
        connection, self._local.connection = getattr(self._local, "connection", None), None
        if connection is not None:
            with self._lock, suppress(ValueError):
                self._connections.remove(connection)
            with suppress(*self._errors()):
                connection.close()

    @abstractmethod
    def _connect(self) -> Any:
        """A new connection to a database that has our tables."""

    @abstractmethod
    def _run(self, connection: Any, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]: ...

    def _replaced(self) -> bool:
        """Whether another database has taken the place of the one that this thread is connected to."""
        return False

    def _lost(self, connection: Any) -> bool:
        """Whether a connection that failed is at an end, and a new one may do better."""
        return False

    @abstractmethod
    def _errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises."""

    @abstractmethod
    def _told(self, error: Exception) -> str:
        """One line for a person."""


class SqliteDatabase(Database):
    """A file, for worker processes of one machine."""

    def __init__(self, path: Path, create: bool) -> None:
        """Set up; `create` says whether a file that is not there is made."""
        super().__init__()
        self._path = path
        self._create = create
        self._writing = threading.Lock()

    def _connect(self) -> sqlite3.Connection:
        if self._create:
            # Made by us first: SQLite would let other users of the machine read it. One that is there is not opened:
            # to close it again would take the locks away that SQLite holds on it for our other threads.
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self._local.file = self._file()
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        # Closed by `close`, in another thread than its own, once that one is at rest.
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",  # or SQLite would make a file that has gone by now
            uri=True,
            timeout=STORE_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=32,
        )
        last_try = time.monotonic() + STORE_TIMEOUT_S
        while True:
            try:
                # Readers do not wait for the writer, and a commit does not wait for the disk.
                tables = _TABLES if self._create else ()
                for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", *tables):
                    connection.execute(statement)
                return connection
            except sqlite3.Error as error:
                # Where several make the file at once, SQLite refuses the change to WAL without waiting.
                busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > last_try:
                    connection.close()
                    raise
                time.sleep(0.01)

    def _run(self, connection: sqlite3.Connection, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        if statement.startswith("SELECT"):
            return connection.execute(statement, values).fetchall()
        # SQLite waits for another writer by sleeping, so that our own threads had better queue here.
        with self._writing:
            # The lock first: a transaction that begins by reading may find that another has written, and must fail.
            connection.execute("BEGIN IMMEDIATE")
            rows = connection.execute(statement, values).fetchall()
            connection.execute("COMMIT")
        return rows

    def _file(self) -> tuple[int, int]:
        """Which file lies at the path; raises OSError where none does."""
        there = self._path.stat()
        return there.st_dev, there.st_ino

    def _replaced(self) -> bool:
        # SQLite goes on reading a file that was removed, or that another was moved over.
        return self._local.file != self._file()

    def _errors(self) -> tuple[type[Exception], ...]:
        return sqlite3.Error, OSError

    def _told(self, error: Exception) -> str:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        gone = isinstance(error, FileNotFoundError) and not self._create
        what = "make one with: forewarn keys add NAME" if gone else "check the path and who may write there"
        return f"the store of keys {self._path} cannot be used ({reason}); {what}"


class PostgresDatabase(Database):
    """A server, for workers on several machines."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def _connect(self) -> Any:
        import psycopg

        connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=int(STORE_TIMEOUT_S),
            tcp_user_timeout=int(1000 * STORE_TIMEOUT_S),
            application_name="forewarn",
        )
        connection.execute(f"SET statement_timeout = {int(1000 * STORE_TIMEOUT_S)}")
        # Asked first: where an administrator made the tables, the service may lack the right to make any.
        there = "SELECT to_regclass('forewarn_keys'), to_regclass('forewarn_counters')"
        row = connection.execute(there).fetchone()
        if row is None or None in row:
            with connection.transaction():
                # Two that make the same table at once would both try, and one fail.
                connection.execute("SELECT pg_advisory_xact_lock(hashtext('forewarn'))")
                for table in _TABLES:
                    connection.execute(table)
        return connection

    def _run(self, connection: Any, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        cursor = connection.execute(statement.replace("?", "%s"), values)
        return cursor.fetchall() if cursor.description else []

    def _lost(self, connection: Any) -> bool:
        return bool(connection.closed)

    def _errors(self) -> tuple[type[Exception], ...]:
        import psycopg

        return (psycopg.Error,)

    def _told(self, error: Exception) -> str:
        host = urlsplit(self._url).hostname or "its socket"
        kind = type(error).__name__
        return f"the store of keys on {host} cannot be used ({kind}); check that PostgreSQL runs there and the URL"


class SqlKeyStore:
    """Keys in a table, a row each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: Key) -> None:
        """Store a new key."""
        self._database.execute(
            "INSERT INTO forewarn_keys (id, name, secret_sha256, scopes, per_minute, created) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (key.id, key.name, key.secret_sha256, ",".join(key.scopes), key.per_minute, key.created),
        )

    def all(self) -> list[Key]:
        """Every key, the oldest first."""
        rows = self._database.execute(
            "SELECT id, name, secret_sha256, scopes, per_minute, created, revoked FROM forewarn_keys "
            "ORDER BY created, id"
        )
        return [Key(i, name, sha, tuple(scopes.split(",")), *rest) for i, name, sha, scopes, *rest in rows]

    def revoke(self, key_id: str) -> bool:
        """Make a key useless from now on; false if there is none with this ID."""
        rows = self._database.execute(
            "UPDATE forewarn_keys SET revoked = coalesce(revoked, ?) WHERE id = ? RETURNING id", (now(), key_id)
        )
        return bool(rows)

    def counters(self) -> Storage:
        """Where the `limits` library counts."""
        return SqlCounters(self._database)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()
