"""`forewarn export`: a checkpoint to an int8 ONNX bundle."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forewarn.inference.errors import ForewarnError

if TYPE_CHECKING:
    from forewarn.training.data.rows import Row

_PUBLIC_ROWS = 300  # sentences a language


def main(argv: Sequence[str]) -> int:
    """Run the export; returns 0, or raises what `forewarn` turns into an exit code (4: the gate did not pass)."""
    parser = argparse.ArgumentParser(prog="forewarn export", description="Turn a checkpoint into an int8 ONNX bundle.")
    parser.add_argument("checkpoint", type=Path, help="checkpoint folder that `forewarn train` wrote")
    parser.add_argument("--out", type=Path, required=True, help="the bundle's folder; OUT.zip is written beside it")
    parser.add_argument(
        "--data", type=Path, default=Path("build/data"), help="built data with the validation and test splits"
    )
    parser.add_argument(
        "--version",
        help="the model's version (default: year.month.N, the next number after the shipped bundle's and that of OUT)",
    )
    parser.add_argument("--evaluation", type=Path, help="evaluation.json of `forewarn evaluate`, for the model card")
    parser.add_argument(
        "--before",
        type=Path,
        help="evaluation.json of the previous version on the same test rows, for the card's before-and-after table",
    )
    arguments = parser.parse_args(argv)

    # Imported late, so that --help and a wrong option answer at once.
    from forewarn.export.bundle_writer import export_bundle, free_version
    from forewarn.export.model_card import before_and_after
    from forewarn.inference.bundle import default_bundle_path
    from forewarn.training.data.dataset import read_split

    evaluation = _read_evaluation(arguments.evaluation) if arguments.evaluation else None
    before = _read_evaluation(arguments.before) if arguments.before else None
    if before and evaluation:
        before_and_after(before, evaluation)  # refused now, and not after all candidates were measured
    elif before:
        raise ForewarnError("--before needs --evaluation: the report of this version on the same rows")
    version = arguments.version or free_version(date.today(), arguments.out, default_bundle_path())
    result = export_bundle(
        arguments.checkpoint,
        arguments.out.absolute(),
        read_split(arguments.data, "validation"),
        version,
        read_split(arguments.data, "test"),
        evaluation,
        before,
        _public_text(),
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    size = sum(x["bytes"] for x in result["manifest"]["files"].values()) / 1e6
    print(f"{arguments.out}: version {result['manifest']['version']}, {result['chosen']}, {size:.1f} MB")
    return 0


def _public_text() -> list[Row]:
    """Held-out sentences of the public text; none where the folder is not there, and the card then leaves them out."""
    from forewarn.training.public_text import public_rows
    from forewarn.training.text import text_folder

    folder = text_folder(None)
    if not (folder / "mono").is_dir():
        print(f"{folder}: no public text, so the card will hold no figures of it; set FOREWARN_TEXT", file=sys.stderr)
        return []
    return public_rows(folder, _PUBLIC_ROWS, held_out=True)


def _read_evaluation(path: Path) -> dict[str, Any]:
    try:
        evaluation = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ForewarnError(f"{path}: not a readable evaluation report ({error})") from None
    if not isinstance(evaluation, dict):
        raise ForewarnError(f"{path}: not an evaluation report; give evaluation.json of `forewarn evaluate`")
    return evaluation
