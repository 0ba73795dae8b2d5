"""The parts of a long SMS message, put together again in bounded memory (3GPP TS 23.040, 9.2.3.24.1).

Nothing in here knows of HTTP or of the event loop, and the clock is whoever's makes the buffer.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

# What the tables take beside the text: measured, and held by a test.
MESSAGE_BYTES = 600
PART_BYTES = 130


class Part(NamedTuple):
    """A part of a message, and what tells the message from others.

    Attributes:
        owner: who gave it: parts of two callers are never put together.
        sender: of the message.
        recipient: of the message, or "" where that is not told.
        reference: the number that the parts of one message share.
        number: its place, from 1.
        parts: how many there are.
        text: its text, which may end in the midst of a surrogate pair.
    """

    owner: str
    sender: str
    recipient: str
    reference: int
    number: int
    parts: int
    text: str


class State(NamedTuple):
    """How far a message is after a part of it came.

    Attributes:
        seen: how many of its parts are there.
        text: the whole, once all of them are.
        new: whether the part was not there before.
    """

    seen: int
    text: str | None
    new: bool


class Report(NamedTuple):
    """What became of messages since the last report, and the memory in use.

    Attributes:
        joined: messages that became whole.
        lost: messages that never became whole, by the reason why they were dropped: `expired` when their time was over,
            `evicted` to make room, `replaced` by another message with the same reference.
        size_bytes: memory in use.
    """

    joined: int
    lost: dict[str, int]
    size_bytes: int


@dataclass(slots=True)
class _Message:
    """Parts by their number, as UTF-16: put together, that also mends a character that was cut in two."""

    since: float
    of: int
    parts: dict[int, bytearray] = field(default_factory=dict)
    again: int = 0  # a bit for each part that came more than once

    @property
    def whole(self) -> bool:
        return len(self.parts) == self.of

    @property
    def size_bytes(self) -> int:
        return MESSAGE_BYTES + sum(PART_BYTES + len(text) for text in self.parts.values())

    def text(self) -> str:
        return b"".join(self.parts[i] for i in sorted(self.parts)).decode("utf-16-le", "replace")


class PartBuffer:
    """Messages of which parts are missing, and for a while those that are whole.

    Whole ones stay because a part may be sent again whose answer was lost; where room is needed they go first. Senders
    and recipients are only in the keys, which are BLAKE2 hashes under a random key of this object. May be used from
    several threads.
    """

    def __init__(
        self, max_bytes: int, max_messages: int, wait_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Set up.

        Args:
            max_bytes: memory for all texts, and for the tables that hold them.
            max_messages: messages at a time.
            wait_s: how long a message may stay after its first part came.
            clock: seconds from any start.
        """
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._wait_s = wait_s
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._messages: OrderedDict[bytes, _Message] = OrderedDict()  # the oldest first
        self._whole: OrderedDict[bytes, None] = OrderedDict()
        self._size_bytes = 0
        self._joined = 0
        self._lost: Counter[str] = Counter()
        self._lock = Lock()

    def __len__(self) -> int:
        """Messages held."""
        return len(self._messages)

    @property
    def size_bytes(self) -> int:
        """Memory in use, never more than was allowed."""
        return self._size_bytes

    def add(self, parts: Sequence[Part]) -> list[State]:
        """Take parts, in any order and as often as they come.

        A part that is there already changes nothing. One with another text in its place belongs to another message,
        whose sender has come round to the same reference: the one before it is given up.

        Returns:
            For each part how far its message is when all of them are taken.
        """
        with self._lock:
            self._expire()
            taken: list[tuple[_Message, bool]] = []
            texts: dict[int, str] = {}
            for part in parts:
                message, new = self._take(part)
                taken.append((message, new))
                if message.whole and id(message) not in texts:
                    # Now: what comes after it may need its room.
                    texts[id(message)] = message.text()
            return [
                State(message.of if id(message) in texts else len(message.parts), texts.get(id(message)), new)
                for message, new in taken
            ]

    def remove(self, parts: Sequence[Part]) -> None:
        """Forget parts that were just added, for a caller whose request failed as a whole.

        One that came once more meanwhile stays: somebody else was told that it is there.
        """
        with self._lock:
            for part in parts:
                key = self._key(part)
                message = self._messages.get(key)
                if not message or message.again >> part.number & 1:
                    continue
                if message.parts.get(part.number) == _encoded(part.text):
                    self._size_bytes -= message.size_bytes
                    _wipe(message.parts.pop(part.number))
                    self._whole.pop(key, None)
                    if message.parts:
                        self._size_bytes += message.size_bytes
                    else:
                        del self._messages[key]

    def report(self) -> Report:
        """Drop what has waited too long, and tell what became of messages since the last report."""
        with self._lock:
            self._expire()
            report = Report(self._joined, dict(self._lost), self._size_bytes)
            self._joined = 0
            self._lost.clear()
            return report

    def _take(self, part: Part) -> tuple[_Message, bool]:
        key, text = self._key(part), _encoded(part.text)
        message = self._messages.get(key)
        if message and part.number in message.parts:
            if message.parts[part.number] == text:
                message.again |= 1 << part.number
                return message, False
            self._drop(key, "replaced")
            message = None
        if message is None:
            message = self._messages[key] = _Message(self._clock(), part.parts)
            self._size_bytes += message.size_bytes
        message.parts[part.number] = text
        self._size_bytes += PART_BYTES + len(text)
        self._make_room(key)
        if message.whole:
            self._whole[key] = None
            self._joined += 1
        return message, True

    def _make_room(self, newest: bytes) -> None:
        while self._size_bytes > self._max_bytes or len(self._messages) > self._max_messages:
            others = (key for kind in (self._whole, self._messages) for key in kind if key != newest)
            self._drop(next(others, newest), "evicted")

    def _expire(self) -> None:
        over = self._clock() - self._wait_s
        while self._messages:
            key, oldest = next(iter(self._messages.items()))
            if oldest.since > over:
                break
            self._drop(key, "expired")

    def _drop(self, key: bytes, why: str) -> None:
        message = self._messages.pop(key)
        self._size_bytes -= message.size_bytes
        if not message.whole:
            self._lost[why] += 1
        self._whole.pop(key, None)
        for text in message.parts.values():
            _wipe(text)
        message.parts.clear()

    def _key(self, part: Part) -> bytes:
        named = repr((part.owner, part.sender, part.recipient, part.reference, part.parts))
        return hashlib.blake2b(named.encode("utf-8"), digest_size=16, key=self._secret).digest()


def _encoded(text: str) -> bytearray:
    return bytearray(text.encode("utf-16-le", "surrogatepass"))


def _wipe(text: bytearray) -> None:
    text[:] = bytes(len(text))
