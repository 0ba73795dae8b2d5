"""Mishra and Soni's SMS phishing set: English text messages marked ham, spam or smishing."""

from __future__ import annotations

import csv
import html
import re
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "mishra_soni_5971"
PATH = "evals/datasets/mishra_soni_5971.csv"

# Labels come in mixed case ("Smishing", "smishing"). Spam mixes adverts and premium-rate tricks, as in the UCI set.
LABELS = {"ham": "ham", "spam": "unwanted", "smishing": "scam"}

# Characters lost before publication stand as U+FFFD: an apostrophe inside words, a pound sign or nothing elsewhere.
_APOSTROPHE = re.compile(r"(?<=[A-Za-z])\ufffd(?=[A-Za-z])")
_LOST = re.compile(r"\s*\ufffd+\s*")


def _clean(text: str) -> str:
    return _LOST.sub(" ", _APOSTROPHE.sub("'", html.unescape(text))).strip()


def load(files: dict[str, Path]) -> Loaded:
    """Read the LABEL and TEXT columns; URL, EMAIL and PHONE are flags that the text itself already shows."""
    loaded = Loaded()
    with files[PATH].open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        start = 2  # the header is line 1
        for record in reader:
            where, start = f"{PATH}:{start}", reader.line_num + 1
            label = (record.get("LABEL") or "").strip().lower()
            text = _clean(record.get("TEXT") or "")
            if label not in LABELS:
                loaded.rejected.append(Rejected(NAME, where, "unknown label"))
            elif not text:
                loaded.rejected.append(Rejected(NAME, where, "empty text"))
            else:
                loaded.rows.append(Row(text, LABELS[label], "en", "sms", "real", NAME, line=where))
    return loaded
