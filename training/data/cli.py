"""`forewarn data list | fetch | build | stats | check | add | remove`."""

from __future__ import annotations

import argparse
import io
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from forewarn.inference.errors import ForewarnError, GateError
from forewarn.inference.labels import Taxonomy
from forewarn.training.data import registry
from forewarn.training.data.build import build
from forewarn.training.data.dataset import read_split
from forewarn.training.data.split import SPLITS
from forewarn.training.scripts import add as corpus_edit
from forewarn.training.scripts.check import check_language, copies_across
from forewarn.training.scripts.corpus import all_scripts, corpus_folder, held_out


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _list() -> None:
    print(f"{'source':28} {'size':>9}  {'languages':12} licence")
    for source in registry.all_sources():
        print(f"{source.name:28} {source.bytes / 1e6:6.2f} MB  {','.join(source.languages):12} {source.licence}")


def _stats(folder: Path) -> None:
    taxonomy = Taxonomy.load()
    counts: Counter[tuple[str, str, str]] = Counter()
    for split in SPLITS:
        for row in read_split(folder, split):
            label = row.label if row.label in taxonomy.names or "|" not in row.label else "(several leaves)"
            counts[row.source, row.language, label] += 1
    print(f"{'source':28} {'language':9} {'label':24} {'rows':>7}")
    for (source, language, label), count in sorted(counts.items()):
        print(f"{source:28} {language:9} {label:24} {count:7,}")
    print(f"{'all':28} {'':9} {'':24} {counts.total():7,}")


def _check(languages: list[str]) -> int:
    taxonomy = Taxonomy.load()
    scripts = [s for s in all_scripts(checked=False) if not languages or s.language in languages]
    if missing := set(languages) - {s.language for s in scripts}:
        raise ForewarnError(f"no scripts in {', '.join(sorted(missing))}; the rows lie in {corpus_folder()}")
    faults = 0
    print(f"{'language':9} {'rows':>5} {'hard':>9} {'length 5/50/95 %':>17} {'likeness':>8} {'distinct':>8}  tells")
    for language in sorted({s.language for s in scripts}):
        report = check_language(language, [s for s in scripts if s.language == language], taxonomy)
        tells = " ".join(f"{name} {value:.2f}" for name, value in report.tells.items())
        hard = "/".join("-" if share is None else f"{share:.0%}" for share in (report.hard_scams, report.hard_honest))
        lengths = "/".join(map(str, report.lengths))
        print(
            f"{language:9} {report.rows:5} {hard:>9} {lengths:>17} "
            f"{report.likeness:8.3f} {report.distinct:8.3f}  {tells}"
        )
        for error in report.errors:
            print(f"  {language}: {error}", file=sys.stderr)
        faults += len(report.errors)
    for pair in copies_across(scripts):
        print(f"  {pair}", file=sys.stderr)
        faults += 1
    if faults:
        raise GateError(f"the corpus has {faults} faults; mend the rows named above")
    return 0


def _lines(file: str) -> list[str]:
    """The lines of a text file, or of standard input for "-".

    Raises:
        ForewarnError: it cannot be read, or is not UTF-8.
    """
    name = "standard input" if file == "-" else file
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ForewarnError(f"{name}: cannot be read ({error.strerror}); give a UTF-8 text file") from None
    try:
        return list(io.StringIO(content.decode("utf-8-sig"), newline=None))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ForewarnError(f"{name}: line {line} is not UTF-8; save the text as UTF-8") from None


def _add(language: str, file: str, new: bool) -> int:
    if not new and not corpus_edit.language_file(language).exists():
        raise ForewarnError(f"there are no scripts in {language!r} yet; --new begins a language")
    existing = corpus_edit.read_language(language)
    added, refused = corpus_edit.parse(_lines(file), language, existing)
    if added:
        corpus_edit.write_language(language, existing + added)
    for fault in refused:
        skipped = f" (messages under it that were skipped: {fault.skipped})" if fault.skipped else ""
        print(f"line {fault.line}: {fault.reason}{skipped}", file=sys.stderr)
    counts = Counter(script.label for script in existing + added)
    print(" ".join(f"{label} {counts[label]}" for label in Taxonomy.load().names))
    not_taken = sum(1 + fault.skipped for fault in refused)
    print(f"{language}: {len(added)} added, {not_taken} refused, {counts.total()} in all")
    splits = Counter(held_out(script.id for script in added).values())
    if added:
        print("of the added: " + ", ".join(f"{splits[split]} for {split}" for split in SPLITS))
    return 2 if refused else 0


def main(argv: Sequence[str]) -> int:
    """Run `forewarn data`; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="forewarn data", description="The labelled data, from public files to splits."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the sources, their sizes, languages and licences")
    for name, about in (("fetch", "get and verify the files of the sources"), ("build", "make the splits")):
        command = commands.add_parser(name, help=about)
        command.add_argument("sources", nargs="*", help="only these (default: all)")
        command.add_argument("--skip", action="append", default=[], metavar="SOURCE", help="leave this source out")
        if name == "build":
            command.add_argument(
                "--out", type=Path, default=Path("build/data"), help="folder of the splits (default: %(default)s)"
            )
            command.add_argument(
                "--seed", type=int, default=20261125, help="of the splits and of filled slots (default: %(default)s)"
            )
    stats = commands.add_parser("stats", help="rows by source, language and label")
    stats.add_argument(
        "--data", type=Path, default=Path("build/data"), help="folder that `data build` wrote (default: %(default)s)"
    )
    check = commands.add_parser("check", help="validate our own scripts (exit code 4 when something must be mended)")
    check.add_argument("languages", nargs="*", help="only these (default: all)")
    add = commands.add_parser("add", help="add scripts of a language, written as data_cards/.../WRITING.md says")
    add.add_argument("language", help="BCP 47 tag, for example pt")
    add.add_argument("file", nargs="?", default="-", help="text file (default: standard input)")
    add.add_argument("--new", action="store_true", help="begin a language that has no scripts yet")
    remove = commands.add_parser("remove", help="take scripts out of the corpus")
    remove.add_argument("ids", nargs="+", metavar="ID", help="as `data check` names them, such as en-loan-001")
    args = parser.parse_args(argv)
    if args.command == "check":
        return _check(args.languages)
    if args.command == "add":
        return _add(args.language, args.file, args.new)
    if args.command == "remove":
        corpus_edit.remove(args.ids)
    elif args.command == "list":
        _list()
    elif args.command == "stats":
        _stats(args.data)
    elif args.command == "fetch":
        for source in registry.select(args.sources, args.skip):
            paths = registry.fetch(source, progress=_say)
            _say(f"{source.name}: {len(paths)} files verified")
    else:
        info = build(registry.select(args.sources, args.skip), args.out, args.seed, _say)
        counts = ", ".join(f"{split} {count:,}" for split, count in info["rows"].items())
        print(f"{args.out}: {counts} rows in {info['groups']:,} groups; what was left out: {args.out}/rejected.jsonl")
    return 0
