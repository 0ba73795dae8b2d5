"""`forewarn score`: verdicts for messages from the arguments, a file, a folder or standard input."""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from forewarn.inference.batch import Engine, score_files, score_here, score_records
from forewarn.inference.bundle import Bundle
from forewarn.inference.classifier import ScamClassifier, Verdict
from forewarn.inference.errors import ForewarnError, MissingExtraError
from forewarn.inference.readers import STDIN, BadRow, Record, Row, read_rows

SNIPPET = 40
ID_WIDTH = 12
_COLOURS = {"block": "\033[31m", "warn": "\033[33m", "allow": "\033[32m"}
_RESET = "\033[0m"


def main(argv: Sequence[str] | None = None) -> int:
    """Score messages and print a table or one JSON object a message, in input order, or write it to a folder.

    Raises:
        ForewarnError: unreadable input, rows that are no messages (which do not keep others from being scored), or a
            damaged or foreign bundle.
    """
    args, unknown = _parser().parse_known_args(argv)
    if unknown:
        # Not shown: a message that begins with a dash ends up here.
        raise ForewarnError("score: no such option (see --help); put -- before a TEXT that starts with -")
    if bool(args.text) == bool(args.input):
        raise ForewarnError("score needs either TEXT or --input FILE (--input - reads standard input)")
    if args.output:
        return _score_files(args)
    if args.engine == "ray":
        raise ForewarnError("score: --engine ray writes files; give --input FILE_OR_FOLDER and --output FOLDER")
    if args.input and args.input != STDIN and Path(args.input).is_dir():
        raise ForewarnError(f"{args.input}: is a folder; say with --output where the files of its verdicts shall be")
    classifier = ScamClassifier.load(args.bundle, threads=args.threads)
    lists: Iterable[list[Row]]
    if args.input:
        lists = read_rows(args.input)
    else:
        lists = [[Record(text, number) for number, text in enumerate(args.text, start=1)]]

    out = sys.stdout
    if isinstance(out, io.TextIOWrapper):
        # JSON is UTF-8 whatever the terminal; a table must survive a terminal that is not.
        if args.format == "jsonl":
            out.reconfigure(encoding="utf-8", errors="replace")
        else:
            out.reconfigure(errors="replace")
    if args.format != "jsonl":
        out.write(f"{'ID':{ID_WIDTH}}  {'VERDICT':10}  {'RISK':>6}  {'ACTION':6}  {'TYPE':23}  MESSAGE\n")
    _print_verdicts(classifier, lists, args, out)
    return 0


def _score_files(args: argparse.Namespace) -> int:
    if not args.input or args.input == STDIN or args.format == "table":
        raise ForewarnError("score: --output takes JSON lines of what --input FILE_OR_FOLDER names")
    engine: Engine = score_here
    if args.engine == "ray":
        try:
            from forewarn.inference.scale.score import score_on_cluster
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "ray":
                raise
            raise MissingExtraError("score --engine ray", "scale") from None
        engine = score_on_cluster
    done = score_files(
        Path(args.input),
        Path(args.output),
        Bundle.open(args.bundle),
        engine,
        explain=args.explain,
        locale=args.locale,
        threads=args.threads,
    )
    print(done)
    return 0


def _print_verdicts(
    classifier: ScamClassifier, lists: Iterable[list[Row]], args: argparse.Namespace, out: TextIO
) -> None:
    """Print a line a row, as the rows come.

    Raises:
        ForewarnError: rows were no messages; all others have been scored.
    """
    count = bad = 0
    first: BadRow | None = None
    try:
        for rows in lists:
            records = [row for row in rows if isinstance(row, Record)]
            verdicts = iter(score_records(classifier, records, args.explain, args.locale))
            for row in rows:
                count += 1
                if isinstance(row, BadRow):
                    bad += 1
                    first = first or row
                    _write_bad(out, row, args.format)
                elif args.format == "jsonl":
                    out.write(json.dumps(next(verdicts).to_dict(row.id), ensure_ascii=False) + "\n")
                else:
                    _write_row(out, row, next(verdicts))
            out.flush()
    finally:
        # What was answered before a failure must not be lost with it.
        out.flush()
    if first:
        source = "standard input" if args.input == STDIN else Path(args.input)
        raise ForewarnError(f"{source}: {bad} of {count} rows could not be scored; the first is {first}")


def _write_bad(out: TextIO, row: BadRow, format: str | None) -> None:
    if format == "jsonl":
        out.write(json.dumps(row.to_dict()) + "\n")
    else:
        place = f"{row.unit} {row.number}"
        out.write(f"{place:{ID_WIDTH}}  {'error':10}  {'-':>6}  {'-':6}  {'-':23}  {row.why}\n")


def _write_row(out: TextIO, record: Record, verdict: Verdict) -> None:
    action = f"{verdict.action:6}"
    if out.isatty():
        action = f"{_COLOURS[verdict.action]}{action}{_RESET}"
    # The message itself comes last: its width on a terminal cannot be known in every script.
    out.write(
        f"{_snippet(str(record.id), ID_WIDTH):{ID_WIDTH}}  {verdict.verdict:10}  {verdict.risk:6.1%}  {action}  "
        f"{verdict.type:23}  {_snippet(record.text, SNIPPET)}\n"
    )
    for span in verdict.evidence or []:
        out.write(f"{'':{ID_WIDTH}}  {span['weight']:+10.2f}  {_snippet(span['text'], 2 * SNIPPET)}\n")
    if verdict.forewarning:
        width = max(40, shutil.get_terminal_size().columns)
        out.write(f"{'':{ID_WIDTH}}  {_snippet(verdict.forewarning, max(400, width))}\n")


def _snippet(text: str, width: int) -> str:
    """The beginning of a text on one line, without anything that could steer a terminal."""
    line = re.sub(r"\s+", " ", text[: 4 * width]).strip()
    line = "".join(c for c in line if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    return line if len(line) <= width else line[: width - 1] + "…"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="forewarn score",
        description="Score messages. Nothing leaves this process, and no text is kept.",
        allow_abbrev=False,
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="messages to score")
    parser.add_argument(
        "--input", metavar="FILE", help=".txt, .jsonl, .csv or .parquet, a folder of them, or - for standard input"
    )
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        help="write a .jsonl file there for each of --input that has none there or has changed since",
    )
    parser.add_argument("--format", choices=("table", "jsonl"), help="how to print (default: table)")
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="with --output: this machine alone, or the Ray cluster that this machine is in (default: local)",
    )
    parser.add_argument("--bundle", metavar="DIR", help="a bundle folder or .zip (default: the one that ships)")
    parser.add_argument("--explain", action="store_true", help="add evidence and a forewarning to each verdict")
    parser.add_argument(
        "--locale",
        metavar="TAG",
        help="language of the forewarning, as en-SG or zh-Hant (default: en); its region tells senders from abroad; "
        "for rows without a `locale` of their own",
    )
    parser.add_argument("--threads", type=_positive, metavar="N", help="cores to use (default: all)")
    return parser


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number
