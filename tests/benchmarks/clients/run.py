"""Measures every bundle in every client that runs here, on Linux: size, load time, time a message, memory.

    make bench-clients          # builds the web client first
    python tests/benchmarks/clients/run.py --quick

Every figure comes from cold processes. They take turns, so that a busy moment hits all alike; the ratios to Python,
measured in the same round, are what to compare. Tables in Markdown and JSON; exit 4 if nano takes more memory than it
may.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a file, it does not see its own package

from benchmarks.clients import report
from benchmarks.clients.operations import count
from benchmarks.clients.sizes import bundle_size, client_sizes
from benchmarks.clients.workers import ROOT, Client, Job, WorkerFailed, clients
from forewarn.inference.bundle import Bundle
from forewarn.inference.errors import ForewarnError
from tokenizers import Tokenizer

CHARACTERS = 160  # one SMS
_ROUNDS, _MESSAGES, _WARM, _BATCHES = 5, 40, 60, 3  # 5 loads, 200 messages and 15 batches of each
_QUICK = 1, 6, 3, 1


def sms_texts(golden: list[str]) -> list[str]:
    """Messages of exactly 160 characters, in all languages: golden vectors strung together."""
    short = [text.strip() for text in golden if 20 <= len(text.strip()) < CHARACTERS]
    return [" ".join(short[at:] + short[:at])[:CHARACTERS] for at in range(len(short))]


def bundles() -> list[Path]:
    """The bundle folders of this repository: `standard` first, as the others are compared with it."""
    found = sorted(x.parent for x in (ROOT / "mobile_bundle").glob("*/manifest.json"))
    return sorted(found, key=lambda folder: folder.name != "standard")


def measure(
    folders: list[Path], found: list[Client], texts: list[str], quick: bool
) -> tuple[dict[tuple[str, str], list[dict[str, Any]]], dict[str, list[dict[str, Any]]]]:
    """Start every process in turns; gives a round's figures each, by bundle and client, and of runtimes alone."""
    rounds, messages, warm, batches = _QUICK if quick else (_ROUNDS, _MESSAGES, _WARM, _BATCHES)
    endless = itertools.cycle(texts)

    def take(n: int) -> tuple[str, ...]:
        return tuple(itertools.islice(endless, n))

    figures: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    alone: dict[str, list[dict[str, Any]]] = defaultdict(list)
    labels = {
        folder: len(json.loads((folder / "manifest.json").read_bytes())["labels"]["leaves"]) for folder in folders
    }
    for number in range(rounds):
        _say(f"round {number + 1} of {rounds}")
        same = take(warm), take(messages), tuple(take(report.BATCH) for _ in range(batches))  # for all of the round
        for client in found:
            alone[client.key].append(client.run(Job()))
            for folder in folders:
                figures[folder.name, client.key].append(client.run(Job(folder, *same, labels[folder])))
    return figures, alone


def main(argv: list[str] | None = None) -> int:
    """Measure, print the tables and write them; returns 0, or 4 if nano takes more memory than it may."""
    parser = argparse.ArgumentParser(prog="bench-clients", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round of few messages: to see that all of it runs")
    parser.add_argument("--out", type=Path, default=Path("build/bench-clients"), help="results (default: %(default)s)")
    args = parser.parse_args(argv)
    if sys.platform != "linux":
        parser.error("only Linux says how much memory a process has held at most")
    begun = time.monotonic()
    out: Path = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    about = report.environment()
    found, notes = clients(out)
    folders = bundles()
    golden = Bundle.open(folders[0]).read("vectors.jsonl").decode("utf-8").rstrip("\n").split("\n")
    texts = sms_texts([json.loads(line)["text"] for line in golden])
    figures, alone = measure(folders, found, texts, args.quick)

    parts = []
    for folder in folders:
        bundle = Bundle.open(folder)
        tokenizer = Tokenizer.from_buffer(bundle.read("tokenizer.json"))
        tokens = sum(len(x.ids) for x in tokenizer.encode_batch(texts)) / len(texts)
        operations = count(folder / "model.onnx")
        parts.append(
            report.BundlePart(folder.name, bundle.manifest["version"], bundle_size(folder), operations, tokens)
        )
    sizes = client_sizes({key: figures[folders[0].name, key][0] for key in (x.key for x in found)}, out)
    if args.quick:
        notes.append("--quick: one round of few messages, to see that all of it runs.")
    text, met = report.write(parts, found, figures, alone, sizes, about, notes, out)
    print(text)
    _say(f"done in {(time.monotonic() - begun) / 60:.1f} minutes; see {args.out}/results.md and .json")
    return 0 if met else 4


def _say(what: str) -> None:
    print(f"bench-clients: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except (WorkerFailed, ForewarnError) as error:
        raise SystemExit(f"bench-clients: {error}") from None
