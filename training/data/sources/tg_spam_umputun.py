"""Telegram group spam and ham, Russian and English, one message a line."""

from __future__ import annotations

import re
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row, numbered_lines

NAME = "tg_spam_umputun"

# Spam mixes fraud (crypto doubling, fake jobs, forged money) with adverts of real services, so it stays coarse.
FILES = {"data/spam-samples.txt": "unwanted", "data/ham-samples.txt": "ham"}

_URL = re.compile(r"(https?://|www\.|t\.me/)\S+|@\w+")
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_LATIN = re.compile("[A-Za-z]")
_EXPORT_HEADER = re.compile(r"\[\w{3} \d{1,2}, \d{4} at .*\]:?$")

# Line breaks lost their backslash: "nn" stands for an empty line, and in ham a single "n" before a Cyrillic letter.
_LOST_PARAGRAPH = re.compile(r"(?<![A-Za-z])nn+(?![A-Za-z])")
_LOST_BREAK = re.compile("(?<=[^\\sA-Za-z])n{1,3}(?=[\u0410-\u044f\u0401\u0451])")


def _language(text: str) -> str | None:
    # A fifth is enough for Russian: spammers put Latin look-alikes for most vowels, and chat names many products.
    words = _URL.sub(" ", text)
    cyrillic, latin = len(_CYRILLIC.findall(words)), len(_LATIN.findall(words))
    if cyrillic + latin < 2:
        return None
    return "ru" if cyrillic * 5 >= cyrillic + latin else "en"


def load(files: dict[str, Path]) -> Loaded:
    """Read both files; which file a line stands in is its label. Blank lines are no records."""
    loaded = Loaded()
    for path, label in FILES.items():
        for number, line in numbered_lines(files[path]):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            text = _LOST_PARAGRAPH.sub("\n", line)
            if label == "ham":
                text = _LOST_BREAK.sub("\n", text)
            text = text.strip()
            language = _language(text)
            if _EXPORT_HEADER.search(text):
                loaded.rejected.append(Rejected(NAME, where, "header of a chat export"))
            elif language is None:
                loaded.rejected.append(Rejected(NAME, where, "no words besides links and names"))
            else:
                loaded.rows.append(Row(text, label, language, "chat", "real", NAME, line=where))
    return loaded
