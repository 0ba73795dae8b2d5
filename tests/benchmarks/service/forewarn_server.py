"""`forewarn serve` as it is measured, and its classifier without a server."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.service.messages import forewarn_dialect
from benchmarks.service.servers import Cores, Server, clean_environment, free_port, on_cores, running, script
from forewarn.inference.bundle import default_bundle_path

OTHER_VERSION = "2099.1.0"
# So many messages a minute that the limit is counted and never reached.
_NO_LIMIT = "2000000000"


@contextlib.contextmanager
def forewarn(
    bundle: Path | None,
    cores: Cores,
    folder: Path,
    name: str = "forewarn serve",
    workers: int | None = None,
    keys: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """The service, one worker a core unless told otherwise.

    Args:
        bundle: None is the one that is shipped.
        cores: those for servers are its own.
        folder: for its log and its keys.
        name: in the table and of the log.
        workers: processes.
        keys: let it ask for a key that has a limit (SQLite); the dialect then sends one.
        environment: settings beside the defaults.

    Raises:
        ServerFailed: it does not come up.
    """
    port = free_port()
    workers = workers or len(cores.server)
    command = [sys.executable, "-m", "forewarn.inference.cli", "serve", "--port", str(port), "--workers", str(workers)]
    if bundle:
        command += ["--bundle", str(bundle)]
    # One thread a batch: the cores are shared out among the workers, and all else on them would wait for a second one.
    settings = {"FOREWARN_THREADS": "1", **(environment or {})}
    token = None
    if keys:
        store = folder / "keys.db"
        store.unlink(missing_ok=True)
        settings["FOREWARN_KEYS"] = f"sqlite:///{store.absolute()}"
        add = [sys.executable, "-m", "forewarn.inference.cli", "keys", "add", "benchmark", "--per-minute", _NO_LIMIT]
        made = subprocess.run(add, env=clean_environment(settings), check=True, capture_output=True, text=True)
        token = made.stdout.strip()
    log = folder / f"{name.replace(' ', '-').replace(',', '')}.log"
    with running(name, command, port, forewarn_dialect(token), cores, log, "/readyz", settings) as server:
        yield server


def another_version(bundle: Path | None, folder: Path) -> Path:
    """A copy of a bundle folder with another version of the model, in a folder of bundles that may be loaded.

    The weights are the same: what a change costs the requests under way does not depend on them.
    """
    shutil.rmtree(folder, ignore_errors=True)
    copy = folder / OTHER_VERSION
    shutil.copytree(bundle or default_bundle_path(), copy)
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    (copy / "manifest.json").write_text(json.dumps(manifest | {"version": OTHER_VERSION}), encoding="utf-8")
    return copy


class InProcess:
    """`ScamClassifier.score` in batches of 32, in one process a server core; idle until it is told to run."""

    def __init__(self, bundle: Path | None, cores: Cores, folder: Path) -> None:
        """Load the classifiers."""
        environment = clean_environment()
        self._processes = []
        for core in cores.server:
            with on_cores([core]), (folder / "in-process.log").open("ab") as log:
                process = subprocess.Popen(
                    script("in_process.py", *([str(bundle)] if bundle else [])),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environment,
                    text=True,
                )
            self._processes.append(process)
        for process in self._processes:
            self._answer(process)

    def rate(self, seconds: float) -> float:
        """Messages a second, of all processes together."""
        for process in self._processes:
            assert process.stdin
            print(seconds, file=process.stdin, flush=True)
        return sum(float(self._answer(process)) for process in self._processes)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.wait()

    @staticmethod
    def _answer(process: subprocess.Popen[str]) -> str:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise SystemExit("bench-service: the classifier does not load; see in-process.log beside the results")
        return line
