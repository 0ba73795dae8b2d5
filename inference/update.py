"""Bringing an installed bundle to another version: what changed is fetched, and nothing replaced before it fits.

A release folder, which any web server can hand out, is made by `forewarn bundle pack`:

    index.json                  versions, and for each file of a version what to fetch
    objects/SHA256.z            a file, deflated (zlib), under the checksum of its content
    deltas/OLD-NEW.z            the byte-wise difference of two files, deflated
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from forewarn.inference.bundle import MANIFEST, MAX_FILE_BYTES, Bundle
from forewarn.inference.errors import BundleError, ForewarnError

INDEX = "index.json"
INDEX_FORMAT = 1
_PREVIOUS = ".previous"
_TIMEOUT_S = 60
_SHA256 = re.compile("[0-9a-f]{64}")
_DELTA = re.compile("deltas/[0-9a-f]+-[0-9a-f]+[.]z")

Fetch = Callable[[str], bytes]


@dataclass(frozen=True)
class Updated:
    """What an update did: versions before ("" for none) and after, and bytes fetched of how many there are."""

    before: str
    after: str
    fetched: int
    size: int


def difference(old: bytes, new: bytes) -> bytes:
    """What `apply_difference` needs to make `new` of `old`, deflated.

    Byte by byte, as weights that were trained on from the same start differ little where they differ at all.
    """
    base = np.frombuffer(old[: len(new)].ljust(len(new), b"\0"), np.uint8)
    return zlib.compress((np.frombuffer(new, np.uint8) - base).tobytes(), 9)


def apply_difference(old: bytes, packed: bytes, size: int) -> bytes:
    """The new content, of `size` bytes; its checksum is for the caller to check.

    Raises:
        BundleError: `packed` is not a difference of that size.
    """
    change = np.frombuffer(inflate(packed, size), np.uint8)
    base = np.frombuffer(old[:size].ljust(size, b"\0"), np.uint8)
    return (base + change).tobytes()


def inflate(packed: bytes, size: int) -> bytes:
    """Undo `zlib.compress` of exactly `size` bytes.

    Raises:
        BundleError: it is something else, or longer (so that no download can fill the memory).
    """
    if not 0 <= size <= MAX_FILE_BYTES:
        raise BundleError(f"the release names a file of {size} bytes, which is none of ours; use another release")
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(packed, size + 1)
    except zlib.error:
        content = b""
    if len(content) != size or not inflater.eof:
        raise BundleError("a downloaded file is damaged; nothing was replaced, try again")
    return content


def source(location: str) -> Fetch:
    """Reads paths of a release folder, which is a folder here or an http(s) address."""
    if location.startswith(("http://", "https://")):

        def download(name: str) -> bytes:
            try:
                with urllib.request.urlopen(f"{location.rstrip('/')}/{name}", timeout=_TIMEOUT_S) as answer:
                    content = bytes(answer.read(MAX_FILE_BYTES))
            except (OSError, urllib.error.URLError) as error:
                reason = getattr(error, "code", None) or getattr(error, "reason", None) or type(error).__name__
                raise ForewarnError(f"{name} cannot be fetched ({reason}); nothing was replaced, try again") from None
            return content

        return download

    def read(name: str) -> bytes:
        try:
            return (Path(location) / name).read_bytes()
        except OSError as error:
            raise ForewarnError(f"{location}/{name}: cannot be read ({error.strerror}); is this a release?") from None

    return read


def read_index(fetch: Fetch) -> dict[str, Any]:
    """The release's index, its shape checked.

    Raises:
        BundleError: it is none, or of another format.
    """
    try:
        index = json.loads(fetch(INDEX))
        if index["format"] != INDEX_FORMAT:
            raise BundleError(
                f"{INDEX} has format {index['format']!r}, this version reads {INDEX_FORMAT}; upgrade forewarn"
            )
        for entry in index["versions"].values():
            for file in entry["files"].values():
                paths = [delta["path"] for delta in file["deltas"].values()]
                if not all(map(_DELTA.fullmatch, paths)) or not _SHA256.fullmatch(file["sha256"]):
                    raise ValueError
                int(file["bytes"])
        index["versions"][index["latest"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BundleError(f"{INDEX} is not a release's index; make it with `forewarn bundle pack`") from None
    return dict(index)


def update(installed: Path, fetch: Fetch, version: str | None = None, public_key: str | None = None) -> Updated:
    """Bring `installed` to a version; the one that was there is kept beside it for `rollback`.

    Args:
        installed: a bundle folder, or one that is not there yet.
        fetch: reads a path of the release; see `source`.
        version: as in "2026.11.2"; None is the latest.
        public_key: the key that must have signed the new version; None asks for no signature.

    Raises:
        ForewarnError: the version is unknown, or something cannot be fetched.
        BundleError: what came is damaged or not signed with the key. `installed` is untouched then.
    """
    if installed.exists() and not (installed / MANIFEST).is_file():
        raise ForewarnError(f"{installed}: exists and is not a bundle; choose another folder")
    index = read_index(fetch)
    name = version or index["latest"]
    if name not in index["versions"]:
        raise ForewarnError(f"the release has no version {name}; it has {', '.join(index['versions'])}")
    files = index["versions"][name]["files"]
    unsafe = [x for x in files if x in ("", ".", "..") or set(x) & set("/\\:\0")]
    if unsafe or MANIFEST not in files:
        raise BundleError(f"{INDEX} names files that no bundle has; use another release")
    # Our own copies, by what they hold: a file may have another name in the other version.
    local = {hashlib.sha256(data).hexdigest(): data for data in _contents(installed)}
    before = _version(installed)
    installed.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{installed.name}.", dir=installed.parent))
    fetched = 0
    try:
        staged = work / "bundle"
        staged.mkdir()
        for file, entry in files.items():
            content, cost = _bring(entry, local, fetch)
            fetched += cost
            (staged / file).write_bytes(content)
        found = Bundle.open(staged, public_key).manifest["version"]
        if found != name:
            raise BundleError(f"the release calls version {found} {name}; use another release")
        # The same bundle again would push the real previous version out.
        if sorted(local) != sorted({str(entry["sha256"]) for entry in files.values()}):
            _swap(staged, installed)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Updated(before, name, fetched, sum(int(entry["bytes"]) for entry in files.values()))


def rollback(installed: Path) -> str:
    """Put the version back that the last update replaced; gives its name. What was there becomes the previous one.

    Raises:
        ForewarnError: there is none.
        BundleError: it is damaged; nothing is changed then.
    """
    previous = installed.with_name(installed.name + _PREVIOUS)
    if not previous.is_dir():
        raise ForewarnError(f"{previous}: no previous version is kept beside {installed}; use `forewarn bundle update`")
    version = str(Bundle.open(previous).manifest["version"])
    work = Path(tempfile.mkdtemp(prefix=f".{installed.name}.", dir=installed.parent))
    try:
        previous.rename(work / "bundle")
        _swap(work / "bundle", installed)
    finally:
        if (work / "bundle").exists():
            (work / "bundle").rename(previous)
        shutil.rmtree(work, ignore_errors=True)
    return version


def _bring(entry: dict[str, Any], local: dict[str, bytes], fetch: Fetch) -> tuple[bytes, int]:
    """A file's content and the bytes that it cost: from our own copy, by a difference to one, or whole."""
    wanted, size = str(entry["sha256"]), int(entry["bytes"])
    if wanted in local:
        return local[wanted], 0
    for old, delta in entry["deltas"].items():
        if old not in local:
            continue
        packed = fetch(str(delta["path"]))
        with contextlib.suppress(BundleError):  # a damaged difference is no reason to give up
            content = apply_difference(local[old], packed, size)
            if hashlib.sha256(content).hexdigest() == wanted:
                return content, len(packed)
    packed = fetch(f"objects/{wanted}.z")
    content = inflate(packed, size)
    if hashlib.sha256(content).hexdigest() != wanted:
        raise BundleError("a downloaded file is damaged (its sha256 differs); nothing was replaced, try again")
    return content, len(packed)


def _contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()] if folder.is_dir() else []


def _version(folder: Path) -> str:
    try:
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _swap(staged: Path, installed: Path) -> None:
    """Put `staged` in the place of `installed`, which becomes the previous version."""
    previous = installed.with_name(installed.name + _PREVIOUS)
    if installed.exists():
        shutil.rmtree(previous, ignore_errors=True)
        installed.rename(previous)
    try:
        staged.rename(installed)
    except OSError:
        if previous.exists() and not installed.exists():
            previous.rename(installed)
        raise
