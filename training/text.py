"""Public text in many languages (one sentence a line, `mono/LANG.txt.xz`), for the tokenizer and the embeddings."""

from __future__ import annotations

import json
import lzma
import math
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from forewarn.inference.errors import ForewarnError

T = TypeVar("T")

DEFAULT_FOLDER = "../shared/corpora/text"


def text_folder(configured: str | Path | None) -> Path:
    """The folder of public text: the config's, FOREWARN_TEXT, or the default one; it may be missing."""
    return Path(configured or os.environ.get("FOREWARN_TEXT") or DEFAULT_FOLDER)


def require_text(folder: Path, instead: str) -> None:
    """Refuse to go on without public text; `instead` says what else could be done.

    Raises:
        ForewarnError: the folder holds none.
    """
    if not (folder / "mono").is_dir():
        raise ForewarnError(
            f"no public text at {folder}; set FOREWARN_TEXT to a folder of it (data_cards/public_text says what it "
            f"holds), or {instead}"
        )


def languages(folder: Path) -> list[str]:
    """The languages that a text folder holds.

    Raises:
        ForewarnError: the folder has no `mono/*.txt.xz`.
    """
    found = sorted(path.name.removesuffix(".txt.xz") for path in (folder / "mono").glob("*.txt.xz"))
    if not found:
        raise ForewarnError(f"no mono/*.txt.xz under {folder}; set FOREWARN_TEXT to the folder of public text")
    return found


def sentences(folder: Path, language: str, max_bytes: float = math.inf) -> Iterator[str]:
    """The first `max_bytes` (UTF-8) of one language's sentences; lines with unfilled `{}` slots are left out."""
    used = 0
    with lzma.open(folder / "mono" / f"{language}.txt.xz", "rt", encoding="utf-8") as handle:
        for line in handle:
            text = line.strip()
            if not text or "{}" in text:
                continue
            used += len(text.encode())
            if used > max_bytes:
                return
            yield text


def parallel_rows(folder: Path, rows_per_corpus: int | None = None) -> Iterator[dict[str, str]]:
    """Language to sentence, for the (first) rows of each parallel corpus; without lines that hold unfilled `{}`."""
    for path in sorted((folder / "parallel").glob("*.jsonl.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as handle:
            for line in islice(handle, rows_per_corpus):
                row = {key: value for key, value in json.loads(line).items() if key != "_id"}
                yield {key: value for key, value in row.items() if isinstance(value, str) and "{}" not in value}


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of up to `size` items, in order."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
