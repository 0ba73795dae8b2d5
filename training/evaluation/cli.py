"""`forewarn evaluate`: measures a checkpoint or a bundle and writes evaluation.json and evaluation.html."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from forewarn.training.evaluation.report import headline, language_table, write_report
from forewarn.training.evaluation.run import Obfuscate, evaluate
from forewarn.training.evaluation.scorers import open_scorer


def parser() -> argparse.ArgumentParser:
    """The options of `forewarn evaluate`."""
    options = argparse.ArgumentParser(
        prog="forewarn evaluate", description="Measure a model by language, source and leaf, beside a linear baseline."
    )
    options.add_argument("target", type=Path, help="a checkpoint folder, a bundle folder or a bundle .zip")
    options.add_argument("--data", type=Path, default=Path("build/data"), help="built data (default: %(default)s)")
    options.add_argument(
        "--split", default="test", choices=("train", "validation", "test"), help="default: %(default)s"
    )
    options.add_argument("--out", type=Path, help="folder for the reports (default: build/evaluation/NAME)")
    options.add_argument("--no-baseline", action="store_true", help="leave the TF-IDF baseline out")
    options.add_argument("--no-obfuscated", action="store_true", help="leave the obfuscated copy out")
    options.add_argument("--resamples", type=_count, default=500, help="for the intervals (default: %(default)s)")
    options.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = parser().parse_args(argv)
    from forewarn.training.data.dataset import build_info, read_split

    scorer = open_scorer(args.target)
    obfuscate: Obfuscate | None = None
    if not args.no_obfuscated:
        from forewarn.training.augment import obfuscate as disguise

        obfuscate = disguise
    result = evaluate(
        read_split(args.data, args.split),
        None if args.no_baseline else read_split(args.data, "train"),
        scorer,
        obfuscate,
        args.seed,
        resamples=args.resamples,
        cache=args.data,
        log=lambda line: print(line, file=sys.stderr),
    )
    name = args.target.resolve().name
    fingerprint = build_info(args.data)["fingerprint"]
    head = {
        "target": name,
        "split": args.split,
        "data_fingerprint": fingerprint,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    out = args.out or Path("build/evaluation") / name
    paths = write_report(head | result, out)
    print(language_table(result))
    print(headline(result))
    for path in paths:
        print(f"wrote {path}", file=sys.stderr)
    return 0


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
