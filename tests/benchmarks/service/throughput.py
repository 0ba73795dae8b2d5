"""Messages a second, each beside the others in turns: whoever is not measured is stopped meanwhile."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import uvloop
from benchmarks.service.bench import Bench, Row, whole
from benchmarks.service.forewarn_server import InProcess, forewarn
from benchmarks.service.load import closed_loop, describe
from benchmarks.service.messages import forewarn_dialect
from benchmarks.service.rivals import environments as rivals
from benchmarks.service.servers import Server, ServerFailed, ask, free_port, on_cores, running, script

BATCH = 32
# Eight requests of 32 are four batches of the service.
_CONNECTIONS = {1: 64, BATCH: 8}
_BATCH_BAR, _SINGLE_BAR, _PIPELINE_BAR, _GENERATOR_BAR = 0.8, 0.6, 15.0, 3.0

# Messages a second, measured for so many seconds.
Rate = Callable[[float], float]


def closed_rate(bench: Bench, server: Server, each: int = 1, campaign: bool = False) -> Rate:
    """How to measure a server in a closed loop.

    Args:
        bench: the setting.
        server: that runs.
        each: messages a request.
        campaign: send the same messages again and again.

    Returns:
        What measures; it raises ServerFailed where any answer is not 200, which would be no figure.
    """
    requests = bench.requests(server, each, campaign)

    def rate(seconds: float) -> float:
        with on_cores(bench.cores.load):
            tally = uvloop.run(closed_loop(server.port, requests, seconds, _CONNECTIONS[each], bench.lengths.warm))
        if tally.failures or set(tally.statuses) != {200}:
            raise ServerFailed(f"{server.name} answered {describe(tally)}")
        # On a busy machine a short time may end before the first answer.
        return tally.rate * each if tally.in_time else rate(2 * seconds)

    return rate


def in_turns(
    subjects: dict[str, tuple[Server | None, Rate]], servers: Sequence[Server], bench: Bench
) -> dict[str, list[float]]:
    """Measure one after the other, several rounds, so that a busy moment of the machine hits all alike.

    Args:
        subjects: by name, each with the server that must run for it.
        servers: all that run; the others are stopped meanwhile.
        bench: the setting.

    Returns:
        Messages a second by name, one figure a round.
    """
    rates: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(bench.lengths.rounds):
        for name, (server, rate) in subjects.items():
            with ExitStack() as stack:
                for other in servers:
                    if other is not server:
                        stack.enter_context(other.paused())
                rates[name].append(rate(bench.lengths.seconds))
    return rates


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def generator(bench: Bench) -> list[float]:
    """Messages a second that the load generator gets through a trivial server: single ones, and 32 a request."""
    port = free_port()
    log = bench.folder / "trivial.log"
    with running("trivial", script("trivial.py", str(port)), port, forewarn_dialect(), bench.cores, log, "/") as server:
        return [closed_rate(bench, server, each)(bench.lengths.seconds) for each in (1, BATCH)]


def measure(bench: Bench) -> list[Row]:
    """All rows of throughput; `bench.peak` and `bench.notes` are filled on the way."""
    able = generator(bench)
    in_process = InProcess(bench.bundle, bench.cores, bench.folder)
    try:
        with forewarn(bench.bundle, bench.cores, bench.folder) as service:
            rows = _service_rows(bench, service, in_process)
            rows[1:1] = _generator_rows(able, rows)
            rows += _rival_rows(bench, service)
    finally:
        in_process.close()
    return rows


def peak(bench: Bench) -> float:
    """Messages a second of single-message requests, where nothing else is measured."""
    with forewarn(bench.bundle, bench.cores, bench.folder) as service:
        return closed_rate(bench, service)(bench.lengths.seconds)


def _row(name: str, rates: list[float], ratio_text: str = "", bar: str = "", met: bool | None = None) -> Row:
    values = {"messages_per_second": rates}
    return Row(name, f"{whole(statistics.median(rates))} messages/s", ratio_text, bar, met, values)


def _service_rows(bench: Bench, service: Server, in_process: InProcess) -> list[Row]:
    direct, batch, single = "in process, batches of 32", "32 a request", f"one a request, {_CONNECTIONS[1]} at a time"
    no_cache = {"FOREWARN_CACHE_BYTES": "0"}
    with (
        forewarn(bench.bundle, bench.cores, bench.folder, "forewarn serve, no cache", environment=no_cache) as uncached,
        forewarn(bench.bundle, bench.cores, bench.folder, "forewarn serve, keys and limits", keys=True) as locked,
    ):
        subjects: dict[str, tuple[Server | None, Rate]] = {direct: (None, in_process.rate)}
        for server in (service, uncached, locked):
            subjects[f"{server.name}: {batch}"] = (server, closed_rate(bench, server, BATCH))
            subjects[f"{server.name}: {single}"] = (server, closed_rate(bench, server))
        campaign = f"{service.name}: {single}, a campaign that the cache knows"
        subjects[campaign] = (service, closed_rate(bench, service, campaign=True))
        rates = in_turns(subjects, (service, uncached, locked), bench)
    bars = {f"{service.name}: {batch}": _BATCH_BAR, f"{service.name}: {single}": _SINGLE_BAR}
    bench.peak = statistics.median(rates[f"{service.name}: {single}"])
    rows = []
    for name, own in rates.items():
        share = ratio(own, rates[direct])
        text = "" if name == direct else f"{share:.2f} of in process"
        if name.startswith(locked.name):
            text += f", {ratio(own, rates[name.replace(locked.name, service.name)]):.2f} of without"
        bar = bars.get(name)
        rows.append(_row(name, own, text, f"at least {bar}" if bar else "", share >= bar if bar else None))
    return rows


def _generator_rows(able: list[float], rows: list[Row]) -> list[Row]:
    """What the generator can send, against the most that it was answered by the service."""
    found = []
    for each, most in zip((1, BATCH), able, strict=True):
        kind = "32 a request" if each == BATCH else "one a request"
        # Not the campaign: there the generator may be what is measured, and the row is no ratio of ours.
        answered = max(
            max(row.values["messages_per_second"]) for row in rows if kind in row.what and "campaign" not in row.what
        )
        text = f"{most / answered:.1f} times the service"
        row = _row(f"load generator against a trivial server: {kind}", [most], text)
        met = most >= _GENERATOR_BAR * answered
        found.append(Row(row.what, row.figure, text, f"at least {_GENERATOR_BAR:.0f} times", met, row.values))
    return found


def _rival_rows(bench: Bench, service: Server) -> list[Row]:
    cores, folder = bench.cores, bench.folder
    starts: dict[str, Callable[[], AbstractContextManager[Server]]] = {}
    if bench.checkpoint:
        checkpoint: Path = bench.checkpoint
        onnx = rivals.onnx_of(bench.bundle)
        starts["pipeline"] = lambda: rivals.pipeline(checkpoint, cores, folder)
        starts["infinity"] = lambda: rivals.infinity(checkpoint, cores, folder)
        starts["infinity-onnx"] = lambda: rivals.infinity(checkpoint, cores, folder, onnx)
        bench.notes.append(
            "The PyTorch rivals run the checkpoint's encoder alone: transformers does not load the n-gram branch."
        )
    else:
        bench.notes.append("No --checkpoint: the rivals that run PyTorch are left out.")
    starts["granian"] = lambda: rivals.granian(bench.bundle, cores, folder)
    starts["litserve"] = lambda: rivals.litserve(bench.bundle, cores, folder)
    rows = []
    for name, start in starts.items():
        print(f"bench-service: {name}", file=sys.stderr, flush=True)
        try:
            with start() as rival:
                rows += _one_rival(bench, service, rival, name)
        except ServerFailed as error:
            bench.notes.append(f"{error} (so it has no row).")
    return rows


def _one_rival(bench: Bench, service: Server, rival: Server, name: str) -> list[Row]:
    # One message a request is all that the others take.
    sizes = (1, BATCH) if name.startswith(("infinity", "granian")) else (1,)
    _check(bench, rival)
    subjects: dict[str, tuple[Server | None, Rate]] = {}
    for each in sizes:
        for server in (service, rival):
            subjects[f"{server.name} {each}"] = (server, closed_rate(bench, server, each))
    rates = in_turns(subjects, (service, rival), bench)
    rows = []
    for each in sizes:
        own, ours = rates[f"{rival.name} {each}"], rates[f"{service.name} {each}"]
        times = ratio(ours, own)
        barred = name == "pipeline"
        what = f"{rival.name}: {'32' if each == BATCH else 'one'} a request"
        bar, met = (f"at least {_PIPELINE_BAR:.0f} times", times >= _PIPELINE_BAR) if barred else ("", None)
        rows.append(_row(what, own, f"the service is {times:.1f} times as fast", bar, met))
    return rows


def _check(bench: Bench, rival: Server) -> None:
    """See that a rival answers with scores before it is timed."""
    body = next(bench.requests(rival)).partition(b"\r\n\r\n")[2]
    status, answer = ask(rival.port, "POST", rival.dialect.path, body)
    if (
        status != 200
        or not isinstance(json.loads(answer), (dict, list))
        or b"score" not in answer
        and b"risk" not in answer
    ):
        raise ServerFailed(f"{rival.name} answers {status} without scores")
