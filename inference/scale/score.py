"""`forewarn score --engine ray`: blocks of files scored side by side on the machines of a Ray cluster.

Only places go through Ray, of blocks to be scored and of those that are: the actor that scores a block reads it itself.
Ray keeps what it is given in shared memory and, when that is full, in files, and there no text of a message may be.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import ray
from forewarn.inference.batch import Job, Source, score_block
from forewarn.inference.bundle import Bundle, default_bundle_path
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.errors import BundleError, ForewarnError
from forewarn.inference.readers import Span, split
from ray.exceptions import RayError

# Files whose blocks are looked for at a time. That is reading and counting lines, and takes no core.
_SPLITTING = 8
# How often a cluster may fail without having scored anything in between.
_TRIES = 3


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
    missing = [source for source in job.sources if not source.target.exists()]
    ours = not ray.is_initialized()
    try:
        if ours and missing:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        tries = 0
        while missing:
            begun, before = list(missing), _parts(missing)
            try:
                for source, result in _collect(begun, _results(job, begun, bundle, threads)):
                    missing.remove(source)
                    yield source, result
                return
            except RayError:
                # A machine is gone, most likely. What it has finished is there; the others do the rest.
                more = len(missing) < len(begun) or _parts(missing) > before
                tries = 1 if more else tries + 1
                if tries == _TRIES:
                    raise
    except (RayError, ConnectionError) as error:
        # Its message may be a page long, and hold the names of files and of whatever else.
        raise ForewarnError(
            f"the Ray cluster failed ({type(error).__name__}); see its logs, then give the same command to go on"
        ) from None
    finally:
        if ours:
            ray.shutdown()


def _parts(sources: list[Source]) -> int:
    """How many blocks of the sources are scored."""
    return sum(1 for source in sources if source.parts.exists() for _ in source.parts.iterdir())


def _results(job: Job, sources: list[Source], bundle: Bundle, threads: int | None) -> Iterator[dict[str, Any]]:
    """Score all blocks of the sources; gives a row for each as soon as it is done."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    path = None if bundle.path == default_bundle_path() else str(bundle.path.absolute())
    files = ray.data.from_items(
        [{"file": i, **{name: str(x) for name, x in asdict(source).items()}} for i, source in enumerate(sources)],
        override_num_blocks=len(sources),
    )
    spans = files.flat_map(partial(_spans, rows=job.block_rows), num_cpus=0, concurrency=min(_SPLITTING, len(sources)))
    scored = spans.repartition(target_num_rows_per_block=1).map(
        _Scorer,  # type: ignore[arg-type]  # a class is fine too
        fn_constructor_args=(path, bundle.digest, job.explain, job.locale),
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=threads, max_tasks_in_flight_per_actor=2),
        # An actor that is lost with its machine would wait for a core, which the idle ones on other machines keep, and
        # the job with it, for ever. So the job fails, and is begun again with what is missing.
        max_restarts=0,
        max_task_retries=0,
    )
    yield from scored.iter_rows()


def _collect(sources: list[Source], results: Iterator[dict[str, Any]]) -> Iterator[tuple[Source, int | str]]:
    """The sources of which all blocks are done, or one has failed."""
    done: Counter[int] = Counter()
    failed: set[int] = set()
    for row in results:
        file = row["file"]
        if row["fatal"]:
            raise BundleError(row["error"])
        if row["error"]:
            if file not in failed:
                yield sources[file], row["error"]
            failed.add(file)
            continue
        done[file] += 1
        if done[file] == row["blocks"]:
            yield sources[file], row["blocks"]


def _spans(file: dict[str, Any], rows: int) -> list[dict[str, Any]]:
    """The blocks of a file, or a row that says why there are none."""
    common = {**file, "error": "", "fatal": False}
    try:
        spans = list(split(Path(file["path"]), rows))
    except ForewarnError as error:
        return [{**common, **asdict(Span(0, 0, 0)), "number": 0, "blocks": 0, "error": str(error)}]
    return [{**common, **asdict(span), "number": i, "blocks": len(spans)} for i, span in enumerate(spans, start=1)]


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
            # Raised here, it would make Ray try again and again.
            self._fault = str(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["error"]:
            return row
        if self._fault:
            return {**row, "error": self._fault, "fatal": True}
        source = Source(*(Path(row[x.name]) for x in fields(Source)))
        span = Span(*(row[x.name] for x in fields(Span)))
        try:
            score_block(self._classifier, source, row["number"], span, self._explain, self._locale)
        except ForewarnError as error:
            return {**row, "error": str(error), "fatal": isinstance(error, BundleError)}
        except OSError as error:
            reason = error.strerror or "output error"
            return {**row, "error": f"{source.target.parent}: cannot be written ({reason})"}
        except Exception as error:
            # Ray would log its message, which may quote text.
            raise RuntimeError(f"{type(error).__name__} while a block was scored") from None
        return row
