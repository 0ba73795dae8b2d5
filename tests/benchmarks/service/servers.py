"""Servers as processes of their own, each thread of them held on the cores that are for servers."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from benchmarks.service.messages import Dialect

_HERE = Path(__file__).parent
# A rival that loads PyTorch on a busy machine takes its time.
_START_S = 120.0


class ServerFailed(Exception):
    """A server that does not come up, or does not answer as it should; one line says why."""


@dataclass(frozen=True)
class Cores:
    """Which cores are for what is measured, and which for the load generator."""

    server: tuple[int, ...]
    load: tuple[int, ...]


@contextlib.contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Hold this thread, and the processes that it starts meanwhile, on some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        name: in the table.
        port: on the loopback.
        dialect: how it wants its messages.
        process: the first of its processes.
    """

    name: str
    port: int
    dialect: Dialect
    process: psutil.Process

    def processes(self) -> list[psutil.Process]:
        """All of its processes that live."""
        return [self.process, *self.process.children(recursive=True)]

    def resident_bytes(self) -> int:
        """Resident memory of all its processes together; what they share counts in each."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ends just now
                total += process.memory_info().rss
        return total

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop it for a while: what is not measured must not take time from what is."""
        stopped = self.processes()
        for process in stopped:
            process.suspend()
        try:
            yield
        finally:
            for process in stopped:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    def pin(self, cores: Sequence[int]) -> None:
        """Hold every thread on the cores: ONNX Runtime's default thread pool chooses cores of its own."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                for thread in process.threads():
                    with contextlib.suppress(ProcessLookupError):
                        os.sched_setaffinity(thread.id, cores)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without settings of the service and of thread pools; no rival asks a hub or reports its use."""
    dropped = ("FOREWARN_", "OMP_", "MKL_", "PROMETHEUS_MULTIPROC_DIR", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    return kept | quiet | dict(more or {})


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    port: int,
    dialect: Dialect,
    cores: Cores,
    log: Path,
    ready_path: str = "/health",
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Server]:
    """A server, from its first good answer until the block is left.

    Args:
        name: in the table.
        command: that starts it.
        port: that it will listen on.
        dialect: how it wants its messages.
        cores: those for servers are its own.
        log: what it prints goes there.
        ready_path: answers 200 once it can be used.
        environment: variables beside the usual ones.
        folder: that it runs in.

    Raises:
        ServerFailed: it ends, or is not ready in time.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out, on_cores(cores.server):
        # A session of its own, so that its workers end with it.
        started = subprocess.Popen(
            command, stdout=out, stderr=out, env=clean_environment(environment), cwd=folder, start_new_session=True
        )
    try:
        _wait_until_ready(started, name, port, ready_path, log)
        server = Server(name, port, dialect, psutil.Process(started.pid))
        server.pin(cores.server)
        yield server
    finally:
        _end(started)


def _wait_until_ready(started: subprocess.Popen[bytes], name: str, port: int, path: str, log: Path) -> None:
    limit = time.monotonic() + _START_S
    while time.monotonic() < limit:
        if started.poll() is not None:
            break
        with contextlib.suppress(OSError, http.client.HTTPException):
            if ask(port, "GET", path)[0] == 200:
                return
        time.sleep(0.1)
    why = "ended" if started.poll() is not None else f"was not ready within {_START_S:.0f} s"
    last = " | ".join(log.read_text(errors="replace").strip().splitlines()[-2:])
    raise ServerFailed(f"{name} {why}: {re.sub(r' +', ' ', last)[:300]}")


def _end(started: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        started.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()


def ask(port: int, method: str, path: str, body: bytes | None = None, seconds: float = 30.0) -> tuple[int, bytes]:
    """One request on a connection of its own; gives status and body.

    Raises:
        OSError, http.client.HTTPException: there is no answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def script(name: str, *arguments: str, python: Path | None = None) -> list[str]:
    """The command for a file of this folder."""
    return [str(python or sys.executable), str(_HERE / name), *arguments]
