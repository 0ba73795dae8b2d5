"""Scores messages from a hand that never saw the corpus: `python tests/unseen/run.py [--bundle DIR] [--show]`.

No training, calibration or choice of a recipe reads them. They tell what the test split cannot: how a model fares on
messages that share neither writer nor habit with its training rows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from forewarn.inference import ScamClassifier, Verdict
from forewarn.inference.labels import Taxonomy
from forewarn.training.evaluation.baseline import truths
from forewarn.training.evaluation.metrics import auroc

ROWS = Path(__file__).parent / "rows"
COLUMNS = ("language", "scams", "others", "AUROC", "warn: found", "false", "block: found", "false", "right leaf")


@dataclass(frozen=True)
class Message:
    """A message, its leaf, and the way it came (sms, chat or call)."""

    text: str
    label: str
    channel: str


def read(language: str) -> list[Message]:
    """The messages of a language."""
    lines = (ROWS / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Message(**json.loads(line)) for line in lines]


def languages() -> list[str]:
    """Tags of the languages that there are messages of."""
    return sorted(path.stem for path in ROWS.glob("*.jsonl"))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, share = 1.96, hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * np.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def scams(messages: Sequence[Message], taxonomy: Taxonomy) -> np.ndarray:
    """Which messages are scams, (messages,) bool."""
    return truths([x.label for x in messages], taxonomy)[0] == 1


def line(name: str, messages: Sequence[Message], verdicts: Sequence[Verdict], taxonomy: Taxonomy) -> str:
    """One row of the table."""
    scam = scams(messages, taxonomy)
    warned = np.array([x.action != "allow" for x in verdicts])
    blocked = np.array([x.action == "block" for x in verdicts])
    named = np.array([x.type == y.label for x, y in zip(verdicts, messages, strict=True)])
    cells = [name, f"{scam.sum()}", f"{(~scam).sum()}", f"{auroc(np.array([x.risk for x in verdicts]), scam):.3f}"]
    for hits, side in ((warned, scam), (warned, ~scam), (blocked, scam), (blocked, ~scam)):
        low, high = wilson(int(hits[side].sum()), int(side.sum()))
        cells.append(f"{hits[side].mean():.2f} ({low:.2f}–{high:.2f})")
    cells.append(f"{named[scam].mean():.2f}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table, and with `--show` the messages that were judged wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="a bundle folder (default: the shipped one)")
    parser.add_argument("--show", action="store_true", help="print missed scams and flagged honest messages")
    args = parser.parse_args()
    classifier, taxonomy = ScamClassifier.load(args.bundle), Taxonomy.load()
    print(
        "| language | scams | others | AUROC | warn: found | warn: false | block: found | block: false | right leaf |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    everything: list[tuple[Message, Verdict]] = []
    for language in languages():
        messages = read(language)
        verdicts = classifier.score([x.text for x in messages])
        print(line(language, messages, verdicts, taxonomy))
        everything += zip(messages, verdicts, strict=True)
    messages, verdicts = [x for x, _ in everything], [x for _, x in everything]
    print(line("all", messages, verdicts, taxonomy))
    if args.show:
        judged = zip(messages, verdicts, scams(messages, taxonomy), strict=True)
        for message, verdict, scam in sorted(judged, key=lambda found: found[1].risk):
            if scam != (verdict.action != "allow"):
                print(f"{verdict.risk:.2f} {verdict.action} {message.label}: {message.text}")


if __name__ == "__main__":
    main()
