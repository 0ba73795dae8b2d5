"""What every worker process should run, and whether it does: in memory for one, in a shared folder for several."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from forewarn.inference.files import write_at_once
from forewarn.inference.service.errors import Refusal
from forewarn.inference.service.model_loading import Place

# Names the folder that the worker processes of one service share.
FOLDER_VARIABLE = "FOREWARN_MODEL_FOLDER"

Tally = dict[str, int]


@dataclass(frozen=True)
class Wanted:
    """What should run.

    Attributes:
        serial: higher with each change.
        running: whose model answers.
        before: whose model answered before it.
        shadow: whose model scores beside it.
        share: of the traffic that the shadow scores.
    """

    serial: int
    running: Place
    before: Place | None = None
    shadow: Place | None = None
    share: float = 0.0


@dataclass(frozen=True)
class Report:
    """How far a worker has come: the last change that it took up, whether it could, and what its shadow counted."""

    serial: int
    done: bool
    shadow: Tally


class State(Protocol):
    """Where workers agree on what runs."""

    def join(self, running: Place) -> Wanted:
        """Begin with a model; gives what should run, which is that model unless others were here before."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one who changes anything; raises a Refusal (409) where somebody else is."""

    def read(self) -> Wanted:
        """What should run."""

    def write(self, wanted: Wanted) -> None:
        """Say what should run; within `turn`."""

    def report(self, report: Report) -> None:
        """Say how far this worker has come."""

    def reports(self) -> list[Report]:
        """How far every worker has come that is alive."""

    def leave(self) -> None:
        """This worker ends."""


class LocalState:
    """The state of a service of one process."""

    def __init__(self) -> None:
        self._wanted: Wanted | None = None
        self._report: Report | None = None
        self._busy = False

    def join(self, running: Place) -> Wanted:
        """See State."""
        self._wanted = Wanted(0, running)
        return self._wanted

    @contextmanager
    def turn(self) -> Iterator[None]:
        """See State."""
        if self._busy:
            raise Refusal("change_running")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def read(self) -> Wanted:
        """See State."""
        assert self._wanted
        return self._wanted

    def write(self, wanted: Wanted) -> None:
        """See State."""
        self._wanted = wanted

    def report(self, report: Report) -> None:
        """See State."""
        self._report = report

    def reports(self) -> list[Report]:
        """See State."""
        return [self._report] if self._report else []

    def leave(self) -> None:
        """See State."""


class SharedState:
    """The state of several worker processes: a file with what should run, and one a worker with how far it is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._wanted = folder / "wanted.json"
        self._own = folder / f"worker-{os.getpid()}.json"
        self._reported: Report | None = None

    def join(self, running: Place) -> Wanted:
        """See State."""
        with self._locked(wait=True):
            if not self._wanted.exists():
                self.write(Wanted(0, running))
        return self.read()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """See State."""
        with self._locked(wait=False):
            yield

    def read(self) -> Wanted:
        """See State."""
        fields = json.loads(self._wanted.read_text(encoding="utf-8"))
        places = {name: Place(**fields[name]) if fields[name] else None for name in ("running", "before", "shadow")}
        return Wanted(**{**fields, **places})

    def write(self, wanted: Wanted) -> None:
        """See State."""
        write_at_once(self._wanted, json.dumps(asdict(wanted)).encode("utf-8"))

    def report(self, report: Report) -> None:
        """See State."""
        if report != self._reported or not self._own.exists():
            write_at_once(self._own, json.dumps(asdict(report)).encode("utf-8"))
            self._reported = report

    def reports(self) -> list[Report]:
        """See State."""
        found = []
        for path in self._folder.glob("worker-*.json"):
            if _alive(int(path.stem.partition("-")[2])):
                with suppress(FileNotFoundError):  # it ends just now
                    found.append(Report(**json.loads(path.read_text(encoding="utf-8"))))
        return found

    def leave(self) -> None:
        """See State."""
        self._own.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, wait: bool) -> Iterator[None]:
        import fcntl  # not on Windows, which has no worker processes that share a socket either

        # The system lets go of the lock of a process that dies.
        with (self._folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refusal("change_running") from None
            yield


def open_state() -> State:
    """The state of this process, shared with other workers where `forewarn serve` made a folder for that."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return SharedState(Path(folder)) if folder else LocalState()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False  # the number belongs to somebody else's process now
    return True
