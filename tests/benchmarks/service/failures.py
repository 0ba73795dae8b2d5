"""A worker that is killed, and a model that is exchanged, while requests come."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

import psutil
import uvloop
from benchmarks.service.bench import Bench, Row, whole
from benchmarks.service.forewarn_server import OTHER_VERSION, another_version, forewarn
from benchmarks.service.load import BIN_S, Tally, describe, open_loop
from benchmarks.service.servers import Server, ask, on_cores

_LOAD = 0.5
_CONNECTIONS = 64
_WORKERS = 2
_ADMIN = "/v1/admin/model"
_POLL_S = 0.05
_BACK_S = 60.0


def killed_worker(bench: Bench) -> list[Row]:
    """SIGKILL to one of two workers at half of the peak: what is lost, and when there are two again."""
    with (
        forewarn(bench.bundle, bench.cores, bench.folder, "two workers", workers=_WORKERS) as service,
        on_cores(bench.cores.load),
    ):
        tally, killed = uvloop.run(_with_kill(bench, service))
    own = [port for port in tally.broken_ports if port in killed.ports]
    others = tally.failures - len(own)
    # A worker holds no more than the requests on its connections; those are lost with it.
    longest = _longest_gap(tally, killed.at_s)
    times = tally.percentiles(since_s=killed.at_s)
    back = f"{killed.back_s:.1f} s" if killed.back_s is not None else f"not within {_BACK_S:.0f} s"
    name = f"SIGKILL of one of two workers at {_LOAD:.0%} of the peak"
    return [
        Row(
            f"{name}: requests lost",
            f"{len(own)} in the killed worker, {others} elsewhere",
            f"of {whole(tally.due)}",
            "none elsewhere",
            others == 0 and set(tally.statuses) == {200},
            {"on_its_connections": len(killed.ports), **tally.counts(), "other": describe(tally)},
        ),
        Row(
            f"{name}: until two serve again",
            back,
            f"meanwhile p99 {times['p99']:.0f} ms, at most {longest:.1f} s without an answer",
            values={"seconds": killed.back_s, "longest_gap_seconds": longest, **times},
        ),
    ]


@dataclass
class _Killed:
    """The client's ports of the killed worker's connections, when it was killed, and until it was replaced."""

    ports: frozenset[int] = frozenset()
    at_s: float = 0.0
    back_s: float | None = None


async def _with_kill(bench: Bench, service: Server) -> tuple[Tally, _Killed]:
    await asyncio.to_thread(_wait_for_workers, service)
    killed = _Killed(at_s=bench.lengths.failure / 3)
    begun = time.perf_counter()

    def kill() -> None:
        time.sleep(max(0.0, begun + killed.at_s - time.perf_counter()))
        victim = _workers(service)[0]
        # Stopped first: which connections are its own must not change between the look and the end.
        victim.suspend()
        killed.ports = frozenset(x.raddr.port for x in victim.net_connections("tcp") if x.raddr)
        victim.send_signal(signal.SIGKILL)
        died = time.perf_counter()
        if _wait_for_workers(service, without=victim.pid):
            killed.back_s = time.perf_counter() - died

    killing = asyncio.create_task(asyncio.to_thread(kill))
    rate = _LOAD * bench.peak
    before = {x.pid for x in _workers(service)}
    tally = await open_loop(
        service.port, bench.requests(service), bench.lengths.failure, rate, _CONNECTIONS, until=killing
    )
    await killing
    _note_ended(bench, service, before, expected=1)
    return tally, killed


def _workers(service: Server) -> list[psutil.Process]:
    return [x for x in service.process.children() if "spawn_main" in " ".join(x.cmdline())]


def _wait_for_workers(service: Server, without: int | None = None) -> bool:
    """Wait until all workers say that they serve, and one process is gone."""
    limit = time.perf_counter() + _BACK_S
    while time.perf_counter() < limit:
        with contextlib.suppress(OSError, http.client.HTTPException, psutil.NoSuchProcess):
            told = json.loads(ask(service.port, "GET", _ADMIN)[1])["workers"]["all"]
            # A killed process is there, and counted by the others, until its parent has taken note of it.
            if told == _WORKERS and not (without and psutil.pid_exists(without)):
                return True
        time.sleep(_POLL_S)
    return False


def _note_ended(bench: Bench, service: Server, before: set[int], expected: int) -> None:
    """Say so where workers ended that nobody killed: their requests are lost with them."""
    ended = len(before - {x.pid for x in _workers(service)}) - expected
    if ended > 0:
        bench.notes.append(
            f"{service.name}: {ended} more of the workers ended; uvicorn's supervisor kills one that does not answer "
            "its health check in time, as on a busy machine."
        )


def _longest_gap(tally: Tally, since_s: float) -> float:
    """The longest time without any answer, in seconds (of tenths)."""
    longest = current = 0
    for number in range(int(since_s / BIN_S), int(tally.seconds / BIN_S)):
        current = 0 if tally.by_bin[number] else current + 1
        longest = max(longest, current)
    return longest * BIN_S


@dataclass
class _Change:
    """How long two changes took, and which models answered."""

    seconds: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    models: Counter[str] = field(default_factory=Counter)


def model_change(bench: Bench) -> list[Row]:
    """Another bundle takes over, and the first one again, at half of the peak with two workers: nothing may be lost."""
    bundles = bench.folder / "bundles"
    another_version(bench.bundle, bundles)
    given = {"FOREWARN_BUNDLES": str(bundles.absolute())}
    with (
        forewarn(
            bench.bundle, bench.cores, bench.folder, "model change", workers=_WORKERS, environment=given
        ) as service,
        on_cores(bench.cores.load),
    ):
        tally, change = uvloop.run(_with_change(bench, service))
    done = change.statuses == [200, 200] and len(change.models) == 2
    clean = not tally.failures and set(tally.statuses) == {200}
    times = tally.percentiles()
    return [
        Row(
            f"another model and back at {_LOAD:.0%} of the peak, two workers: requests lost",
            str(tally.failures + tally.statuses[429]),
            f"of {whole(tally.due)}; p99 {times['p99']:.0f} ms; "
            f"the changes took {' and '.join(f'{x:.1f}' for x in change.seconds)} s",
            "none",
            done and clean,
            {"models": dict(change.models), "change_seconds": change.seconds, **times, **tally.counts()},
        )
    ]


async def _with_change(bench: Bench, service: Server) -> tuple[Tally, _Change]:
    await asyncio.to_thread(_wait_for_workers, service)
    change = _Change()

    def exchange() -> None:
        time.sleep(bench.lengths.failure / 5)
        for method, body in (("POST", json.dumps({"bundle": OTHER_VERSION}).encode()), ("DELETE", None)):
            begun = time.perf_counter()
            change.statuses.append(ask(service.port, method, _ADMIN, body)[0])
            change.seconds.append(time.perf_counter() - begun)
            time.sleep(1)

    def note_model(status: int, body: bytes) -> None:
        if status == 200:
            change.models[body[body.rfind(b'"model":"') + 9 : -2].decode()] += 1

    changing = asyncio.create_task(asyncio.to_thread(exchange))
    rate = _LOAD * bench.peak
    before = {x.pid for x in _workers(service)}
    requests, seconds = bench.requests(service), bench.lengths.failure
    tally = await open_loop(service.port, requests, seconds, rate, _CONNECTIONS, note_model, changing)
    await changing
    _note_ended(bench, service, before, expected=0)
    return tally, change
