"""`forewarn data list | fetch | build | stats | check | add | remove`."""

from __future__ import annotations

import argparse
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
from forewarn.training.scripts.corpus import all_scripts, corpus_folder


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _list() -> None:
    for source in registry.all_sources():
        size = sum(file.bytes for file in source.files)
        print(f"{source.name:28} {size / 1e6:6.2f} MB  {','.join(source.languages):12} {source.licence}")


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
    scripts = [s for s in all_scripts() if not languages or s.language in languages]
    if missing := set(languages) - {s.language for s in scripts}:
        raise ForewarnError(f"no scripts in {', '.join(sorted(missing))}; the rows lie in {corpus_folder()}")
    faults = 0
    print(f"{'language':9} {'rows':>5} {'hard':>9} {'length 5/50/95 %':>17} {'likeness':>8} {'distinct':>8}  tells")
    for language in sorted({s.language for s in scripts}):
        report = check_language(language, [s for s in scripts if s.language == language], taxonomy)
        tells = " ".join(f"{name} {value:.2f}" for name, value in report.tells.items())
        hard = f"{report.hard_scams:.0%}/{report.hard_honest:.0%}"
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


def _add(language: str, file: str) -> int:
    existing = corpus_edit.read_language(language)
    try:
        lines = sys.stdin.readlines() if file == "-" else Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ForewarnError(f"{file}: cannot be read ({error}); give a UTF-8 text file") from None
    added, refused = corpus_edit.parse(lines, language, existing)
    if added:
        corpus_edit.write_language(language, existing + added)
    for fault in refused:
        print(f"line {fault.line}: {fault.reason}", file=sys.stderr)
    counts = Counter(script.label for script in existing + added)
    print(" ".join(f"{label} {counts[label]}" for label in Taxonomy.load().names))
    print(f"{language}: {len(added)} added, {len(refused)} refused, {counts.total()} in all")
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
            command.add_argument("--out", type=Path, default=Path("build/data"))
            command.add_argument("--seed", type=int, default=20261125)
    stats = commands.add_parser("stats", help="rows by source, language and label")
    stats.add_argument("--data", type=Path, default=Path("build/data"))
    check = commands.add_parser("check", help="validate our own scripts (exit code 4 when something must be mended)")
    check.add_argument("languages", nargs="*", help="only these (default: all)")
    add = commands.add_parser("add", help="add scripts of a language, written as data_cards/.../WRITING.md says")
    add.add_argument("language", help="BCP 47 tag, for example pt")
    add.add_argument("file", nargs="?", default="-", help="text file (default: standard input)")
    remove = commands.add_parser("remove", help="take scripts out of the corpus")
    remove.add_argument("ids", nargs="+", metavar="ID")
    args = parser.parse_args(argv)
    if args.command == "check":
        return _check(args.languages)
    if args.command == "add":
        return _add(args.language, args.file)
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
