"""How large a bundle is, and how large the clients are without it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clients.workers import HERE, ROOT, WorkerFailed

_WASM = ROOT / "mobile_bundle" / "web" / "dist" / "ort-wasm-simd-threaded.wasm"
# What a client does not read: it may stay out of an app.
_NOT_NEEDED = {"MODEL_CARD.md", "vectors.jsonl"}


@dataclass(frozen=True)
class BundleSize:
    """Bytes of a bundle: all of its files, what a client reads of them, each deflated too, and the model's file."""

    whole: int
    whole_zip: int
    needed: int
    needed_zip: int
    model: int


@dataclass(frozen=True)
class ClientSize:
    """Bytes of a client: its own code and the runtime under it, and of each as a download; None if not known."""

    code: int | None = None
    code_download: int | None = None
    runtime: int | None = None
    runtime_download: int | None = None


def bundle_size(folder: Path) -> BundleSize:
    """Sizes of a bundle folder."""
    files = {x.name: x.read_bytes() for x in sorted(folder.iterdir()) if x.is_file()}
    needed = {name: data for name, data in files.items() if name not in _NOT_NEEDED}
    return BundleSize(
        sum(map(len, files.values())),
        _zipped(files),
        sum(map(len, needed.values())),
        _zipped(needed),
        len(files["model.onnx"]),
    )


def _zipped(files: dict[str, bytes]) -> int:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return len(target.getvalue())


def client_sizes(figures: dict[str, dict[str, Any]], folder: Path) -> dict[str, ClientSize]:
    """Sizes of the clients that were measured, by key.

    Args:
        figures: by client, those of one of its processes.
        folder: where the Java classes were put.
    """
    sizes: dict[str, ClientSize] = {}
    if "python" in figures:
        sizes["python"] = ClientSize(figures["python"]["code_bytes"], None, figures["python"]["runtime_bytes"])
    if "node" in figures:
        own = _minified()
        node, web = own["node"], own["chromium"]
        sizes["node"] = ClientSize(node["bytes"], node["gzip"], figures["node"]["runtime_bytes"])
        wasm = _WASM.read_bytes()
        sizes["chromium"] = ClientSize(web["bytes"], web["gzip"], len(wasm), len(zlib.compress(wasm, 9)))
    if "java" in figures:
        classes = {
            x.name: x.read_bytes() for x in (folder / "java").rglob("*.class") if not x.name.startswith("Measure")
        }
        sizes["java"] = ClientSize(sum(map(len, classes.values())), _zipped(classes))
    return {key: size for key, size in sizes.items() if key in figures}


def _minified() -> dict[str, dict[str, int]]:
    done = subprocess.run([shutil.which("node") or "node", str(HERE / "sizes.mjs")], capture_output=True, text=True)
    if done.returncode:
        raise WorkerFailed(f"esbuild: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    own: dict[str, dict[str, int]] = json.loads(done.stdout)
    return own
