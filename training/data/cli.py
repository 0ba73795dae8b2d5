"""`forewarn data list | fetch | build | stats`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from forewarn.inference.labels import Taxonomy
from forewarn.training.data import registry
from forewarn.training.data.build import build
from forewarn.training.data.dataset import read_split
from forewarn.training.data.split import SPLITS


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
    args = parser.parse_args(argv)
    if args.command == "list":
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
