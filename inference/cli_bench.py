"""`forewarn bench`: what a bundle costs on this machine, beside the naive way of running the same model.

Times on a shared machine jump about; the ratios, measured in one run, are what to compare.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from forewarn.inference.bundle import Bundle
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.errors import BundleError, ForewarnError
from tokenizers import Tokenizer

_LENGTH = 160  # characters: one SMS
_REPEATS = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0.

    Raises:
        ForewarnError: the bundle cannot be opened.
    """
    parser = argparse.ArgumentParser(prog="forewarn bench", description="Measure load time, speed and memory.")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="bundle (default: the one that is shipped)")
    parser.add_argument("--messages", type=int, default=2000, help="messages of the throughput run (default: 2000)")
    parser.add_argument("--threads", type=int, default=1, help="cores that the model may use (default: 1, as a phone)")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    args = parser.parse_args(argv)
    if args.messages < 64 or args.threads < 1:
        raise ForewarnError("bench: --messages must be at least 64 and --threads at least 1")
    figures = measure(args.bundle, args.messages, args.threads)
    if args.format == "json":
        print(json.dumps(figures, indent=1))
    else:
        for name, (value, unit) in rows(figures).items():
            print(f"{name:58} {value:>10} {unit}")
    return 0


def measure(path: Path | None, messages: int, threads: int) -> dict[str, Any]:
    """All figures: sizes in bytes, times in milliseconds, throughput in messages a second, memory in MiB.

    The messages are the bundle's golden vectors, which hold every language, repeated and cut to one SMS.
    """
    bundle = Bundle.open(path)
    loads = [_milliseconds(lambda: ScamClassifier.load(path, threads)) for _ in range(_REPEATS)]
    classifier = ScamClassifier.load(path, threads)
    texts = list(itertools.islice(_texts(bundle), messages))
    classifier.score(texts[:64])  # warm
    before = _peak_memory()
    for _ in classifier.score_stream(itertools.islice(_texts(bundle), 1000)):
        pass
    middle = _peak_memory()
    for _ in classifier.score_stream(itertools.islice(_texts(bundle), 5 * messages)):
        pass
    after = _peak_memory()
    alone = [_milliseconds(lambda text=text: classifier.score([text])) for text in texts[:300]]  # type: ignore[misc]
    bucketed = _milliseconds(lambda: classifier.score(texts)) / 1000
    _naive(bundle, texts[:64], threads)()
    naive = _milliseconds(_naive(bundle, texts, threads)) / 1000
    return {
        "version": classifier.version,
        "threads": threads,
        "bundle_bytes": sum(int(x["bytes"]) for x in bundle.manifest["files"].values()),
        "load_ms": statistics.median(loads),
        "message_ms": {"median": float(np.median(alone)), "p95": float(np.percentile(alone, 95))},
        "messages_per_second": messages / bucketed,
        "naive_messages_per_second": messages / naive,
        "ratio_to_naive": naive / bucketed,
        "stream_growth_mib": {"first 1000 messages": middle - before, f"next {5 * messages} messages": after - middle},
        "peak_memory_mib": _peak_memory(),
    }


def rows(figures: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Name -> value and unit, for people."""
    message, growth = figures["message_ms"], figures["stream_growth_mib"]
    return {
        f"bundle {figures['version']}": (f"{figures['bundle_bytes'] / 1e6:.1f}", "MB"),
        "load": (f"{figures['load_ms']:.0f}", "ms"),
        "one message alone, median": (f"{message['median']:.2f}", "ms"),
        "one message alone, 95th percentile": (f"{message['p95']:.2f}", "ms"),
        "batches of like length": (f"{figures['messages_per_second']:,.0f}", "messages/s"),
        "the same model, padded batches of 32 as they come": (
            f"{figures['naive_messages_per_second']:,.0f}",
            "messages/s",
        ),
        "ratio": (f"{figures['ratio_to_naive']:.2f}", "times"),
        **{f"memory added by streaming, {name}": (f"{value:.1f}", "MiB") for name, value in growth.items()},
        "peak memory of the process": (f"{figures['peak_memory_mib']:.0f}", "MiB"),
    }


def _texts(bundle: Bundle) -> Iterator[str]:
    lines = bundle.read("vectors.jsonl").decode("utf-8").rstrip("\n").split("\n")
    known = [text for text in (json.loads(line)["text"] for line in lines) if text.strip()]
    if not known:
        raise BundleError(f"{bundle.path}: no golden vectors with text in vectors.jsonl; export the bundle again")
    for round_ in itertools.count():
        # The number keeps a text from being the same twice, as a cache would like it.
        yield from (f"{text[: _LENGTH - 6]} {round_}" for text in known)


def _naive(bundle: Bundle, texts: list[str], threads: int) -> Callable[[], None]:
    """The model as a tutorial would run it: batches in the order they come, padded to the longest."""
    tokenizer = Tokenizer.from_str(bundle.read("tokenizer.json").decode("utf-8"))
    tokenizer.enable_truncation(bundle.manifest["max_length"])
    tokenizer.enable_padding(pad_id=bundle.manifest["pad_id"])
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(bundle.read("model.onnx"), options, providers=["CPUExecutionProvider"])

    def run() -> None:
        for start in range(0, len(texts), 32):
            encodings = tokenizer.encode_batch(texts[start : start + 32])
            ids = np.array([x.ids for x in encodings], dtype=np.int64)
            mask = np.array([x.attention_mask for x in encodings], dtype=np.int64)
            session.run(["logits"], {"input_ids": ids, "attention_mask": mask})

    return run


def _milliseconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def _peak_memory() -> float:
    """The most memory that this process has held so far, in MiB; 0 where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
