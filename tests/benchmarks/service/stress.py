"""Times under a steady load, and what happens at three times the load that the service can take."""

from __future__ import annotations

import asyncio
import contextlib
import resource

import uvloop
from benchmarks.service.bench import Bench, Row, whole
from benchmarks.service.forewarn_server import forewarn
from benchmarks.service.load import Tally, describe, open_loop
from benchmarks.service.rivals.environments import granian
from benchmarks.service.servers import Server, ServerFailed, on_cores

_LOAD, _P99_BAR_MS = 0.7, 50.0
_OVERLOAD, _GOODPUT_BAR = 3.0, 0.9
# The service refuses when 2,048 messages wait: it takes more connections than that, a message each, to get there.
_OVERLOAD_CONNECTIONS = 4096
_SAMPLE_S = 0.25


def latency(bench: Bench) -> list[Row]:
    """p50, p95 and p99 of single messages at 70 % of the peak, from when each was due."""
    rate = _LOAD * bench.peak
    warm = bench.lengths.latency / 10
    with forewarn(bench.bundle, bench.cores, bench.folder) as service, on_cores(bench.cores.load):
        requests = bench.requests(service)
        tally = uvloop.run(open_loop(service.port, requests, bench.lengths.latency + warm, rate))
    times = tally.percentiles(since_s=warm)
    what = f"time of single messages at {_LOAD:.0%} of the peak ({whole(rate)}/s): p50, p95, p99"
    figure = " / ".join(f"{times[name]:.1f}" for name in ("p50", "p95", "p99")) + " ms"
    values = {**times, "rate": rate, **tally.counts()}
    met = times["p99"] < _P99_BAR_MS and not tally.failures and set(tally.statuses) == {200}
    other = "" if set(tally.statuses) == {200} and not tally.failures else describe(tally)
    return [Row(what, figure, other, f"p99 under {_P99_BAR_MS:.0f} ms, all answered", met, values)]


def overload(bench: Bench) -> list[Row]:
    """Three times the peak: how many are still answered, how the others are refused, and what it costs in memory.

    The same of the application under granian, where that can be installed.
    """
    allow_connections(_OVERLOAD_CONNECTIONS)
    with forewarn(bench.bundle, bench.cores, bench.folder) as service:
        rows = _overload_rows(bench, service)
    try:
        with granian(bench.bundle, bench.cores, bench.folder) as rival:
            beside = _overload_rows(bench, rival)
    except ServerFailed as error:
        bench.notes.append(f"{error} (so it has no row).")
        return rows
    return rows + [Row(f"{rival.name}: {row.what}", row.figure, row.ratio, values=row.values) for row in beside]


def _overload_rows(bench: Bench, service: Server) -> list[Row]:
    rate = _OVERLOAD * bench.peak
    with on_cores(bench.cores.load):
        before = service.resident_bytes()
        tally, most = uvloop.run(_overloaded(bench, service, rate))
        after = service.resident_bytes()
    share = tally.rate / bench.peak
    refused, failed = tally.statuses[429], tally.failures
    name = f"{_OVERLOAD:.0f} times the peak ({whole(rate)}/s) for {bench.lengths.overload:.0f} s"
    mib = [x / 2**20 for x in (before, most, after)]
    return [
        Row(
            f"{name}: answers 200",
            f"{whole(tally.rate)} messages/s",
            f"{share:.2f} of the peak",
            f"at least {_GOODPUT_BAR}",
            share >= _GOODPUT_BAR,
            {"share_of_peak": share, "rate": rate, **tally.counts()},
        ),
        Row(
            f"{name}: all other answers",
            f"{whole(refused)} clean 429, {failed} others",
            f"{whole(tally.unsent)} never sent: no connection was free" if tally.unsent else "",
            "nothing but 429 with Retry-After",
            failed == 0 and refused > 0,
            {"other": describe(tally)},
        ),
        Row(
            f"{name}: resident memory before, at most, after",
            " / ".join(f"{x:.0f}" for x in mib) + " MiB",
            values={"mib": mib},
        ),
    ]


async def _overloaded(bench: Bench, service: Server, rate: float) -> tuple[Tally, int]:
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, service.resident_bytes())
            await asyncio.sleep(_SAMPLE_S)

    watching = asyncio.create_task(watch())
    requests = bench.requests(service)
    tally = await open_loop(service.port, requests, bench.lengths.overload, rate, _OVERLOAD_CONNECTIONS)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    return tally, most


def allow_connections(number: int) -> None:
    """Raise this process's limit of open files, and with it that of the servers that it starts.

    Raises:
        SystemExit: the system does not allow so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number + 1024
    if soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"bench-service: needs {wanted} open files, the limit is {hard}; raise it (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
