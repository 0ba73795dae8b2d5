"""Verdicts on texts seen before, for the campaign that sends one text a million times. Holds no text."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict

from forewarn.inference.classifier import Verdict

# A key, a verdict with its two floats, and a place in the table; measured, and held by a test.
ENTRY_BYTES = 512


class VerdictCache:
    """Least recently used verdicts, bounded in bytes.

    Keys are BLAKE2 hashes under a random key of this process: a memory dump tells nobody which texts were seen.
    Not for use from several threads.
    """

    def __init__(self, max_bytes: int) -> None:
        self._most = max_bytes // ENTRY_BYTES
        self._secret = secrets.token_bytes(32)
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether it can hold anything."""
        return self._most > 0

    @property
    def size_bytes(self) -> int:
        """Memory in use, at most what was allowed."""
        return len(self._verdicts) * ENTRY_BYTES

    def key(self, canonical: str) -> bytes:
        """The key of a text in the classifier's canonical form."""
        return hashlib.blake2b(canonical.encode("utf-8", "surrogatepass"), digest_size=16, key=self._secret).digest()

    def get(self, key: bytes) -> Verdict | None:
        """The verdict under a key, which is then the last to be dropped."""
        verdict = self._verdicts.get(key)
        if verdict is not None:
            self._verdicts.move_to_end(key)
        return verdict

    def put(self, key: bytes, verdict: Verdict) -> None:
        """Keep a verdict, and drop the one that was not asked for longest where there is no room."""
        self._verdicts[key] = verdict
        self._verdicts.move_to_end(key)
        while len(self._verdicts) > self._most:
            self._verdicts.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._verdicts.clear()
