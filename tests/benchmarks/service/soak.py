"""A steady load for a long time: memory must not grow, and nothing may be lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import uvloop
from benchmarks.service.bench import Bench, Row
from benchmarks.service.forewarn_server import forewarn
from benchmarks.service.load import Tally, describe, open_loop
from benchmarks.service.servers import Server, on_cores

_LOAD, _GROWTH_BAR = 0.5, 5.0
_FROM_S = 120.0
_SAMPLES = 240
# Small enough to be full when the comparison begins: filling a cache is no leak.
_CACHE_BYTES = 4 * 2**20


def soak(bench: Bench, minutes: float, picture: Path) -> list[Row]:
    """Half of the peak for some minutes; the memory of all processes is drawn in `picture`."""
    seconds = 60 * minutes
    given = {"FOREWARN_CACHE_BYTES": str(_CACHE_BYTES)}
    with (
        forewarn(bench.bundle, bench.cores, bench.folder, "soak", environment=given) as service,
        on_cores(bench.cores.load),
    ):
        tally, samples = uvloop.run(_soaked(bench, service, seconds))
    since = min(_FROM_S, seconds / 3)  # of a short try, the last two thirds
    start = next(mib for at, mib in samples if at >= since)
    growth = 100 * (samples[-1][1] / start - 1)
    draw(samples, since, picture)
    bench.notes.append(
        f"The soak ran with a cache of {_CACHE_BYTES // 2**20} MiB, which is full before minute 2; see {picture.name}."
    )
    times = tally.percentiles()
    lost = tally.failures + tally.statuses[429] + tally.unsent
    return [
        Row(
            f"{minutes:g} minutes at {_LOAD:.0%} of the peak: resident memory, minute {since / 60:.1f} and end",
            f"{start:.0f} / {samples[-1][1]:.0f} MiB",
            f"{growth:+.1f} %; {lost} of {tally.due:,} requests lost; p99 {times['p99']:.0f} ms",
            f"growth of at most {_GROWTH_BAR:.0f} %, none lost",
            growth <= _GROWTH_BAR and not lost,
            {"growth_per_cent": growth, "samples": samples, **times, **tally.counts(), "other": describe(tally)},
        )
    ]


async def _soaked(bench: Bench, service: Server, seconds: float) -> tuple[Tally, list[tuple[float, float]]]:
    samples: list[tuple[float, float]] = []
    begun = time.perf_counter()

    async def watch() -> None:
        while True:
            samples.append((time.perf_counter() - begun, service.resident_bytes() / 2**20))
            await asyncio.sleep(seconds / _SAMPLES)

    watching = asyncio.create_task(watch())
    tally = await open_loop(service.port, bench.requests(service), seconds, _LOAD * bench.peak)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    return tally, samples


def draw(samples: list[tuple[float, float]], since: float, picture: Path) -> None:
    """Memory over time as a small PNG; a line stands where the comparison begins."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3), dpi=100)
    axes.plot([at / 60 for at, _ in samples], [mib for _, mib in samples], linewidth=1.2)
    axes.axvline(since / 60, color="grey", linestyle=":", linewidth=1)
    axes.set(xlabel="minutes", ylabel="resident MiB, all processes", ylim=(0, None))
    figure.tight_layout()
    figure.savefig(picture)
    pyplot.close(figure)
