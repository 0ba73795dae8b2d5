"""Measures how many warnings survive each rewrite: `python tests/attacks/run.py [--bundle DIR] [--out FILE]`.

Test rows only, at the bundle's own threshold for `warn`. A trick is counted on the scams that it changes.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # run as a file, it does not see its own package

from forewarn.inference import ScamClassifier
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.dataset import read_split
from forewarn.training.data.rows import Row
from forewarn.training.evaluation.baseline import truths

from attacks.search import attack
from attacks.tricks import TRICKS, answering, buried, everyday, padded

SCAMS, HONEST, SEARCHED = 2000, 3000, 150


def measure(
    classifier: ScamClassifier, rows: list[Row], scams: int = SCAMS, honest: int = HONEST, searched: int = SEARCHED
) -> dict[str, object]:
    """All figures, from a sample of the rows (the same one every time)."""
    taxonomy = Taxonomy.load()
    threshold = classifier.manifest["operating_points"]["warn"]["threshold"]

    def warned(texts: list[str]) -> np.ndarray:
        return np.array([verdict.risk >= threshold for verdict in classifier.score(texts)])

    rng = random.Random(7)
    is_scam = truths([row.label for row in rows], taxonomy)[0]
    bad, good = ([row for row, scam in zip(rows, is_scam, strict=True) if scam == side] for side in (1, 0))
    if not bad or not good:
        raise SystemExit("attacks: the test rows hold no scams, or nothing but scams; build the data with both")
    bad, good = rng.sample(bad, min(scams, len(bad))), rng.sample(good, min(honest, len(good)))
    clean = warned([row.text for row in bad])
    tricks: dict[str, dict[str, float]] = {}
    families: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    by_language = defaultdict(list)
    for row in good:
        if len(row.text) < 160:
            by_language[row.language].append(row.text)
    rewrites = {name: [trick(row.text, random.Random(row.text)) for row in bad] for name, trick in TRICKS.items()}
    for trick in (padded, answering):
        rewrites[trick.__name__] = [
            trick(row.text, rng.choice(by_language[row.language]), rng) if by_language[row.language] else row.text
            for row in bad
        ]

    def hidden(chosen: list[Row]) -> list[str]:
        return [buried(row.text, by_language[row.language] or [row.text], rng) for row in chosen]

    rewrites["buried"] = hidden(bad)
    for name, texts in rewrites.items():
        changed = np.array([text != row.text for text, row in zip(texts, bad, strict=True)])
        after = warned(texts)
        for row, was, now, counts in zip(bad, clean, after, changed, strict=True):
            if counts:
                families[row.label].append((bool(was), bool(now)))
        if changed.any():
            before, now = float(clean[changed].mean()), float(after[changed].mean())
            tricks[name] = {"rows": int(changed.sum()), "recall_clean": before, "recall": now}
    found = [row.text for row, was in zip(bad, clean, strict=True) if was][:searched]
    risks = lambda texts: [verdict.risk for verdict in classifier.score(list(texts))]  # noqa: E731
    outcomes = [attack(text, risks, threshold) for text in found]
    return {
        "model": classifier.manifest["version"],
        "threshold": threshold,
        "recall_clean": float(clean.mean()),
        "tricks": tricks,
        "families": {
            name: {
                "recall_clean": float(np.mean([a for a, _ in pairs])),
                "recall": float(np.mean([b for _, b in pairs])),
            }
            for name, pairs in sorted(families.items())
        },
        "search": {
            "messages": len(found),
            "survived": float(np.mean([outcome.survived for outcome in outcomes])) if outcomes else None,
            "changes": [outcome.changes for outcome in outcomes],
        },
        "honest": {
            "rows": len(good),
            "false_alarms_buried": float(warned(hidden(good)).mean()),
            "false_alarms": float(warned([row.text for row in good]).mean()),
            "false_alarms_everyday": float(
                warned([everyday(row.text, random.Random(row.text)) for row in good]).mean()
            ),
        },
    }


def table(found: dict[str, object]) -> str:
    """The figures as a Markdown table, the weakest trick first."""
    lines = ["| rewrite | scams changed | recall before | recall after |", "|---|---|---|---|"]
    tricks = found["tricks"]
    assert isinstance(tricks, dict)
    for name, figure in sorted(tricks.items(), key=lambda item: item[1]["recall"] - item[1]["recall_clean"]):
        lines.append(f"| {name} | {figure['rows']} | {figure['recall_clean']:.3f} | {figure['recall']:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table; write everything to `--out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="a bundle folder (default: the shipped one)")
    parser.add_argument("--data", type=Path, default=Path("build/data"), help="built data (default: build/data)")
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    args = parser.parse_args()
    found = measure(ScamClassifier.load(args.bundle), read_split(args.data, "test"))
    print(table(found))
    print(json.dumps({key: found[key] for key in ("recall_clean", "honest")}))
    search = found["search"]
    assert isinstance(search, dict)
    print(f"search: {search['survived']:.2f} of {search['messages']} warned messages still warned of after five words")
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
