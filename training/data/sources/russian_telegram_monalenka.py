"""Russian Telegram and VK chat; only the ham is used, because the spam is machine-translated e-mail."""

from __future__ import annotations

import ast
import csv
import re
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "russian_telegram_monalenka"
PATH = "data/combined.csv"

_CYRILLIC_WORD = re.compile("[\u0400-\u04ff]{2}")


def flatten_entities(text: str) -> str | None:
    """The plain text of a Telegram export's list of strings and entities; None where the list cannot be read."""
    if not text.startswith(("[{", "['", '["')):
        return text
    try:
        parts = ast.literal_eval(text)
        return "".join(part if isinstance(part, str) else part["text"] for part in parts)
    except (ValueError, SyntaxError, KeyError, TypeError):
        return None


def load(files: dict[str, Path]) -> Loaded:
    """Read the text and label columns."""
    loaded = Loaded()
    with files[PATH].open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        start = 2  # the header is line 1
        for record in reader:
            where, start = f"{PATH}:{start}", reader.line_num + 1
            label = (record.get("label") or "").strip()
            text = (flatten_entities((record.get("text") or "").strip()) or "").replace("\xa0", " ").strip()
            if label == "spam":
                loaded.rejected.append(Rejected(NAME, where, "machine-translated e-mail, not used"))
            elif label != "ham":
                loaded.rejected.append(Rejected(NAME, where, "unknown label"))
            elif not _CYRILLIC_WORD.search(text):
                loaded.rejected.append(Rejected(NAME, where, "no readable Russian text"))
            else:
                loaded.rows.append(Row(text, "ham", "ru", "chat", "real", NAME, line=where))
    return loaded
