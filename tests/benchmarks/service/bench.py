"""What every part of the benchmark is given, and the rows that it gives back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.service.messages import requests
from benchmarks.service.servers import Cores, Server

# Numbers set aside for each load, so that no message is sent twice.
_STRETCH = 1_000_000


@dataclass(frozen=True)
class Lengths:
    """How long each part takes, in seconds, and how often throughput is measured in turns."""

    seconds: float = 4.0
    warm: float = 0.5
    rounds: int = 3
    latency: float = 30.0
    overload: float = 20.0
    failure: float = 15.0


QUICK = Lengths(seconds=1.0, warm=0.2, rounds=1, latency=3.0, overload=3.0, failure=8.0)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        what: was measured.
        figure: with its unit.
        ratio: to something measured beside it.
        bar: that it is held against.
        met: whether it is, None without a bar.
        values: for the JSON.
    """

    what: str
    figure: str
    ratio: str = ""
    bar: str = ""
    met: bool | None = None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class Bench:
    """The setting of one run.

    Attributes:
        bundle: that the service runs; None is the one that is shipped.
        checkpoint: of the rivals that run PyTorch, None to leave them out.
        cores: for servers, and for the load generator.
        folder: for logs and what servers need.
        texts: to make messages from.
        lengths: of the parts.
        peak: messages a second that the service answers alone; 0 until it is measured.
        notes: for the end of the table.
    """

    bundle: Path | None
    checkpoint: Path | None
    cores: Cores
    folder: Path
    texts: Sequence[str]
    lengths: Lengths
    peak: float = 0.0
    notes: list[str] = field(default_factory=list)
    _loads: Iterator[int] = field(default_factory=itertools.count)

    def requests(self, server: Server, each: int = 1, campaign: bool = False) -> Iterator[bytes]:
        """Requests for a server, of messages that nobody was sent before (or of a campaign)."""
        return requests(server.dialect, self.texts, each, next(self._loads) * _STRETCH, campaign)


def whole(number: float) -> str:
    """1,234."""
    return f"{number:,.0f}"
