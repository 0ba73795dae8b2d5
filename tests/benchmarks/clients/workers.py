"""The clients that can be measured here: how each is started, and what it answers.

Every client has a worker: a program that takes one job as JSON on standard input, in a process of its own, and answers
with its figures as JSON. A job without a bundle asks for the process' peak memory with only the runtime loaded.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
_WEB = ROOT / "mobile_bundle" / "web"
_JAVA_CORE = ROOT / "mobile_bundle" / "android" / "core" / "src" / "main" / "java"
_TIMEOUT_S = 180


class WorkerFailed(Exception):
    """A worker gave no figures; one line that says why."""


@dataclass(frozen=True)
class Job:
    """What a worker is to do with a bundle.

    Attributes:
        bundle: its folder, None for the runtime alone.
        warm: texts to score before anything is timed.
        texts: to time one at a time.
        batches: to time batch by batch.
        labels: how many the bundle has; for the client that has no model here.
    """

    bundle: Path | None = None
    warm: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    batches: tuple[tuple[str, ...], ...] = ()
    labels: int = 0


@dataclass(frozen=True)
class Client:
    """A client that runs on this machine.

    Attributes:
        key: short name.
        name: for people.
        command: of its worker.
        has_model: whether the worker runs the bundle's model, and not its own part alone.
    """

    key: str
    name: str
    command: tuple[str, ...]
    has_model: bool = True

    def run(self, job: Job) -> dict[str, Any]:
        """Start a cold process and give its figures: times in milliseconds, memory and sizes in bytes.

        `load`, and `message` and `batch` a time each; `peak` of the process in the end and `peak_alone` before the
        batches; `wasm`, what WebAssembly holds, where there is one. Of a job without a bundle `peak` and `wasm` alone.

        Raises:
            WorkerFailed: it failed, or took minutes.
        """
        content = {
            "bundle": str(job.bundle) if job.bundle else None,
            "warm": job.warm,
            "texts": job.texts,
            "batches": job.batches,
            "labels": job.labels,
            "chromium": chromium(),
        }
        environment = os.environ | {"OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
        try:
            done = subprocess.run(
                self.command,
                input=json.dumps(content),
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=_TIMEOUT_S,
                env=environment,
                cwd=ROOT,
            )
        except subprocess.TimeoutExpired:
            raise WorkerFailed(f"{self.name} took more than {_TIMEOUT_S} seconds; is the machine busy?") from None
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise WorkerFailed(f"{self.name} failed with {done.returncode}: {reason}")
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures


def chromium() -> str | None:
    """Path of a Chromium; the environment variable CHROMIUM goes before what is installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def clients(folder: Path) -> tuple[list[Client], list[str]]:
    """The clients that run here, Python first, and for each of the others a line that says why not.

    Args:
        folder: where Java's classes are put.
    """
    found = [Client("python", "Python", (sys.executable, str(HERE / "measure_python.py")))]
    missing = []
    node = shutil.which("node")
    if node and (_WEB / "dist" / "node.js").is_file() and (_WEB / "node_modules").is_dir():
        found.append(Client("node", "Node", (node, str(HERE / "measure_node.mjs"))))
        if chromium():
            found.append(Client("chromium", "Chromium", (node, str(HERE / "measure_chromium.mjs"))))
        else:
            missing.append("Chromium is not installed (Debian: `apt-get install chromium`).")
    else:
        missing.append("Node and Chromium: no built web client; `make bench-clients` builds it, and needs Node 20.19.")
    javac, java = shutil.which("javac"), shutil.which("java")
    if javac and java:
        classes = _compile(javac, folder / "java")
        # A small heap and a simple collector, as on a phone: with a server's defaults the JVM takes what it likes.
        options = ("-Xmx64m", "-XX:+UseSerialGC")
        command = (java, *options, "-cp", str(classes), "forewarn.client.Measure")
        found.append(Client("java", "Android's core on a JVM", command, has_model=False))
    else:
        missing.append("Android's core: no JDK (Debian: `apt-get install default-jdk-headless`).")
    return found, missing


def _compile(javac: str, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    sources = [str(x) for x in sorted(_JAVA_CORE.rglob("*.java"))]
    core = [javac, "--release", "11", "-encoding", "UTF-8", "-nowarn", "-d", str(folder), *sources]
    for command in (core, [*core[: -len(sources)], "-cp", str(folder), str(HERE / "Measure.java")]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise WorkerFailed(f"Android's core does not compile: {done.stderr.strip().splitlines()[0]}")
    return folder
