"""`forewarn score --engine ray`: blocks of files scored side by side on the machines of a Ray cluster.

Only places go through Ray, of blocks to be scored: the actor that scores a block reads it itself. Ray keeps what it is
given in shared memory and, when that is full, in files, and there no text of a message may be. That is why this is not
Ray Data; which in release 2.60 also waits for ever, now and then, for what a lost machine had in hand.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from forewarn.inference.batch import Job, Source, score_block
from forewarn.inference.bundle import Bundle, default_bundle_path
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.errors import BundleError, ForewarnError
from forewarn.inference.readers import Span, split
from ray.exceptions import RayError

# Times each actor may fail, on average, without any of them having scored a block in between.
_TRIES = 3
# How often to look whether the cluster has more cores by now.
_LOOK_S = 5.0
# How long a file may take to be seen by other machines; NFS keeps its folders in mind for a minute.
_LATE_S = 90.0


@dataclass(eq=False)
class _File:
    """How far a file is.

    Attributes:
        source: the file.
        blocks: how many blocks of it are known.
        open: how many of them are not scored yet.
        whole: whether all are known.
        error: what is wrong with it.
    """

    source: Source
    blocks: int = 0
    open: int = 0
    whole: bool = False
    error: str = ""


@dataclass(frozen=True)
class _Block:
    file: _File
    number: int
    span: Span


def score_on_cluster(job: Job, bundle: Bundle, threads: int | None) -> Iterator[tuple[Source, int | str]]:
    """The engine that uses a Ray cluster: the one that RAY_ADDRESS names or this machine is in, or a new one here.

    All machines must have this version of forewarn, and the job's folders and the bundle under the same names.

    Args:
        job: what to score.
        bundle: what scores.
        threads: cores to use, one a classifier; None is all of the cluster.

    Yields:
        Each source that is done, with the number of its blocks or what is wrong with it.

    Raises:
        ForewarnError: the cluster failed.
        BundleError: the model does not work there.
    """
    ours = not ray.is_initialized()
    try:
        if ours:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        # The bundle that ships lies elsewhere on each machine.
        path = None if bundle.path == default_bundle_path() else str(bundle.path.absolute())
        pool = _Pool((path, bundle.digest, job.explain, job.locale), threads)
        try:
            yield from _score(job.sources, job.block_rows, pool)
        finally:
            pool.end()
    except (RayError, ConnectionError) as error:
        # Its message may be a page long, and hold the names of files and of whatever else.
        raise ForewarnError(
            f"the Ray cluster failed ({type(error).__name__}); see its logs, then give the same command to go on"
        ) from None
    finally:
        if ours:
            ray.shutdown()


def _score(sources: Sequence[Source], rows: int, pool: _Pool) -> Iterator[tuple[Source, int | str]]:
    """Score the sources; gives those that are done or have failed."""
    begun: list[_File] = []
    blocks = _blocks(sources, rows, begun)
    more = True
    while more or pool.busy:
        while more and pool.room:
            block = next(blocks, None)
            if block:
                pool.give(block)
            more = block is not None
        for done, error in pool.wait():
            done.file.open -= 1
            done.file.error = done.file.error or error
        for file in [x for x in begun if x.whole and not x.open]:
            begun.remove(file)
            yield file.source, file.error or _here(file.source, file.blocks)


def _blocks(sources: Sequence[Source], rows: int, begun: list[_File]) -> Iterator[_Block]:
    """The blocks that are missing, found no sooner than they are asked for; files go to `begun` as they are opened."""
    for source in sources:
        file = _File(source)
        begun.append(file)
        there = source.scored()
        try:
            for file.blocks, span in enumerate(split(source.path, rows), start=1):
                if file.blocks not in there and not file.error:
                    file.open += 1
                    yield _Block(file, file.blocks, span)
        except ForewarnError as error:
            file.error = str(error)
        file.whole = True


def _here(source: Source, blocks: int) -> int | str:
    """How many blocks a source has, once all that were scored elsewhere are to be seen here; or that they are not."""
    limit = time.monotonic() + _LATE_S
    while len(source.scored()) < blocks:
        if time.monotonic() > limit:
            return f"{source.target.parent}: what other machines write does not come here; --output must be one for all"
        time.sleep(_LATE_S / 100)
    return blocks


class _Pool:
    """Actors, one a core. One that is lost, with its machine or without, leaves its block to the others."""

    def __init__(self, arguments: tuple[str | None, str, bool, str | None], threads: int | None) -> None:
        self._arguments = arguments
        self._threads = threads
        self._queue: deque[_Block] = deque()
        self._idle: list[Any] = []
        # What each of the other actors is at: a block, or None where it is only starting.
        self._running: dict[ray.ObjectRef, tuple[Any, _Block | None]] = {}
        self._failed = 0
        self._cores = self._count_cores()

    @property
    def room(self) -> bool:
        """Whether there is a core for another block."""
        return self._open < self._cores

    @property
    def busy(self) -> bool:
        """Whether there are blocks that are not scored yet."""
        return self._open > 0

    def give(self, block: _Block) -> None:
        """Have a block scored."""
        self._queue.append(block)

    def wait(self) -> list[tuple[_Block, str]]:
        """The blocks that were scored since, each with what is wrong with its file.

        Raises:
            RayError: actors fail, and none gets anything done.
            BundleError: the model does not work.
        """
        self._cores = self._count_cores()
        while len(self._running) + len(self._idle) < min(self._cores, self._open):
            actor = _Scorer.options(num_cpus=1, max_restarts=0).remote(*self._arguments)  # type: ignore[attr-defined]
            self._running[actor.ready.remote()] = (actor, None)
        while self._queue and self._idle:
            actor, block = self._idle.pop(), self._queue.popleft()
            self._running[actor.score.remote(block.file.source, block.number, block.span)] = (actor, block)
        # One at a time, so that it does not wait for others before it gets its next block.
        ready, _ = ray.wait(list(self._running), timeout=_LOOK_S) if self._running else ([], [])
        return [done for reference in ready if (done := self._take(reference))]

    def end(self) -> None:
        """Let all actors go."""
        for actor in [*self._idle, *(actor for actor, _ in self._running.values())]:
            with suppress(RayError):
                ray.kill(actor)

    @property
    def _open(self) -> int:
        return len(self._queue) + sum(1 for _, block in self._running.values() if block)

    def _count_cores(self) -> int:
        return self._threads or max(1, int(ray.cluster_resources().get("CPU", 0)))

    def _take(self, reference: ray.ObjectRef) -> tuple[_Block, str] | None:
        actor, block = self._running.pop(reference)
        try:
            error, fatal = ray.get(reference)
        except RayError:
            self._failed += 1
            if self._failed > _TRIES * (len(self._running) + 1):
                raise
            with suppress(RayError):
                ray.kill(actor)
            if block:
                self._queue.appendleft(block)
            return None
        if fatal:
            raise BundleError(error)
        self._idle.append(actor)
        if block is None:
            return None
        self._failed = 0
        return block, error


@ray.remote
class _Scorer:
    """An actor: one classifier on one core."""

    def __init__(self, path: str | None, digest: str, explain: bool, locale: str | None) -> None:
        self._explain, self._locale = explain, locale
        self._fault = ""
        try:
            bundle = Bundle.open(path)
            if bundle.digest != digest:
                raise BundleError(
                    f"bundle {bundle.path}: is another one on one of the machines; copy it to all of them"
                )
            self._classifier = ScamClassifier(bundle, threads=1)
        except BundleError as error:
            self._fault = str(error)  # for `ready`: raised here it would come with a page of Ray's own

    def ready(self) -> tuple[str, bool]:
        """Nothing, or what is wrong with the bundle."""
        return self._fault, bool(self._fault)

    def score(self, source: Source, number: int, span: Span) -> tuple[str, bool]:
        """Score a block; gives what is wrong with its file, if anything, and whether that is the model."""
        try:
            score_block(self._classifier, source, number, span, self._explain, self._locale)
        except ForewarnError as error:
            return str(error), isinstance(error, BundleError)
        except OSError as error:
            return f"{source.target.parent}: cannot be written ({error.strerror or 'output error'})", False
        except Exception as error:
            # Ray would log its message, which may quote text.
            raise RuntimeError(f"{type(error).__name__} while a block was scored") from None
        return "", False
