"""Sources to splits: load, clean, mask, merge copies, cluster, split, write."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from forewarn.inference.labels import Taxonomy
from forewarn.training.data import registry
from forewarn.training.data.clean import clean, mask
from forewarn.training.data.dataset import write_split
from forewarn.training.data.dedupe import cluster, merge_exact
from forewarn.training.data.registry import Source
from forewarn.training.data.rows import Rejected, Row
from forewarn.training.data.split import SPLITS, split_rows
from forewarn.training.scripts.corpus import NAME as SCRIPTS
from forewarn.training.scripts.corpus import held_out
from forewarn.training.scripts.slots import fill_row


def load_source(
    source: Source, taxonomy: Taxonomy, progress: Callable[[str], None]
) -> tuple[list[Row], list[Rejected]]:
    """Fetch, parse, clean and mask one source. Unknown labels and empty texts are rejected by line."""
    loaded = source.load(registry.fetch(source, progress=progress))
    rows, rejected = [], list(loaded.rejected)
    for row in loaded.rows:
        taxonomy.resolve(row.label)
        text = clean(row.text)
        if source.mask_personal_data:
            text = mask(text)
        if text:
            rows.append(replace(row, text=text))
        else:
            rejected.append(Rejected(row.source, row.line, "no text"))
    return rows, rejected


def fingerprint(splits: dict[str, list[Row]]) -> str:
    """A digest of every row of every split, in order: equal digests mean equal data."""
    digest = hashlib.sha256()
    for name, rows in sorted(splits.items()):
        digest.update(name.encode())
        for row in rows:
            digest.update("\x1f".join((row.text, row.label, row.language, row.source, row.group)).encode())
    return digest.hexdigest()


def build(sources: list[Source], out: Path, seed: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Build the splits under `out`; returns (and writes as `build.json`) what went in, what was left out and why."""
    taxonomy = Taxonomy.load()
    rows: list[Row] = []
    rejected: list[Rejected] = []
    for source in sources:
        found, bad = load_source(source, taxonomy, progress)
        progress(f"{source.name}: {len(found):,} rows, {len(bad):,} records left out")
        rows += found
        rejected += bad
    rows, removed = merge_exact(rows, taxonomy)
    rejected += removed
    progress(f"{len(rows):,} distinct texts; clustering near-duplicates")
    groups = cluster(rows)
    fixed = _script_splits(rows, groups)
    rows = [replace(row, group=group) for row, group in zip(rows, groups, strict=True)]
    splits = split_rows(rows, seed, fixed)
    # Training fills slots anew each epoch; what is measured must stay as it is.
    for name in ("validation", "test"):
        splits[name] = [
            replace(row, text=fill_row(row, random.Random(f"{seed}:{row.text}"))) if row.source == SCRIPTS else row
            for row in splits[name]
        ]
    out.mkdir(parents=True, exist_ok=True)
    # Without build.json the folder counts as unbuilt, should this be killed between two splits.
    (out / "build.json").unlink(missing_ok=True)
    for name, part in splits.items():
        write_split(out, name, part)
    _write_lines(out / "rejected.jsonl", rejected)
    info = {
        "fingerprint": fingerprint(splits),
        "seed": seed,
        "sources": {source.name: {"licence": source.licence, "commit": source.commit} for source in sources},
        "rows": {name: len(part) for name, part in splits.items()},
        "groups": len(set(groups)),
        "rejected": {
            source.name: dict(Counter(item.reason for item in rejected if item.source == source.name))
            for source in sources
        },
    }
    temporary = out / "build.json.part"
    temporary.write_text(json.dumps(info, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(out / "build.json")
    return info


def _script_splits(rows: list[Row], groups: list[str]) -> dict[str, str]:
    """The split of each group with scripts of ours: test if any of them is held out for test, and so on."""
    scripts = [(row.group, group) for row, group in zip(rows, groups, strict=True) if row.source == SCRIPTS]
    if not scripts:
        return {}
    splits = held_out(script for script, _ in scripts)
    fixed: dict[str, str] = {}
    for script, group in scripts:
        fixed[group] = max(fixed.get(group, "train"), splits[script], key=SPLITS.index)
    return fixed


def _write_lines(path: Path, rejected: list[Rejected]) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as handle:
        for item in rejected:
            handle.write(json.dumps({"source": item.source, "line": item.line, "reason": item.reason}) + "\n")
    part.replace(path)
