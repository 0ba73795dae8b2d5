"""The training row that every source yields and every later step reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Row:
    """One labelled message.

    `label` is a leaf or a coarse label (see `forewarn.inference.labels`), `language` a BCP 47 tag, `channel` sms, chat
    or call, `origin` real, written, synthetic or translated, `source` the data card's name, `group` the template or
    near-duplicate cluster ("" until known), `line` where it stood ("path:line") for reports, `region` the country that
    fills a script's slots ("" for rows without slots).
    """

    text: str
    label: str
    language: str
    channel: str
    origin: str
    source: str
    group: str = ""
    line: str = ""
    region: str = ""


@dataclass(slots=True)
class Rejected:
    """A record that gave no row: where it stood and why. Never its text."""

    source: str
    line: str
    reason: str


@dataclass(slots=True)
class Loaded:
    """What a source gave: rows, and the records that could not become one."""

    rows: list[Row] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def numbered_lines(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """Lines of a text file with their 1-based numbers, without line ends."""
    with path.open(encoding=encoding, newline=None) as handle:
        yield from enumerate((line.rstrip("\n") for line in handle), start=1)
