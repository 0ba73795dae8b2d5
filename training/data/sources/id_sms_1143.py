"""Real Indonesian SMS of 2014-2017, labelled by hand: normal, fraud, promotion."""

from __future__ import annotations

import csv
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "id_sms_1143"

_LABELS = {"0": "ham", "1": "scam", "2": "promotion"}


def load(files: dict[str, Path]) -> Loaded:
    """Read `dataset_sms_spam_v1.csv` (columns Teks and label); `penjelasan.txt` is the authors' note, not data."""
    loaded = Loaded()
    for path, file in files.items():
        if not path.endswith(".csv"):
            continue
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
            reader = csv.DictReader(handle)
            start = 2
            for record in reader:
                line, start = f"{path}:{start}", reader.line_num + 1
                text = (record.get("Teks") or "").strip()
                label = _LABELS.get((record.get("label") or "").strip())
                if label is None:
                    loaded.rejected.append(Rejected(NAME, line, "unknown label"))
                elif not text or "\ufffd" in text:
                    loaded.rejected.append(Rejected(NAME, line, "not UTF-8" if text else "empty text"))
                else:
                    loaded.rows.append(Row(text, label, "id", "sms", "real", NAME, "", line))
    return loaded
