"""The built data folder: a Parquet file a split and `build.json` beside them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from forewarn.inference.errors import ForewarnError
from forewarn.training.data.rows import Row
from forewarn.training.scripts.corpus import NAME as SCRIPTS
from forewarn.training.scripts.slots import fill_row

COLUMNS = ("text", "label", "language", "channel", "origin", "source", "group", "line", "region")


def write_split(folder: Path, split: str, rows: list[Row]) -> None:
    """Write one split, through a temporary file so that a kill leaves no half of it."""
    table = pa.table({name: pa.array([getattr(row, name) for row in rows], pa.string()) for name in COLUMNS})
    part = folder / f"{split}.parquet.part"
    pq.write_table(table, part)
    part.replace(folder / f"{split}.parquet")


def read_split(folder: Path, split: str, keep_slots: bool = False) -> list[Row]:
    """The rows of one split.

    Slots of our own scripts are filled, the same way at every reading, unless `keep_slots`: training fills them itself.

    Raises:
        ForewarnError: the folder holds no such split.
    """
    path = folder / f"{split}.parquet"
    if not path.is_file() or not (folder / "build.json").is_file():
        raise ForewarnError(f"no {split}.parquet in {folder}; run `forewarn data build --out {folder}` first")
    rows = [Row(**record) for record in pq.read_table(path).to_pylist()]
    if split == "train" and not keep_slots:
        for row in rows:
            if row.source == SCRIPTS:
                row.text = fill_row(row, random.Random(row.text))
    return rows


def build_info(folder: Path) -> dict[str, Any]:
    """The content of `build.json`: fingerprint, sources, seed, counts and what was left out.

    Raises:
        ForewarnError: the folder was not built.
    """
    path = folder / "build.json"
    if not path.is_file():
        raise ForewarnError(f"no build.json in {folder}; run `forewarn data build --out {folder}` first")
    info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return info
