"""The tables that people read, and the JSON that holds everything."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.clients.operations import CORES, TOKENS, Operations
from benchmarks.clients.sizes import BundleSize, ClientSize
from benchmarks.clients.workers import Client

BATCH = 32  # texts
NANO_BAR = 12_000_000  # bytes that the nano bundle may take beyond the runtime
_BUSY = 0.5
Rounds = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class BundlePart:
    """What is known of a bundle without running a client; `tokens` is the mean of the messages that were timed."""

    name: str
    version: str
    size: BundleSize
    operations: Operations
    tokens: float


@dataclass(frozen=True)
class Cost:
    """What a bundle costs in a client: milliseconds and bytes, medians over the rounds.

    Attributes:
        load: from an empty process (of Chromium, an empty page) to a classifier, imports and checksums in it.
        message: one message, alone.
        message_ratio: to Python's in the same round.
        batch: one message of a batch.
        batch_ratio: to Python's in the same round.
        beyond_alone: peak memory beyond that with the runtime only, of messages one at a time.
        beyond: the same, of batches too.
        peak: of the whole process in the end.
        wasm: what WebAssembly holds in the end, None where there is none.
        wasm_alone: what it holds with the runtime only.
    """

    load: float
    message: float
    message_ratio: float
    batch: float
    batch_ratio: float
    beyond_alone: float
    beyond: float
    peak: float
    wasm: int | None
    wasm_alone: int | None


def cost(rounds: Rounds, python: Rounds, alone: Rounds) -> Cost:
    """Sum up the rounds of a bundle in a client, beside Python's and beside those of the client's runtime alone."""

    def ratio(of: str) -> float:
        return _median(_median(a[of]) / _median(b[of]) for a, b in zip(rounds, python, strict=True))

    def beyond(of: str) -> float:
        return _median(x[of] - base["peak"] for x, base in zip(rounds, alone, strict=True))

    return Cost(
        load=_median(x["load"] for x in rounds),
        message=_median(time for x in rounds for time in x["message"]),
        message_ratio=ratio("message"),
        batch=_median(time for x in rounds for time in x["batch"]) / BATCH,
        batch_ratio=ratio("batch"),
        beyond_alone=beyond("peak_alone"),
        beyond=beyond("peak"),
        peak=_median(x["peak"] for x in rounds),
        wasm=max(x["wasm"] for x in rounds) if "wasm" in rounds[0] else None,
        wasm_alone=max(x["wasm"] for x in alone) if "wasm" in alone[0] else None,
    )


def environment() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("onnxruntime", "tokenizers", "numpy")},
    }


def write(
    bundles: Sequence[BundlePart],
    found: Sequence[Client],
    figures: Mapping[tuple[str, str], Rounds],
    alone: Mapping[str, Rounds],
    sizes: Mapping[str, ClientSize],
    about: Mapping[str, Any],
    notes: Sequence[str],
    folder: Path,
) -> tuple[str, bool]:
    """Write `results.md` and `results.json`; gives the Markdown, and whether nano (if there) keeps to its bar."""
    costs = {
        (bundle.name, client.key): cost(
            figures[bundle.name, client.key], figures[bundle.name, "python"], alone[client.key]
        )
        for bundle in bundles
        for client in found
    }
    bars = {
        client.name: costs["nano", client.key].beyond_alone
        for client in found
        if client.has_model and ("nano", client.key) in costs
    }
    notes = list(notes)
    if about["load_average"] > _BUSY:
        notes.append("The machine was busy before the run: these figures say little.")
    for name, taken in bars.items():
        verdict = "met" if taken <= NANO_BAR else "**missed**"
        notes.append(f"nano's bar, {_mb(NANO_BAR)} MB beyond the runtime, in {name}: {verdict} ({_mb(taken)} MB).")
    text = "\n".join(
        [
            f"On {about['processor']}, {about['cores']} cores, one thread; load average before: "
            f"{about['load_average']:.1f}. MB are millions of bytes.",
            *_bundle_table(bundles),
            *_client_table(found, sizes),
            *_cost_table(bundles, found, costs),
            *_phone_table(bundles),
            *(["", *(f"- {note}" for note in notes)] if notes else []),
            "",
        ]
    )
    (folder / "results.md").write_text(text, encoding="utf-8")
    content = {
        "environment": about,
        "bundles": [asdict(x) for x in bundles],
        "clients": {key: asdict(x) for key, x in sizes.items()},
        "costs": [{"bundle": name, "client": key, **asdict(x)} for (name, key), x in costs.items()],
        "rounds": [{"bundle": name, "client": key, "figures": x} for (name, key), x in figures.items()],
        "runtime_alone": alone,
        "notes": notes,
    }
    (folder / "results.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return text, all(taken <= NANO_BAR for taken in bars.values())


def _bundle_table(bundles: Sequence[BundlePart]) -> list[str]:
    lines = [
        "",
        "| bundle | on disk | compressed | what an app needs of it | compressed | the model alone |",
        "|---|---|---|---|---|---|",
    ]
    for bundle in bundles:
        size = bundle.size
        cells = (_mb(x) for x in (size.whole, size.whole_zip, size.needed, size.needed_zip, size.model))
        lines.append(f"| {bundle.name} {bundle.version} | " + " | ".join(f"{x} MB" for x in cells) + " |")
    return [*lines, "", "An app needs neither the model card nor the golden vectors."]


def _client_table(found: Sequence[Client], sizes: Mapping[str, ClientSize]) -> list[str]:
    lines = ["", "| client | its own code | compressed | its runtime | compressed |", "|---|---|---|---|---|"]
    for client in found:
        size = sizes[client.key]
        code = (f"{x / 1000:.1f} kB" if x else "" for x in (size.code, size.code_download))
        runtime = (f"{_mb(x)} MB" if x else "" for x in (size.runtime, size.runtime_download))
        lines.append(f"| {client.name} | " + " | ".join((*code, *runtime)) + " |")
    return [
        *lines,
        "",
        "Code is minified for Node and Chromium, source for Python, classes and a jar for Java. Runtimes are the "
        "native libraries that a process loaded (Python: with `tokenizers`, without numpy), or the WebAssembly.",
    ]


def _cost_table(
    bundles: Sequence[BundlePart], found: Sequence[Client], costs: Mapping[tuple[str, str], Cost]
) -> list[str]:
    lines = [
        "",
        "| bundle | client | load | a message | to Python's | in batches of 32 | to Python's "
        "| memory beyond the runtime | with batches | in all |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for bundle in bundles:
        for client in found:
            x = costs[bundle.name, client.key]
            what = client.name if client.has_model else f"{client.name}, *without the model*"
            lines.append(
                f"| {bundle.name} | {what} | {x.load / 1000:.2f} s | {x.message:.2f} ms | {x.message_ratio:.2f} "
                f"| {x.batch:.2f} ms | {x.batch_ratio:.2f} "
                f"| {_mb(x.beyond_alone)} MB | {_mb(x.beyond)} MB | {_mb(x.peak)} MB |"
            )
    lines += [
        "",
        "Load: from an empty process (an empty page) to a classifier, checksums too; files come from the system's "
        "cache. Messages have 160 characters in all languages ("
        + ", ".join(f"{x.name}: {x.tokens:.0f} tokens on average" for x in bundles)
        + "). Memory is the most that the process held (Chromium: the page's), beyond the same process with only the "
        "runtime loaded and no model, for messages one at a time and with batches of 32.",
    ]
    for bundle in bundles:
        page = costs.get((bundle.name, "chromium"))
        if page and page.wasm is not None and page.wasm_alone is not None:
            held = _mb(page.wasm), _mb(page.wasm_alone)
            lines.append(f"WebAssembly holds {held[0]} MB with {bundle.name}, {held[1]} MB without.")
    return lines


def _phone_table(bundles: Sequence[BundlePart]) -> list[str]:
    lines = [
        "",
        f"What to expect on phones is **an estimate, not a measurement**, for a message of {TOKENS} tokens:",
        "",
        "| bundle | multiply-adds | weights read | " + " | ".join(core.name for core in CORES) + " |",
        "|---|---|---|" + "---|" * len(CORES),
    ]
    for bundle in bundles:
        work = bundle.operations
        times = (f"{1000 * work.multiply_adds / core.multiply_adds_per_second:.1f} ms" for core in CORES)
        lines.append(
            f"| {bundle.name} | {work.multiply_adds / 1e6:.1f} million | {_mb(work.weight_bytes)} MB | "
            + " | ".join(times)
            + " |"
        )
    lines += ["", "Assumed, in int8 multiply-adds a second of one core:", ""]
    lines += [f"- {core.name}: {core.multiply_adds_per_second / 1e9:.1f} billion, {core.why}." for core in CORES]
    return lines


def _mb(size: float) -> str:
    return f"{size / 1e6:.1f}"


def _median(values: Any) -> float:
    return float(statistics.median(values))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), platform.machine())
