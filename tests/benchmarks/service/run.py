"""Measures the HTTP service, on Linux with two cores or more.

    python tests/benchmarks/service/run.py --checkpoint runs/default/model

Throughput beside the classifier in process and beside other servers, times under a steady load, overload, a killed
worker, a change of the model, and with --soak a long steady load. One table, in Markdown and JSON. The servers and the
classifier share the same cores, the load generator has others. Only figures from a machine on which nothing else runs
mean anything.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a file, it does not see its own package

from benchmarks.service import failures, report, soak, stress, throughput
from benchmarks.service.bench import QUICK, Bench, Lengths, Row
from benchmarks.service.in_process import TEXTS
from benchmarks.service.messages import invented_texts
from benchmarks.service.servers import Cores, ServerFailed
from forewarn.inference.bundle import Bundle

# In the order of the table; the first measures the peak that the others need.
_PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    "throughput": throughput.measure,
    "latency": stress.latency,
    "overload": stress.overload,
    "killed-worker": failures.killed_worker,
    "model-change": failures.model_change,
}
_BUSY = 0.3


def _cores(value: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in value.split(",")}))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value} is not a list of cores, such as 0 or 0,1") from None


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-service", description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="bundle folder (default: the one that is shipped)")
    parser.add_argument("--checkpoint", type=Path, metavar="DIR", help="checkpoint of the rivals that run PyTorch")
    parser.add_argument("--server-cores", type=_cores, default=(0,), metavar="N,N", help="for servers (default: 0)")
    parser.add_argument("--load-cores", type=_cores, default=(1,), metavar="N,N", help="for the load (default: 1)")
    parser.add_argument("--only", nargs="+", choices=list(_PARTS), default=list(_PARTS), help="some parts alone")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="also a steady load of so many minutes")
    parser.add_argument("--quick", action="store_true", help="seconds a part: to see that all of it runs")
    parser.add_argument("--out", type=Path, default=Path("build/bench-service"), help="results (default: %(default)s)")
    args = parser.parse_args(argv)
    if not hasattr(os, "sched_setaffinity"):
        parser.error("only Linux can hold processes on cores")
    here = os.sched_getaffinity(0)
    wrong = sorted({*args.server_cores, *args.load_cores} - here)
    if wrong or set(args.server_cores) & set(args.load_cores):
        parser.error(f"--server-cores and --load-cores must be different ones of {', '.join(map(str, sorted(here)))}")
    if args.checkpoint and not (args.checkpoint / "config.json").is_file():
        parser.error(f"{args.checkpoint}: no checkpoint there; give the folder that `forewarn train` writes")
    return args


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table and write it; returns 0 if every bar is met, otherwise 4."""
    args = _parse(argv)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the servers end with us
    begun = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    cores = Cores(args.server_cores, args.load_cores)
    about = report.environment(cores, str(Bundle.open(args.bundle).manifest["version"]))
    lengths = QUICK if args.quick else Lengths()
    bench = Bench(args.bundle, args.checkpoint, cores, args.out, invented_texts(TEXTS), lengths)
    if about["load_average"] > _BUSY:
        bench.notes.append("The machine was busy before the run: these figures say little.")
    if args.quick:
        bench.notes.append("--quick: parts of a few seconds, to see that all of it runs.")
    rows: list[Row] = []
    for name in _PARTS:
        if name in args.only:
            _say(name)
            rows += _PARTS[name](_with_peak(bench) if name != "throughput" else bench)
            report.write(rows, about, bench.notes, args.out)  # what is measured is kept, whatever comes next
    if args.soak:
        _say("soak")
        rows += soak.soak(_with_peak(bench), args.soak, args.out / "soak.png")
    print(report.write(rows, about, bench.notes, args.out))
    _say(f"done in {(time.monotonic() - begun) / 60:.1f} minutes; see {args.out / 'results.md'} and .json")
    return 4 if any(row.met is False for row in rows) else 0


def _with_peak(bench: Bench) -> Bench:
    if not bench.peak:
        bench.peak = throughput.peak(bench)
    return bench


def _say(what: str) -> None:
    print(f"bench-service: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except ServerFailed as error:
        raise SystemExit(f"bench-service: {error}") from None
