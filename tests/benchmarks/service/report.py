"""The table that people read, and the JSON that holds everything."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.service.bench import Row
from benchmarks.service.servers import Cores

_PACKAGES = ("onnxruntime", "tokenizers", "uvicorn", "fastapi", "transformers", "torch")
_MET = {True: "met", False: "**missed**", None: ""}


def environment(cores: Cores, model: str) -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "model": model,
        "processor": _processor(),
        "server_cores": list(cores.server),
        "load_cores": list(cores.load),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def markdown(rows: Sequence[Row], about: dict[str, Any], notes: Sequence[str]) -> str:
    """The table, what it was measured on above it, and notes below."""
    listed = {name: ", ".join(map(str, about[name])) for name in ("server_cores", "load_cores")}
    above = (
        f"Model {about['model']} on {about['processor']}. The classifier in process and every server ran on core "
        f"{listed['server_cores']}, the load generator on core {listed['load_cores']}. "
        f"Load average before: {about['load_average']:.2f}."
    )
    lines = [above, "", "| what | figure | beside | bar | |", "|---|---|---|---|---|"]
    lines += [f"| {row.what} | {row.figure} | {row.ratio} | {row.bar} | {_MET[row.met]} |" for row in rows]
    if notes:
        lines += ["", *(f"- {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def write(rows: Sequence[Row], about: dict[str, Any], notes: Sequence[str], folder: Path) -> str:
    """Write `results.md` and `results.json`; gives the Markdown."""
    text = markdown(rows, about, notes)
    (folder / "results.md").write_text(text, encoding="utf-8")
    content = {"environment": about, "rows": [asdict(row) for row in rows], "notes": list(notes)}
    (folder / "results.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return text


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), platform.machine())
