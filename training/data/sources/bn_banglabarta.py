"""Bangla SMS marked smish, promo or normal (the Banglabarta set in sameer-at-git's repository)."""

from __future__ import annotations

import csv
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "bn_banglabarta"

_LABELS = {"smish": "scam", "promo": "promotion", "normal": "ham"}
# The source calls government broadcasts promo; where a public body or a national day is named, both stay possible.
_PUBLIC_BODIES = ("জাতীয় রাজস্ব বোর্ড", "মন্ত্রণালয়", "মন্ত্রণালয়", "অধিদপ্তর", "দিবস", "বিটিআরসি", "নির্বাচন কমিশন")


def load(files: dict[str, Path]) -> Loaded:
    """Read both CSV files (columns label, text; the test file starts with a mark and an empty line).

    Args:
        files: the paths in source.json and where each file lies.

    Returns:
        Rows, and the records that gave none.
    """
    loaded = Loaded()
    for path, file in files.items():
        with file.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle)
            end = 0
            for record in reader:
                line, end = f"{path}:{end + 1}", reader.line_num
                if not record or record == ["label", "text"]:
                    continue
                if len(record) != 2:
                    loaded.rejected.append(Rejected(NAME, line, "not two columns"))
                    continue
                given, text = record[0].strip(), record[1].strip()
                if given not in _LABELS:
                    loaded.rejected.append(Rejected(NAME, line, "unknown label"))
                elif not text:
                    loaded.rejected.append(Rejected(NAME, line, "empty message"))
                else:
                    label = _LABELS[given]
                    if given == "promo" and any(body in text for body in _PUBLIC_BODIES):
                        label = "promotion|public_notice"
                    loaded.rows.append(Row(text, label, "bn", "sms", "written", NAME, line=line))
    return loaded
