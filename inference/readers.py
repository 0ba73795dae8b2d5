"""Messages from files and standard input, as a stream of bounded memory.

Errors name the file and the line, never what stands there.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from forewarn.inference.errors import ForewarnError, MissingExtraError

STDIN = "-"
BATCH = 256
SUFFIXES = (".txt", ".jsonl", ".csv", ".parquet")

_COLUMNS = ("text", "id", "sender", "locale")
_CHUNK = 1 << 16
_MAX_LINE = 1 << 24
_BOM = b"\xef\xbb\xbf"
_NOT_CSV = "not valid CSV (check its quotes)"
_NOT_UTF8 = "not UTF-8; convert the file to UTF-8 first"


@dataclass(frozen=True, slots=True)
class Record:
    """One message: its text, its id (its line or row number where the input gives none), sender and locale if known."""

    text: str
    id: str | int
    sender: str | None = None
    locale: str | None = None

    def __repr__(self) -> str:
        # Text and sender stay out of tracebacks and logs.
        return f"Record(id={self.id!r})"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line or row that holds no message: what is wrong with it, and its number."""

    number: int
    why: str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.unit} {self.number}: {self.why}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that stands where a message would have its verdict."""
        return {self.unit: self.number, "error": self.why}


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a file: bytes, or row groups of Parquet, from `start` until before `end`.

    Its first line or row has the number `first` in the file.
    """

    start: int
    end: int
    first: int


Row = Record | BadRow
# From a line's number and content to its row, or None for a line that holds none.
Parser = Callable[[int, str], Row | None]
# Lines with their numbers; None for one that is not UTF-8.
Lines = Iterator[list[tuple[int, str | None]]]


def read_rows(source: str | Path, size: int = BATCH, span: Span | None = None) -> Iterator[list[Row]]:
    """Messages and malformed lines, in order, in lists of at most `size`.

    Standard input gives what has arrived without waiting for a full list, so that each line of a slow producer is
    answered at once.

    Args:
        source: .txt (a message a line), .jsonl (`text`, optional `id`, `sender`, `locale`), .csv or .parquet (columns
            of these names), or "-" for standard input, where a line that starts with `{` is JSON and any other is a
            message.
        size: the most rows a list.
        span: the part of the file to read, as `split` gave it; None is all of it.

    Raises:
        ForewarnError: the file cannot be read as what its name says.
    """
    if str(source) == STDIN:
        # read1 gives what is there; read would wait for the whole chunk.
        read = getattr(sys.stdin.buffer, "read1", sys.stdin.buffer.read)
        yield from _gather(_lines(read, "standard input"), _parse_mixed(), size)
        return
    path = Path(source)
    suffix = _suffix(path)
    try:
        if suffix == ".parquet":
            yield from _parquet(path, size, span)
            return
        with path.open("rb") as stream:
            if span is None:
                lines = _lines(stream.read, str(path))
            else:
                stream.seek(span.start)
                lines = _lines(_at_most(stream.read, span.end - span.start), str(path), span.first)
            if suffix == ".csv":
                yield from _csv(lines, str(path), size)
            else:
                yield from _gather(lines, _parse_text if suffix == ".txt" else _parse_json, size)
    except OSError as error:
        raise ForewarnError(f"{path}: cannot be read ({error.strerror or 'input error'})") from None


def split(path: Path, rows: int) -> Iterator[Span]:
    """The parts of a file that can be read each for itself, at least one; together they are all of it.

    Args:
        path: the file.
        rows: how many lines a part has; rows of Parquet at least. A .csv is one part: a message in it may hold lines.

    Raises:
        ForewarnError: the file cannot be read.
    """
    suffix = _suffix(path)
    try:
        if suffix == ".parquet":
            yield from _split_parquet(path, rows)
        elif suffix == ".csv":
            yield Span(0, path.stat().st_size, 1)
        else:
            yield from _split_lines(path, rows)
    except OSError as error:
        raise ForewarnError(f"{path}: cannot be read ({error.strerror or 'input error'})") from None


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ForewarnError(
            f"{path}: cannot tell its format; name it {', '.join(SUFFIXES)}, or pipe it in with --input -"
        )
    return suffix


def _split_lines(path: Path, rows: int) -> Iterator[Span]:
    start, first, lines, offset = 0, 1, 0, 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            here = 0
            while lines + (ahead := chunk.count(b"\n", here)) >= rows:
                for _ in range(rows - lines):
                    here = chunk.index(b"\n", here) + 1
                yield Span(start, offset + here, first)
                start, first, lines = offset + here, first + rows, 0
            lines += ahead
            offset += len(chunk)
    if offset > start or not offset:
        yield Span(start, offset, first)


def _at_most(read: Callable[[int], bytes], size: int) -> Callable[[int], bytes]:
    """`read`, of the next `size` bytes and none after them."""
    left = size

    def limited(wanted: int) -> bytes:
        nonlocal left
        chunk = read(min(wanted, left))
        left -= len(chunk)
        return chunk

    return limited


def _lines(read: Callable[[int], bytes], name: str, first: int = 1) -> Lines:
    """Numbered lines, in lists of what one read brought."""
    numbers = count(first)
    rest = bytearray()
    while chunk := read(_CHUNK):
        *complete, tail = chunk.split(b"\n")
        if complete:
            complete[0] = bytes(rest) + complete[0]
            rest = bytearray(tail)
            yield [_decode(raw, next(numbers)) for raw in complete]
        else:
            rest += tail
        if len(rest) > _MAX_LINE:
            raise ForewarnError(f"{name}, line {next(numbers)}: longer than 16 MiB; a message a line is expected")
    if rest:
        yield [_decode(bytes(rest), next(numbers))]


def _decode(raw: bytes, number: int) -> tuple[int, str | None]:
    try:
        return number, (raw.removeprefix(_BOM) if number == 1 else raw).removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        return number, None


def _gather(chunks: Lines, parse: Parser, size: int) -> Iterator[list[Row]]:
    for chunk in chunks:
        batch: list[Row] = []
        for number, line in chunk:
            row = BadRow(number, _NOT_UTF8) if line is None else parse(number, line)
            if row is not None:
                batch.append(row)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch


def _parse_text(number: int, line: str) -> Row:
    # An empty line is an empty message: answers then match the file line by line.
    return Record(line, number)


def _parse_json(number: int, line: str) -> Row | None:
    if not line.strip():
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return BadRow(number, "not valid JSON; one object a line is expected")
    if not isinstance(value, dict):
        return BadRow(number, 'not an object; {"text": ...} is expected')
    return _row(value, number, partial(BadRow, number))


def _parse_mixed() -> Parser:
    was_json = False

    def parse(number: int, line: str) -> Row | None:
        nonlocal was_json
        if line.startswith("{"):
            was_json = True
            return _parse_json(number, line)
        # Among JSON lines an empty line is only white space.
        return None if was_json and not line.strip() else _parse_text(number, line)

    return parse


def _row(fields: dict[str, Any], number: int, bad: Callable[[str], BadRow]) -> Row:
    text, id, sender, locale = (fields.get(name) for name in _COLUMNS)
    if not isinstance(text, str):
        return bad("`text` is missing or not a string")
    if id is not None and (isinstance(id, bool) or not isinstance(id, (str, int))):
        return bad("`id` is neither a string nor a whole number")
    if sender is not None and not isinstance(sender, str):
        return bad("`sender` is not a string")
    if locale is not None and not isinstance(locale, str):
        return bad("`locale` is not a string")
    return Record(text, number if id is None or id == "" else id, sender or None, locale or None)


def _csv(chunks: Lines, name: str, size: int) -> Iterator[list[Row]]:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_LINE))
    broken: list[int] = []  # numbers of lines that are not UTF-8 and of which no row has been made yet

    def lines() -> Iterator[str]:
        for chunk in chunks:
            for number, line in chunk:
                if line is None:
                    broken.append(number)
                # Something must stand there, or the row after it would be taken for this one.
                yield f"{'?' if line is None else line}\n"

    table = csv.DictReader(lines(), strict=True)
    try:
        columns = table.fieldnames or ()
    except csv.Error:
        raise ForewarnError(f"{name}, line 1: {_NOT_CSV}") from None
    if broken:
        raise ForewarnError(f"{name}, line 1: {_NOT_UTF8}")
    if "text" not in columns:
        raise ForewarnError(f"{name}: no `text` column in its first line; name the column with the messages `text`")
    batch: list[Row] = []
    for number in count(1):
        fields: dict[str, Any] = {}
        try:
            fields = next(table)
        except StopIteration:
            break
        except csv.Error:
            batch.append(BadRow(table.reader.line_num, _NOT_CSV))
        else:
            if not broken:
                batch.append(_row(fields, number, partial(BadRow, table.line_num)))
        batch += [BadRow(line, _NOT_UTF8) for line in broken]
        broken.clear()
        if len(batch) >= size:
            yield batch
            batch = []
    batch += [BadRow(line, _NOT_UTF8) for line in broken]
    if batch:
        yield batch


def _parquet(path: Path, size: int, span: Span | None) -> Iterator[list[Row]]:
    with _parquet_file(path) as table:
        if "text" not in table.schema_arrow.names:
            raise ForewarnError(f"{path}: no `text` column; name the column with the messages `text`")
        columns = [name for name in _COLUMNS if name in table.schema_arrow.names]
        groups = range(span.start, span.end) if span else range(table.num_row_groups)
        first = span.first if span else 1
        for rows in table.iter_batches(batch_size=size, row_groups=list(groups), columns=columns):
            numbered = enumerate(rows.to_pylist(), start=first)
            yield [_row(row, number, partial(BadRow, number, unit="row")) for number, row in numbered]
            first += len(rows)


def _split_parquet(path: Path, rows: int) -> Iterator[Span]:
    with _parquet_file(path) as table:
        start, first, held = 0, 1, 0
        for group in range(table.num_row_groups):
            held += table.metadata.row_group(group).num_rows
            if held >= rows or group == table.num_row_groups - 1:
                yield Span(start, group + 1, first)
                start, first, held = group + 1, first + held, 0
        if not table.num_row_groups:
            yield Span(0, 0, 1)


@contextmanager
def _parquet_file(path: Path) -> Iterator[Any]:
    """An open Parquet file, whose faults are told in one line."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise MissingExtraError("reading Parquet", "parquet") from None
    if not path.is_file():
        raise ForewarnError(f"{path}: no such file")
    try:
        with pq.ParquetFile(path) as table:
            yield table
    except (pa.ArrowException, UnicodeDecodeError):
        raise ForewarnError(f"{path}: not a readable Parquet file; write it again") from None
