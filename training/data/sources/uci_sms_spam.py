"""UCI SMS Spam Collection: English text messages from the United Kingdom and Singapore, marked ham or spam."""

from __future__ import annotations

import html
import re
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row, numbered_lines

NAME = "uci_sms_spam"
PATH = "data/sms.tsv"

# Spam here is prize claims, premium-rate lines and honest adverts alike, so it only says "scam or promotion".
LABELS = {"ham": "ham", "spam": "unwanted"}

# The collection holds pound signs that went through a DOS code page and came out as "ú".
_POUND = re.compile(r"ú(?=\d)")


def load(files: dict[str, Path]) -> Loaded:
    """Read the tab-separated file: a label and a text on each line, quotes taken literally."""
    loaded = Loaded()
    for number, line in numbered_lines(files[PATH]):
        if not line.strip():
            continue
        where = f"{PATH}:{number}"
        label, tab, text = line.partition("\t")
        text = _POUND.sub("£", html.unescape(text)).strip()
        if not tab or label not in LABELS:
            loaded.rejected.append(Rejected(NAME, where, "no known label before a tab"))
        elif not text:
            loaded.rejected.append(Rejected(NAME, where, "empty text"))
        else:
            loaded.rows.append(Row(text, LABELS[label], "en", "sms", "real", NAME, line=where))
    return loaded
