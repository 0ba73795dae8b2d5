"""Messages from files and standard input, as a stream of bounded memory.

Errors name the file and the line, never what stands there.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from forewarn.inference.errors import ForewarnError, MissingExtraError

STDIN = "-"
BATCH = 256
SUFFIXES = (".txt", ".jsonl", ".csv", ".parquet")

_CHUNK = 1 << 16
_MAX_LINE = 1 << 24
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Record:
    """One message: its text, its id (its line or row number where the input gives none), and its sender if known."""

    text: str
    id: str | int
    sender: str | None = None

    def __repr__(self) -> str:
        # Text and sender stay out of tracebacks and logs.
        return f"Record(id={self.id!r})"


# From a line's number and content to its message, or None for a line that holds none.
Parser = Callable[[int, str], Record | None]


def read_records(source: str | Path) -> Iterator[Record]:
    """Stream the messages of a file.

    Args:
        source: .txt (a message a line), .jsonl (`text`, optional `id`, `sender`), .csv or .parquet (a `text` column,
            optional `id`, `sender`), or "-" for standard input, where a line that starts with `{` is JSON and any other
            is a message.

    Raises:
        ForewarnError: the file cannot be read or a line is malformed; names the file and the line.
    """
    for batch in read_batches(source):
        yield from batch


def read_batches(source: str | Path, size: int = BATCH) -> Iterator[list[Record]]:
    """The same in lists of at most `size`.

    Standard input gives what has arrived without waiting for a full list, so that each line of a slow producer is
    answered at once. When a line is malformed, the messages before it come first, then the error.
    """
    if str(source) == STDIN:
        yield from _gather(_lines(sys.stdin.buffer, "standard input"), _parse_mixed("standard input"), size)
        return
    path = Path(source)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ForewarnError(
            f"{path}: cannot tell its format; name it {', '.join(SUFFIXES)}, or pipe it in with --input -"
        )
    try:
        if suffix == ".parquet":
            yield from _parquet(path, size)
            return
        with path.open("rb") as stream:
            lines = _lines(stream, str(path))
            if suffix == ".csv":
                yield from _csv(lines, str(path), size)
            else:
                yield from _gather(lines, _parse_text if suffix == ".txt" else _parse_json(str(path)), size)
    except OSError as error:
        raise ForewarnError(f"{path}: cannot be read ({error.strerror or 'input error'})") from None


def _lines(stream: BinaryIO, name: str) -> Iterator[list[tuple[int, str]]]:
    """Numbered lines, in lists of what one read brought."""
    numbers = count(1)
    rest = bytearray()
    # read1 gives what is there; read would wait for the whole chunk.
    read = getattr(stream, "read1", stream.read)
    while chunk := read(_CHUNK):
        *complete, tail = chunk.split(b"\n")
        if complete:
            complete[0] = bytes(rest) + complete[0]
            rest = bytearray(tail)
            decoded: list[tuple[int, str]] = []
            for raw in complete:
                try:
                    decoded.append(_decode(raw, next(numbers), name))
                except ForewarnError:
                    if decoded:
                        yield decoded
                    raise
            yield decoded
        else:
            rest += tail
        if len(rest) > _MAX_LINE:
            raise ForewarnError(f"{name}, line {next(numbers)}: longer than 16 MiB; a message a line is expected")
    if rest:
        yield [_decode(bytes(rest), next(numbers), name)]


def _decode(raw: bytes, number: int, name: str) -> tuple[int, str]:
    try:
        return number, (raw.removeprefix(_BOM) if number == 1 else raw).removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        raise ForewarnError(f"{name}, line {number}: not UTF-8; convert the file to UTF-8 first") from None


def _gather(chunks: Iterator[list[tuple[int, str]]], parse: Parser, size: int) -> Iterator[list[Record]]:
    for chunk in chunks:
        batch: list[Record] = []
        for number, line in chunk:
            try:
                record = parse(number, line)
            except ForewarnError:
                if batch:
                    yield batch
                raise
            if record is not None:
                batch.append(record)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch


def _parse_text(number: int, line: str) -> Record:
    # An empty line is an empty message: answers then match the file line by line.
    return Record(line, number)


def _parse_json(name: str) -> Parser:
    def parse(number: int, line: str) -> Record | None:
        if not line.strip():
            return None
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise ForewarnError(f"{name}, line {number}: not valid JSON; one object a line is expected") from None
        if not isinstance(value, dict):
            raise ForewarnError(f'{name}, line {number}: not an object; {{"text": ...}} is expected')
        return _record(value.get("text"), value.get("id"), value.get("sender"), f"{name}, line {number}", number)

    return parse


def _parse_mixed(name: str) -> Parser:
    parse_json = _parse_json(name)
    was_json = False

    def parse(number: int, line: str) -> Record | None:
        nonlocal was_json
        if line.startswith("{"):
            was_json = True
            return parse_json(number, line)
        # Among JSON lines an empty line is only white space.
        return None if was_json and not line.strip() else _parse_text(number, line)

    return parse


def _record(text: Any, id: Any, sender: Any, where: str, number: int) -> Record:
    if not isinstance(text, str):
        raise ForewarnError(f"{where}: `text` is missing or not a string")
    if id is not None and (isinstance(id, bool) or not isinstance(id, (str, int))):
        raise ForewarnError(f"{where}: `id` is neither a string nor a whole number")
    if sender is not None and not isinstance(sender, str):
        raise ForewarnError(f"{where}: `sender` is not a string")
    return Record(text, number if id is None or id == "" else id, sender or None)


def _csv(chunks: Iterator[list[tuple[int, str]]], name: str, size: int) -> Iterator[list[Record]]:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_LINE))
    rows = csv.DictReader((f"{line}\n" for chunk in chunks for _, line in chunk), strict=True)
    batch: list[Record] = []
    try:
        if "text" not in (rows.fieldnames or ()):
            raise ForewarnError(f"{name}: no `text` column in its first line; name the column with the messages `text`")
        for number, row in enumerate(rows, start=1):
            where = f"{name}, line {rows.line_num}"
            batch.append(_record(row["text"], row.get("id"), row.get("sender"), where, number))
            if len(batch) == size:
                yield batch
                batch = []
    except ForewarnError:
        if batch:
            yield batch
        raise
    except csv.Error:
        if batch:
            yield batch
        raise ForewarnError(f"{name}, line {rows.reader.line_num}: not valid CSV (check its quotes)") from None
    if batch:
        yield batch


def _parquet(path: Path, size: int) -> Iterator[list[Record]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise MissingExtraError("reading Parquet", "parquet") from None
    if not path.is_file():
        raise ForewarnError(f"{path}: no such file")
    try:
        with pq.ParquetFile(path) as table:
            if "text" not in table.schema_arrow.names:
                raise ForewarnError(f"{path}: no `text` column; name the column with the messages `text`")
            columns = [name for name in ("text", "id", "sender") if name in table.schema_arrow.names]
            number = 0
            for rows in table.iter_batches(batch_size=size, columns=columns):
                batch = []
                for row in rows.to_pylist():
                    number += 1
                    where = f"{path}, row {number}"
                    try:
                        batch.append(_record(row["text"], row.get("id"), row.get("sender"), where, number))
                    except ForewarnError:
                        if batch:
                            yield batch
                        raise
                yield batch
    except (pa.ArrowException, UnicodeDecodeError):
        raise ForewarnError(f"{path}: not a readable Parquet file; write it again") from None
