"""Scoring files to files: a folder of messages in, one of verdicts out, by a run that goes on where it was killed.

A file is scored in blocks, each of which becomes a file of its own until all of them are there. What a block holds, and
which of its messages go through the model together, follows from the input alone: whoever scores it, on however many
cores or machines, writes the same lines (where machines round floating point alike).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from forewarn.inference.bundle import Bundle
from forewarn.inference.classifier import CHUNK, ScamClassifier, Verdict
from forewarn.inference.errors import BundleError, ForewarnError
from forewarn.inference.readers import SUFFIXES, Record, Row, Span, read_rows, split

# About a minute of one core: little is lost when it dies, and little is spent on handing it out.
BLOCK_ROWS = 1 << 16
# Texts that are read ahead for a batch; a few long ones fill it too.
_BATCH_CHARACTERS = 1 << 22
# Bad rows of a file that are named (all of them stand in its output), and endings of files that are not read.
_NAMED = 10

_JOB = ".forewarn.json"
_PARTS = ".forewarn-parts"
_DONE = ".forewarn-done"
_BAD = (b'{"line":', b'{"row":')


@dataclass(frozen=True)
class Source:
    """A file of messages.

    Attributes:
        path: where it lies.
        target: where its verdicts go.
        parts: the folder of its blocks that are scored, until all of them are. Its name is the file's fingerprint.
        record: what is kept of it beside its verdicts: the fingerprint, and the number of its bad rows.
    """

    path: Path
    target: Path
    parts: Path
    record: Path

    def part(self, number: int) -> Path:
        """Where the verdicts on a block go."""
        return self.parts / f"{number:06d}"

    def scored(self) -> set[int]:
        """The numbers of the blocks that are scored."""
        if not self.parts.exists():
            return set()
        return {int(x.name) for x in self.parts.iterdir() if x.name.isdigit()}


@dataclass(frozen=True)
class Job:
    """What to score, and how.

    Attributes:
        sources: the files that are not scored yet.
        explain: add evidence and a forewarning to each verdict.
        locale: of the forewarning, and of the people who got the messages, where a row has none of its own.
        block_rows: rows of a block.
    """

    sources: tuple[Source, ...]
    explain: bool
    locale: str | None
    block_rows: int


# Does a job. Gives each source that is done, with the number of its blocks or what is wrong.
Engine = Callable[[Job, Bundle, int | None], Iterator[tuple[Source, int | str]]]


def score_files(source: Path, output: Path, bundle: Bundle, engine: Engine, *, explain: bool, locale: str | None,
        threads: int | None) -> str:  # fmt: skip
    """Score a file, or all files of a folder, into a folder of .jsonl files that is made where it is not there.

    Each row of a file has its line, in order: the verdict, or what is wrong with the row. A file of verdicts is there
    once it is whole, and what has one is not scored again, unless it has another size or time of change than it had
    then: its verdicts are removed, and it is scored anew.

    Args:
        source: the file or folder.
        output: the folder.
        bundle: what scores.
        engine: who does the work: `score_here`, or one that has more machines.
        explain: add evidence and a forewarning to each verdict.
        locale: language of the forewarning; its region tells senders from abroad. For rows without their own.
        threads: cores to use; None is all.

    Returns:
        What was done, in one line.

    Raises:
        ForewarnError: there is nothing to score, the folder holds verdicts of another kind, or there are rows or files
            that could not be scored, now or by a run before. Those of now are named on standard error, and all others
            are scored.
    """
    sources = _plan(source, output, bundle, explain, locale)
    done = messages = bad = unreadable = 0
    try:
        before = {x: wrong for x in sources if (wrong := _bad_before(x)) is not None}
        job = Job(tuple(x for x in sources if x not in before), explain, locale, BLOCK_ROWS)
        for changed in job.sources:
            changed.target.unlink(missing_ok=True)  # where there are verdicts, they are on what the file was before
        for scored, blocks in engine(job, bundle, threads) if job.sources else ():
            if isinstance(blocks, str):
                print(f"forewarn: {blocks}", file=sys.stderr)
                unreadable += 1
            else:
                rows, wrong = _join(scored, blocks)
                done, messages, bad = done + 1, messages + rows - wrong, bad + wrong
    except OSError as error:
        raise _unwritable(output, error) from None
    if not unreadable:
        shutil.rmtree(output / _PARTS, ignore_errors=True)
    told = f"{messages} messages of {done} files scored"
    if bad or unreadable:
        told += f"; {bad} rows and {unreadable} files could not be (named above)"
    bad_before = sum(before.values())
    if before:
        told += f"; {len(before)} files were done before"
    if bad_before:
        told += f", but for {bad_before} rows (lines with `error` in {output}); mend them and run again"
    if bad or unreadable or bad_before:
        raise ForewarnError(told)
    return told


def score_here(job: Job, bundle: Bundle, threads: int | None) -> Iterator[tuple[Source, int | str]]:
    """The engine that uses this process alone."""
    classifier = ScamClassifier(bundle, threads)
    for source in job.sources:
        number = 0
        try:
            for number, span in enumerate(split(source.path, job.block_rows), start=1):
                score_block(classifier, source, number, span, job.explain, job.locale)
        except BundleError:
            raise
        except ForewarnError as error:
            yield source, str(error)
        else:
            yield source, number


def score_block(
    classifier: ScamClassifier, source: Source, number: int, span: Span, explain: bool, locale: str | None
) -> None:
    """Score a block of a file into its part, unless that is there.

    Raises:
        ForewarnError: the block cannot be read; names the file.
        BundleError: the model does not work.
    """
    part = source.part(number)
    if part.exists():
        return
    source.parts.mkdir(parents=True, exist_ok=True)
    with _appearing(part, source.parts) as out:
        for batch in _batches(read_rows(source.path, CHUNK, span)):
            verdicts = iter(score_records(classifier, [x for x in batch if isinstance(x, Record)], explain, locale))
            for row in batch:
                answer = next(verdicts).to_dict(row.id) if isinstance(row, Record) else row.to_dict()
                out.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def score_records(
    classifier: ScamClassifier, records: list[Record], explain: bool, locale: str | None
) -> list[Verdict]:
    """One verdict a message, in order; `locale` is for those that have none of their own."""
    if not explain:
        # What the model says of a text is the same everywhere.
        verdicts = classifier.score([x.text for x in records])
        return [
            classifier.with_sender(verdict, x.sender, x.locale or locale)
            for verdict, x in zip(verdicts, records, strict=True)
        ]
    # To explain, the classifier takes one locale a call.
    by_locale: dict[str | None, list[int]] = defaultdict(list)
    for i, record in enumerate(records):
        by_locale[record.locale or locale].append(i)
    explained: dict[int, Verdict] = {}
    for own, rows in by_locale.items():
        texts, senders = [records[i].text for i in rows], [records[i].sender for i in rows]
        explained.update(zip(rows, classifier.score(texts, explain, own, senders), strict=True))
    return [explained[i] for i in range(len(records))]


def _plan(source: Path, output: Path, bundle: Bundle, explain: bool, locale: str | None) -> list[Source]:
    """All files, each with its places in the output folder, which is made ready."""
    source, output = source.absolute(), output.absolute()
    if source.is_dir():
        if output.resolve().is_relative_to(source.resolve()):
            raise ForewarnError(f"{output}: lies in the folder that is scored; name another --output")
        names, others = _names(source)
        root = source
    elif source.exists():
        root, names, others = source.parent, [Path(source.name)], []
    else:
        raise ForewarnError(f"{source}: no such file or folder")
    targets: dict[Path, Path] = {}
    for name in names:
        target = output / (name if name.suffix == ".jsonl" else name.with_name(f"{name.name}.jsonl"))
        if target in targets:
            raise ForewarnError(f"{root / name} and {targets[target]} would both be scored into {target}; rename one")
        targets[target] = root / name
    _take(output, {"model": bundle.manifest["version"], "bundle": bundle.digest, "explain": explain, "locale": locale})
    sources = []
    for target, path in targets.items():
        name = target.relative_to(output)
        record = output / _DONE / f"{_short_hash(str(name))}.json"
        sources.append(Source(path, target, output / _PARTS / _fingerprint(path, name), record))
    if others:
        _tell_left_out(root, others)
    return sources


def _names(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files of a folder that can be read, and those that cannot."""
    found = (x for x in folder.rglob("*") if x.is_file())
    shown = [x for x in (x.relative_to(folder) for x in found) if not any(part.startswith(".") for part in x.parts)]
    names = sorted(x for x in shown if x.suffix.lower() in SUFFIXES)
    others = sorted(x for x in shown if x.suffix.lower() not in SUFFIXES)
    if not names:
        raise ForewarnError(f"{folder}: holds no file that is named {', '.join(SUFFIXES)}")
    return names, others


def _tell_left_out(folder: Path, others: list[Path]) -> None:
    endings = Counter(sorted(x.suffix.lower() or "no ending" for x in others))
    told = [f"{count} {ending}" for ending, count in endings.most_common(_NAMED)]
    told += ["others"] if len(endings) > _NAMED else []
    print(
        f"forewarn: {folder}: {len(others)} files are left out ({', '.join(told)}); {', '.join(SUFFIXES)} are read",
        file=sys.stderr,
    )


def _bad_before(source: Source) -> int | None:
    """The number of bad rows of a file that is scored; None of one that is not, or not as it is now."""
    if not source.target.exists():
        return None
    try:
        record = json.loads(source.record.read_bytes())
        if record["source"] == source.parts.name:
            return int(record["bad_rows"])
    except FileNotFoundError:
        # From a version that kept none: nobody can tell whether the file has changed.
        with source.target.open("rb") as lines:
            return sum(line.startswith(_BAD) for line in lines)
    except (ValueError, TypeError, KeyError):
        pass  # somebody else wrote it
    return None


def _take(output: Path, kind: dict[str, Any]) -> None:
    """Make the output folder, or see that what is in it is of the same kind."""
    mark = output / _JOB
    try:
        output.mkdir(parents=True, exist_ok=True)
        if mark.exists():
            if json.loads(mark.read_text(encoding="utf-8")) != kind:
                raise ForewarnError(
                    f"{output}: holds verdicts of another model, or other options; name another --output"
                )
        elif any(not x.name.startswith(".") for x in output.iterdir()):
            raise ForewarnError(f"{output}: is not empty and holds no verdicts of ours; name another --output")
        else:
            with _appearing(mark, output) as out:
                out.write(json.dumps(kind).encode("utf-8"))
    except OSError as error:
        raise _unwritable(output, error) from None
    except ValueError:
        raise ForewarnError(f"{mark}: is not ours; name another --output") from None


def _join(source: Source, blocks: int) -> tuple[int, int]:
    """Put the parts of a file together in its place; gives the number of its rows, and of those that are bad."""
    rows = bad = 0
    source.target.parent.mkdir(parents=True, exist_ok=True)
    source.record.parent.mkdir(exist_ok=True)
    with _appearing(source.target, source.parts) as out:
        for number in range(1, blocks + 1):
            with source.part(number).open("rb") as part:
                for line in part:
                    out.write(line)
                    rows += 1
                    if line.startswith(_BAD):
                        bad += 1
                        if bad <= _NAMED:
                            print(f"forewarn: {source.path}, {_told(line)}", file=sys.stderr)
        # Before the verdicts appear: wherever a run is killed, verdicts never stand beside the record of others.
        with _appearing(source.record, source.record.parent) as record:
            record.write(json.dumps({"source": source.parts.name, "bad_rows": bad}).encode("utf-8"))
    if bad > _NAMED:
        print(f"forewarn: {source.path}: {bad - _NAMED} rows more, see {source.target}", file=sys.stderr)
    shutil.rmtree(source.parts, ignore_errors=True)
    return rows, bad


def _told(line: bytes) -> str:
    (unit, number), (_, why) = json.loads(line).items()
    return f"{unit} {number}: {why}"


def _batches(lists: Iterator[list[Row]]) -> Iterator[list[Row]]:
    """What goes through the model together: as many rows or characters, however the reader found them."""
    batch: list[Row] = []
    characters = 0
    for rows in lists:
        for row in rows:
            batch.append(row)
            characters += len(row.text) if isinstance(row, Record) else 0
            if len(batch) == CHUNK or characters >= _BATCH_CHARACTERS:
                yield batch
                batch, characters = [], 0
    if batch:
        yield batch


@contextmanager
def _appearing(path: Path, folder: Path) -> Iterator[BinaryIO]:
    """A file that is at `path`, whole and on the disk, once the block ends; until then it is in `folder`."""
    unfinished = folder / f".{secrets.token_hex(8)}.unfinished"
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _unwritable(output: Path, error: OSError) -> ForewarnError:
    return ForewarnError(f"{output}: cannot be written ({error.strerror or 'output error'})")


def _fingerprint(path: Path, name: Path) -> str:
    """Tells a file from what it was before it changed: its verdicts, and those on its blocks, are no longer right.

    Not by what is in it: the hash of a file of one short message gives the message away.
    """
    status = path.stat()
    return _short_hash(f"{name}\n{status.st_size}\n{status.st_mtime_ns}")


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
