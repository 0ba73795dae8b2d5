"""Indian SMS adverts and WhatsApp group chat, in English and romanised Hindi, marked ham or spam."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "india_spam_sms_junioralive"
PATH = "dataset/spam_ham_india.csv"

LABELS = {"ham": "ham", "spam": "unwanted"}

# Hindi words that are neither English words nor parts of brand and programme names; two different ones decide.
_HINDI = re.compile(
    r"\b(hai|hain|nahi|nhi|kya|hua|aap|apne|apna|karo|kare|kar|mein|bhi|toh|abhi|aur|hoga|kaun|koi|wala|hamen|isase|"
    r"ke|ki|ko|se|pe|par|paiye|paaye|pao|dekhiye|naye|bane|liye|bhai|yeh|ye|kuch|tha|kahan|paise|milenge|saal|iss|"
    r"chaahte|aati|idhar|sabse|thoda)\b",
    re.IGNORECASE,
)
_DEVANAGARI = re.compile("[\u0900-\u097f]")
_MALAYALAM = re.compile(r"\b(ninnum|njangal\w*|upayogicha)\b", re.IGNORECASE)

# What a WhatsApp export writes in place of media, and lines that hold no word at all.
_MEDIA = re.compile(r"(image|video|audio|document|sticker|gif|contact card) omitted|\(file attached\)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{2}")

# A large part of the ham is one stock "study group" with a professor, an assistant and applauding members, which is
# how investment fraud looks from inside. Nothing in the file says whether it was one, so that chat has no safe label.
_STOCK_GROUP = re.compile(
    r"\b(stocks?|shares?|markets?|invest\w*|profits?|trad(e|es|er|ers|ing)|nifty|sensex|bse|nse|nasdaq|s&p|index|"
    r"portfolio|dividends?|bull(ish)?|bear(ish)?|macd|fed(eral reserve)?|inflation|rate cuts?|call option|put option|"
    r"professor|assistant|ms\.? rama|hold(ing)? (on|position)|positions?|capital|ipo|sector|fii|dii|analysts?|"
    r"trend|rebound|economy|economic|financial|wealth|hedge)\b|स्टॉक",
    re.IGNORECASE,
)

# Warnings by authorities and data-usage notices of operators are marked spam; they are certainly no scam.
_NOTICE = re.compile(
    r"beware of fake|\bCERT-In\b|% alert: data is consumed|^data alert!|get yourself vaccinated", re.IGNORECASE
)

_MOJIBAKE = re.compile(r"[\u0080-\u00ff]{2,}")


def _undo(run: re.Match[str]) -> str:
    text = run.group()
    for _ in range(2):  # the file was encoded as UTF-8 up to two times too often
        try:
            text = text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            break
    return text


def _language(text: str) -> str:
    if _DEVANAGARI.search(text):
        return "hi"
    return "hi-Latn" if len({word.lower() for word in _HINDI.findall(text)}) >= 2 else "en"


def _label(label: str, text: str) -> str:
    return "not_scam" if label == "spam" and _NOTICE.search(text) else LABELS[label]


def _refusal(label: str, text: str) -> str | None:
    if label not in LABELS:
        return "unknown label"
    if _MEDIA.search(text):
        return "media placeholder of a chat export"
    if not _WORD.search(text):
        return "no word in the text"
    if "Ã" in text:
        return "text damaged by repeated encoding"
    if _MALAYALAM.search(text):
        return "language not covered"
    if label == "ham" and _STOCK_GROUP.search(text):
        return "stock group chat, no safe label"
    return None


def load(files: dict[str, Path]) -> Loaded:
    """Read the Msg and Label columns: spam came by SMS, ham by WhatsApp."""
    loaded = Loaded()
    with files[PATH].open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        start = 2  # the header is line 1
        for record in reader:
            where, start = f"{PATH}:{start}", reader.line_num + 1
            label = (record.get("Label") or "").strip()
            text = _MOJIBAKE.sub(_undo, record.get("Msg") or "").strip()
            reason = _refusal(label, text)
            if reason:
                loaded.rejected.append(Rejected(NAME, where, reason))
                continue
            channel = "sms" if label == "spam" else "chat"
            loaded.rows.append(Row(text, _label(label, text), _language(text), channel, "real", NAME, line=where))
    return loaded
