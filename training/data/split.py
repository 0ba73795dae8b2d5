"""Train, validation and test by group, never by row."""

from __future__ import annotations

import hashlib

from forewarn.training.data.rows import Row

SPLITS = ("train", "validation", "test")


def split_of(group: str, seed: int, validation: float = 0.1, test: float = 0.2) -> str:
    """The split of a group: a hash of the seed and the group's id, whatever other groups there are."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < test:
        return "test"
    return "validation" if position < test + validation else "train"


def split_rows(rows: list[Row], seed: int, fixed: dict[str, str] | None = None) -> dict[str, list[Row]]:
    """Rows by split, where `fixed` gives some groups their split. Rows of one group are never on two sides."""
    splits: dict[str, list[Row]] = {name: [] for name in SPLITS}
    for row in rows:
        splits[(fixed or {}).get(row.group) or split_of(row.group, seed)].append(row)
    return splits
