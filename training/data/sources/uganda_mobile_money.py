"""Ugandan mobile-money and operator SMS (real), with UCI spam edited to sound local."""

from __future__ import annotations

import csv
import html
import re
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "uganda_mobile_money"
PATH = "spam-fraud-sms-dataset.csv"

# Wordings that only the service itself sends: receipts, approvals, codes, bundle status, bills.
_TRANSACTIONAL = re.compile(
    r"trans(action)? ?id|\btid ?:|txn id|new (momo )?balance|\bbal(ance)?:? ugx|has deducted ugx|"
    r"my approvals to allow payment|secret code|verification.{0,3}code|\botp\b|topup successful|airtime topup of|"
    r"loaded( for \d+)?:|bundle usage|you have used \d|you have (sent|received|withdrawn|deposited|paid|bought|given) "
    r"(school fees of )?(ugx|\d)|you have subscribed|successfully subscribed|incorrect pin|"
    r"pin you have entered is incorrect|(has|have) been debited|of ugx \d+ initiated|transaction with amount|"
    r"transaction failed|bill amount|nwsc has received payment|you have [\d.]+mbs left|successfully registered|"
    r"^schoolpay:|activated valid until|receipt number",
    re.IGNORECASE,
)

# Ham whose wording is a known scam script: easy earnings, a new number to send money to, a number to be cut off.
_DOUBTFUL = re.compile(
    r"wa\.me/|\bearn [\d,]+ easily|send that money|refund|will disconnected|activation fee|give me my money",
    re.IGNORECASE,
)

_LUGANDA = re.compile(
    r"\b(weewale|abafere|beera|togabana|omuntu|yenna|ennamba|yokka|tukutegeeza|nti|olusoma|essomero|buli|lwa|eno)\b",
    re.IGNORECASE,
)


def _row(label: str, text: str, where: str) -> Row | Rejected:
    if not text:
        return Rejected(NAME, where, "empty text")
    if label == "spam":
        # Rewritten by hand from the UCI collection, hence "written"; scam and advert stand side by side.
        return Row(text, "unwanted", "en", "sms", "written", NAME, line=where)
    if label != "ham":
        return Rejected(NAME, where, "unknown label")
    if _TRANSACTIONAL.search(text):
        leaf = "transactional"
    elif _DOUBTFUL.search(text):
        return Rejected(NAME, where, "marked ham, but worded like a scam")
    else:
        leaf = "not_scam"  # operator adverts, notices and private messages, which the file does not tell apart
    language = "lg" if len({word.lower() for word in _LUGANDA.findall(text)}) >= 2 else "en"
    return Row(text, leaf, language, "sms", "real", NAME, line=where)


def load(files: dict[str, Path]) -> Loaded:
    """Read the label and message columns."""
    loaded = Loaded()
    with files[PATH].open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        start = 2  # the header is line 1
        for record in reader:
            where, start = f"{PATH}:{start}", reader.line_num + 1
            text = html.unescape(record.get("message") or "").replace("Â", "").replace("\ufffd", " ").strip()
            result = _row((record.get("label") or "").strip().lower(), text, where)
            if isinstance(result, Row):
                loaded.rows.append(result)
            else:
                loaded.rejected.append(result)
    return loaded
