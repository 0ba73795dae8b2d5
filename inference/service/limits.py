"""Messages a minute for each key: the `limits` library's sliding window, counted where all workers share it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Protocol

from forewarn.inference.service.errors import place
from forewarn.inference.service.keys import Key, StoreError
from forewarn.inference.service.logs import LOGGER
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, SlidingWindowCounterSupport, Storage
from limits.storage.base import TimestampedSlidingWindow
from limits.strategies import SlidingWindowCounterRateLimiter

# After a failure of the store it is left alone for so long: each request would wait for it in vain.
_LEFT_ALONE_S = 5.0

logger = logging.getLogger(LOGGER)


class _Database(Protocol):
    def execute(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[int, ...]]: ...


class SqlCounters(Storage, SlidingWindowCounterSupport, TimestampedSlidingWindow):
    """The `limits` library's counters in the table `forewarn_counters`, a row for each key and window.

    Each method runs one statement, so that no other process can come between a look and the write that follows it.
    """

    STORAGE_SCHEME = None  # made by the key store, not by a URL

    def __init__(self, database: _Database) -> None:
        super().__init__(wrap_exceptions=True)
        self._database = database

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What the library turns into its StorageError."""
        return StoreError

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add to the current window, unless it and what the previous one still weighs would go over the limit."""
        now = time.time()
        previous, current = self.sliding_window_keys(key, expiry, now)
        weight = 1 - (now / expiry) % 1
        # As the library has it: the previous window's share is rounded down.
        allowed = "? + ? * coalesce((SELECT count FROM forewarn_counters WHERE name = ?), 0) < ?"
        rows = self._database.execute(
            "INSERT INTO forewarn_counters (name, count, expires) "
            f"SELECT ?, ?, ? WHERE {allowed} ON CONFLICT (name) DO UPDATE "
            "SET count = forewarn_counters.count + excluded.count "
            f"WHERE forewarn_counters.count + {allowed} RETURNING count",
            (current, amount, now + 2 * expiry, *2 * (amount, weight, previous, limit + 1)),
        )
        if rows and rows[0][0] == amount:  # a new window: a good moment to forget the old ones
            self._database.execute("DELETE FROM forewarn_counters WHERE expires < ?", (now,))
        return bool(rows)

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Count and seconds left of the previous window, and of the current one (and as long again)."""
        now = time.time()
        previous, current = (self.get(name) for name in self.sliding_window_keys(key, expiry, now))
        left = expiry - now % expiry
        return previous, left if previous else 0.0, current, left + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget both windows."""
        for name in self.sliding_window_keys(key, expiry, time.time()):
            self.clear(name)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a counter that lives for `expiry` seconds from its first use; gives what it holds then."""
        now = time.time()
        rows = self._database.execute(
            "INSERT INTO forewarn_counters (name, count, expires) SELECT ?, ?, ? WHERE true ON CONFLICT (name) "
            "DO UPDATE SET count = excluded.count + CASE WHEN forewarn_counters.expires < ? THEN 0 "
            "ELSE forewarn_counters.count END, expires = CASE WHEN forewarn_counters.expires < ? "
            "THEN excluded.expires ELSE forewarn_counters.expires END RETURNING count",
            (key, amount, now + expiry, now, now),
        )
        return int(rows[0][0])

    def get(self, key: str) -> int:
        """What a counter holds."""
        query = "SELECT count FROM forewarn_counters WHERE name = ? AND expires >= ?"
        rows = self._database.execute(query, (key, time.time()))
        return int(rows[0][0]) if rows else 0

    def get_expiry(self, key: str) -> float:
        """When a counter ends, in seconds since 1970."""
        rows = self._database.execute("SELECT expires FROM forewarn_counters WHERE name = ?", (key,))
        return float(rows[0][0]) if rows else time.time()

    def check(self) -> bool:
        """Whether the database answers."""
        try:
            self._database.execute("SELECT 1")
        except StoreError:
            return False
        return True

    def reset(self) -> int | None:
        """Forget every counter."""
        return len(self._database.execute("DELETE FROM forewarn_counters RETURNING name"))

    def clear(self, key: str) -> None:
        """Forget one counter."""
        self._database.execute("DELETE FROM forewarn_counters WHERE name = ?", (key,))


class RateLimits:
    """Counts messages by key. Blocks; each method may be called from any thread.

    While the store is down each process counts for itself: a limit that is too wide is better than no answers.
    """

    def __init__(self, counters: Storage, failed: Callable[[], object]) -> None:
        """Set up; `failed` is called each time that the store is found down."""
        self._shared = SlidingWindowCounterRateLimiter(counters)
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._failed = failed
        self._again = 0.0

    def hit(self, key: Key, messages: int) -> float:
        """Count messages against the key's limit, all of them or none.

        Returns:
            0 if they may be scored, otherwise the seconds until they might be; infinity if never.
        """
        if key.per_minute is not None and messages > key.per_minute:
            return math.inf
        return self._count(key, messages, partly=False)[1]

    def take(self, key: Key, messages: int) -> tuple[int, float]:
        """Count as many of some messages as the key's limit lets through.

        Returns:
            How many may be scored, and the seconds until the next might be, or 0 if all may.
        """
        return self._count(key, messages, partly=True)

    def _count(self, key: Key, messages: int, partly: bool) -> tuple[int, float]:
        if key.per_minute is None or not messages:
            return messages, 0.0
        if time.monotonic() >= self._again:
            try:
                return _count(self._shared, key.id, key.per_minute, messages, partly)
            except StorageError as error:
                self._again = time.monotonic() + _LEFT_ALONE_S
                self._failed()
                cause = error.__cause__ or error
                logger.error("rate limits are counted by each process", extra={"fields": {"error": place(cause)}})
        return _count(self._own, key.id, key.per_minute, messages, partly)


def _count(
    limiter: SlidingWindowCounterRateLimiter, key_id: str, limit: int, messages: int, partly: bool
) -> tuple[int, float]:
    """How many of the messages were counted, and the seconds until there is room for what was not."""
    item = RateLimitItemPerMinute(limit)
    if limiter.hit(item, key_id, cost=messages):
        return messages, 0.0
    storage, expiry = limiter.storage, item.get_expiry()
    assert isinstance(storage, SlidingWindowCounterSupport)
    previous, previous_left, current, current_left = storage.get_sliding_window(item.key_for(key_id), expiry)
    taken = 0
    if partly:
        room = min(messages, limit - current - math.floor(previous * previous_left / expiry))
        taken = room if room > 0 and limiter.hit(item, key_id, cost=room) else 0
    wanted = 1 if partly else messages
    windows = (previous, previous_left, current + taken, current_left)
    # At least a second: 0 means that all were let through.
    return taken, max(1.0, seconds_until_room(*windows, expiry=expiry, room=limit - wanted))


def seconds_until_room(
    previous: int, previous_left: float, current: int, current_left: float, *, expiry: int, room: int
) -> float:
    """When a sliding window will have let go of enough.

    Args:
        previous: count of the previous window.
        previous_left: seconds for which it still weighs.
        current: count of the current window.
        current_left: seconds until that weighs nothing more: to its end, and `expiry` again.
        expiry: seconds a window.
        room: what the windows may weigh, together and rounded down.

    Returns:
        Seconds from now if nothing else is counted meanwhile.
    """
    if current <= room:
        if not previous:
            return 0.0
        return max(0.0, previous_left - expiry * (room + 1 - current) / previous)
    # Not before the current window has become the previous one, and then weighs less and less.
    return current_left - expiry * (room + 1) / current
