"""Hand-built Serbian, Croatian, Bosnian and Montenegrin SMS: phishing and tricky legitimate messages."""

from __future__ import annotations

import csv
import re
import unicodedata
import zlib
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "south_slavic_nenasedaj"

# The police category holds both "you are in a case" and fines, the tax category both rebates and parking fines.
_PHISHING = {
    "bank": "bank_alert",
    "reward": "prize",
    "post": "parcel_delivery",
    "delivery": "parcel_delivery",
    "police": "authority_impersonation|bill_or_fine",
    "tax": "tax_rebate|bill_or_fine",
    "account": "account_takeover",
    "subscription": "account_takeover|bill_or_fine",
    "travel": "refund_service",
}
_LEGITIMATE_TECHNIQUE = {
    "promotion": "promotion|transactional",
    "otp": "transactional",
    "transaction": "transactional",
    "delivery": "transactional",
    "bill": "transactional",
    "reminder": "transactional",
    "security": "public_notice|transactional",
}
# Categories where a "notification" is about the reader's own account, parcel, bill or booking.
_OWN_BUSINESS = {"bank", "delivery", "post", "billing", "parking", "subscription", "confirmation", "account"}
# Public bodies and newsrooms: their security messages are real anti-scam warnings.
_PUBLIC = {"media", "police", "security", "tax", "government", "education"}


_CYRILLIC = str.maketrans(
    dict(zip("абвгдђежзијклмнопрстћуфхцчш", "abvgdđežzijklmnoprstćufhcčš", strict=True))
    | {"љ": "lj", "њ": "nj", "џ": "dž"}
)


def twin_key(text: str) -> str:
    """A key that a Cyrillic message shares with its Latin twin, with or without diacritics and whatever its digits."""
    latin = unicodedata.normalize("NFKD", text.lower().translate(_CYRILLIC).replace("đ", "dj"))
    return " ".join(re.findall(r"[a-z]+", "".join(c for c in latin if not unicodedata.combining(c))))


def _label(label: str, category: str, technique: str) -> str | None:
    if label == "phishing":
        leaf = _PHISHING.get(category, "scam")
        if technique == "false_reward" and leaf != "scam":
            return leaf if leaf == "prize" else f"{leaf}|prize"
        return leaf
    if label != "legitimate":
        return None
    if technique == "security" and category in _PUBLIC:
        return "public_notice"
    if technique in _LEGITIMATE_TECHNIQUE:
        return _LEGITIMATE_TECHNIQUE[technique]
    if technique == "notification" and category in _OWN_BUSINESS:
        return "transactional"
    if technique == "notice" and category in ("police", "security", "government", "tax", "education"):
        return "public_notice"
    # Shops and operators mix news about their goods with notices: not a scam is all that the columns say.
    if technique in ("notice", "notification") and category in ("shopping", "telecom", "reward"):
        return "not_scam"
    return "ham"


def _language(language: str, alphabet: str, text: str) -> str | None:
    if language in ("hr", "bs"):
        return language
    if language == "me":
        return "cnr"
    if language == "neutral":
        return "sh"
    if language != "sr":
        return None
    if alphabet not in ("latin", "cyrillic"):
        cyrillic = sum("\u0400" <= c <= "\u04ff" for c in text)
        alphabet = "cyrillic" if 2 * cyrillic > sum(c.isalpha() for c in text) else "latin"
    return "sr-Cyrl" if alphabet == "cyrillic" else "sr-Latn"


def load(files: dict[str, Path]) -> Loaded:
    """Read both tables; the older one has no category and technique, so its phishing rows stay coarse.

    Where a text stands in both, the row of the richer table comes first, so that exact de-duplication keeps it.
    """
    loaded = Loaded()
    for path, file in sorted(files.items(), key=lambda item: "final" not in item[0]):
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
            reader = csv.DictReader(handle)
            start = 2
            for record in reader:
                line, start = f"{path}:{start}", reader.line_num + 1
                cell = {
                    k: (record.get(k) or "").strip() for k in ("text", "label", "language", "category", "technique")
                }
                label = _label(cell["label"].lower(), cell["category"].lower(), cell["technique"].lower())
                language = _language(cell["language"].lower(), (record.get("alphabet") or "").strip(), cell["text"])
                if label is None or language is None:
                    reason = "unknown label" if label is None else "unknown language"
                    loaded.rejected.append(Rejected(NAME, line, reason))
                elif not cell["text"] or "\ufffd" in cell["text"]:
                    loaded.rejected.append(Rejected(NAME, line, "not UTF-8" if cell["text"] else "empty text"))
                else:
                    group = f"{NAME}:{zlib.crc32(twin_key(cell['text']).encode()):08x}"
                    loaded.rows.append(Row(cell["text"], label, language, "sms", "written", NAME, group, line))
    return loaded
