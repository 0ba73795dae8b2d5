"""API keys: what one is, how it is made, and how a caller's is told from a wrong one."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from forewarn.inference.errors import ForewarnError

# What a key may be allowed: scoring, the metrics, and to change the model.
SCOPES = ("score", "metrics", "admin")
MAX_NAME_CHARACTERS = 64
STORE_TIMEOUT_S = 2.0  # for any store to connect, and to answer

_TOKEN = re.compile(r"fw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
# Stands in for the hash of a key that does not exist, so that an unknown ID takes the time of a wrong secret.
_NOBODY = hashlib.sha256(secrets.token_bytes(32)).hexdigest()


class StoreError(ForewarnError):
    """The store of keys cannot be used; one line with where it is and what to do, never its password."""


@dataclass(frozen=True)
class Key:
    """A key as it is stored. The secret itself is not: only whoever asked for the key has it.

    Attributes:
        id: what `forewarn keys revoke` takes.
        name: whose it is, for the person who reads the list.
        secret_sha256: hash of the secret, in hexadecimal.
        scopes: what it may be used for, out of SCOPES.
        per_minute: messages that may be sent a minute; None is no limit.
        created: time in UTC, as ISO 8601.
        revoked: since when it no longer works; None is a key that does.
    """

    id: str
    name: str
    secret_sha256: str
    scopes: tuple[str, ...]
    per_minute: int | None
    created: str
    revoked: str | None = None


def now() -> str:
    """The time in UTC to the second, as keys hold it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_key(name: str, scopes: Sequence[str] = ("score",), per_minute: int | None = None) -> tuple[Key, str]:
    """Make a key.

    Args:
        name: whose it is.
        scopes: what it may be used for.
        per_minute: messages a minute; None is no limit.

    Returns:
        What to store, and the text for the caller, which cannot be had again.

    Raises:
        ForewarnError: the name, a scope or the limit cannot be.
    """
    if not name.isprintable() or not 0 < len(name) <= MAX_NAME_CHARACTERS:
        raise ForewarnError(f"a key's name must be 1 to {MAX_NAME_CHARACTERS} printable characters")
    if not scopes or not set(scopes) <= set(SCOPES):
        raise ForewarnError(f"a key's scopes must be of {', '.join(SCOPES)}")
    if per_minute is not None and not 0 < per_minute < 2**31:
        raise ForewarnError("messages a minute must be at least 1 and below two billion; leave it out for no limit")
    id_, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    chosen = tuple(scope for scope in SCOPES if scope in scopes)
    return Key(id_, name, _sha256(secret), chosen, per_minute, now()), f"fw_{id_}_{secret}"


class Keyring:
    """All keys as they were when last read, by ID."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.id: key for key in keys}

    def find(self, token: str) -> Key | None:
        """The key that `token` is, or None if there is no such key, its secret is wrong or it was revoked."""
        parts = _TOKEN.fullmatch(token)
        if not parts:
            return None
        key = self._keys.get(parts[1])
        right = hmac.compare_digest(_sha256(parts[2]), key.secret_sha256 if key else _NOBODY)
        return key if key and right and not key.revoked else None

    def knows(self, token: str) -> bool:
        """Whether a key has the ID that `token` names, whatever its secret."""
        parts = _TOKEN.fullmatch(token)
        return bool(parts and parts[1] in self._keys)

    def works(self, key: Key) -> bool:
        """Whether a key that was found earlier is still there and not revoked."""
        found = self._keys.get(key.id)
        return bool(found and found.secret_sha256 == key.secret_sha256 and not found.revoked)


def _sha256(secret: str) -> str:
    # A fast hash is right here: a secret of 256 random bits cannot be guessed, however fast the guesses.
    return hashlib.sha256(secret.encode("ascii")).hexdigest()
