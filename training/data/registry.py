"""The data cards and their files: where a source lies, and how its bytes are fetched and checked."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from forewarn.inference.errors import ForewarnError
from forewarn.training.data.rows import Loaded

DEFAULT_MIRROR = Path("../shared/corpora/labelled")
DEFAULT_CACHE = Path("build/sources")


@dataclass(frozen=True)
class SourceFile:
    """One file of a source: its path in the source's repository, size in bytes and sha256."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """A data set, as its card's `source.json` states it; our own have no repository and no file list."""

    name: str
    repository: str
    commit: str
    licence: str
    share_alike: bool
    languages: tuple[str, ...]
    origin: str
    mask_personal_data: bool
    files: tuple[SourceFile, ...]

    @property
    def ours(self) -> bool:
        """Whether the rows lie in the card's own folder."""
        return not self.repository

    @property
    def folder(self) -> str:
        """The folder name in a mirror: OWNER+NAME@COMMIT (12 digits)."""
        return f"{self.repository.replace('/', '+')}@{self.commit[:12]}"

    @property
    def bytes(self) -> int:
        """The size of its files; of our own, as they lie there now."""
        if self.ours:
            return sum(path.stat().st_size for path in fetch(self).values())
        return sum(file.bytes for file in self.files)

    def url(self, file: SourceFile) -> str:
        """The public address of one file at the pinned commit."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{file.path}"

    def load(self, paths: dict[str, Path]) -> Loaded:
        """Parse the files (source path -> local path) with this source's loader.

        Raises:
            ForewarnError: the files cannot be parsed at all; names the source.
        """
        loader = importlib.import_module(f"forewarn.training.data.sources.{self.name}")
        try:
            return loader.load(paths)
        except (OSError, UnicodeError, ValueError, KeyError) as error:
            # The exception's own text may quote a message, so only its type is passed on.
            raise ForewarnError(
                f"source {self.name}: cannot be parsed ({type(error).__name__}); --skip {self.name} leaves it out"
            ) from None


def all_sources() -> list[Source]:
    """Every source with a `source.json`, by name."""
    found = []
    for card in sorted(Path(str(files("forewarn.data_cards"))).iterdir()):
        manifest = card / "source.json"
        if manifest.is_file():
            data: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
            data["files"] = tuple(SourceFile(**item) for item in data["files"])
            data["languages"] = tuple(data["languages"])
            found.append(Source(**data))
    return found


def select(names: list[str], skip: list[str]) -> list[Source]:
    """The named sources (all when none is named), less the skipped ones.

    Raises:
        ForewarnError: a name is unknown, or nothing is left.
    """
    sources = all_sources()
    unknown = (set(names) | set(skip)) - {s.name for s in sources}
    if unknown:
        raise ForewarnError(f"unknown source {', '.join(sorted(unknown))}; `forewarn data list` names them")
    chosen = [s for s in sources if (not names or s.name in names) and s.name not in skip]
    if not chosen:
        raise ForewarnError("--skip leaves out every source that is named; leave one")
    return chosen


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def mirror_folder() -> Path | None:
    """The mirror to read public files from: FOREWARN_MIRROR, else the default one where it exists."""
    configured = os.environ.get("FOREWARN_MIRROR")
    if configured:
        return Path(configured)
    return DEFAULT_MIRROR if DEFAULT_MIRROR.is_dir() else None


def fetch(
    source: Source, cache: Path = DEFAULT_CACHE, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Path]:
    """Local, checksum-verified paths of a source's files: from the mirror, the cache, or downloaded into the cache.

    Raises:
        ForewarnError: a file is missing, cannot be downloaded, or has other bytes than the card says.
    """
    if source.ours:
        rows = Path(str(files("forewarn.data_cards"))) / source.name / "rows"
        return {path.name: path for path in sorted(rows.glob("*.jsonl"))}
    mirror = mirror_folder()
    paths = {}
    for file in source.files:
        path = cache / source.folder / file.path
        if mirror is not None:
            path = mirror / source.folder / file.path
            if not path.is_file():
                raise ForewarnError(
                    f"source {source.name}: {file.path} is not in the mirror {mirror}; "
                    f"--skip {source.name} leaves it out"
                )
        elif not path.is_file():
            progress(f"{source.name}: downloading {file.path} ({file.bytes:,} bytes)")
            _download(source, file, path)
        if sha256_of(path) != file.sha256:
            raise ForewarnError(
                f"source {source.name}: {file.path} does not match its sha256; fetch it again, "
                f"or --skip {source.name} leaves it out"
            )
        paths[file.path] = path
    return paths


def _download(source: Source, file: SourceFile, path: Path) -> None:
    import httpx

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with httpx.stream("GET", source.url(file), follow_redirects=True, timeout=60) as response:
            response.raise_for_status()
            with part.open("wb") as handle:
                for chunk in response.iter_bytes():
                    handle.write(chunk)
    except httpx.HTTPError as error:
        raise ForewarnError(
            f"source {source.name}: {file.path} cannot be downloaded ({type(error).__name__}); "
            f"try again, set FOREWARN_MIRROR, or --skip {source.name}"
        ) from None
    shutil.move(part, path)
