"""Philippine SMS in Filipino and English, collected by students (Yissuh/Filipino-Spam-SMS-Detection-Model)."""

from __future__ import annotations

import csv
import re
import zlib
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "tl_ph_sms_yissuh"

# Words that are common in Filipino and are not English words. English loans stand in Filipino messages all the time, so
# one of these decides in a short message, and two in a longer one.
_FILIPINO = re.compile(
    r"\b(?:ako|aming|ang|ano|araw|ating|ay|ba|bakit|bukas|dahil|din|dito|diyan|doon|gabi|hindi|"
    r"ikaw|ingat|inyong|ito|iyo|iyong|ka|kami|kanina|kapag|kasi|kayo|ko|kung|lahat|lang|"
    r"libre|manalo|meron|mga|mo|moko|muna|na|nalang|naman|namin|nang|natin|ng|nga|ngayon|"
    r"nila|ninyo|niyo|nyo|opo|pag|panalo|pero|po|rin|sa|saan|salamat|sino|siya|sya|tayo|"
    r"upang|wala|yung)\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"\b\d{4,8} is your [\w ]{0,30}code\b|\b(?:verification|security|login|confirmation) code(?: is)?:? ?\d{4,8}\b"
    r"|\b(?:otp|one[- ]time (?:pin|password))\b.{0,40}\b\d{4,8}\b|#key < ?\d{4,8} ?>",
    re.IGNORECASE,
)
# A code message that also has an address or sells something may be phishing, so that it keeps the label of the source.
_NOT_A_PLAIN_CODE = re.compile(
    r"https?:|www\.|\b[\w-]+\.(?:com|net|life|app|ph|org|me|xyz|cc|co|vip|top|site|io)\b"
    r"|\b(?:bonus|free|win|jackpot|slots?|casino|withdrawal|bet|download)\b",
    re.IGNORECASE,
)
# The source calls honest marketing ham as well; those rows may be promotion, which "ham" would rule out.
_MARKETING = re.compile(
    r"\b(?:win|promos?|raffle|discount|offers?|sale|free|voucher|rewards?|cashback|bonus|deals?|libre)\b|\d ?% off",
    re.IGNORECASE,
)
_NAMES = ("Maria", "Jose", "Ana", "Mark", "Liza", "Carlo", "Grace", "Paolo", "Rowena", "Jun", "Aileen", "Dante")


def load(files: dict[str, Path]) -> Loaded:
    """Read both CSV files (columns label, message).

    Ham becomes `ham` (`not_scam` where it reads as marketing), spam becomes `unwanted`, and spam that is plainly a
    one-time code, with no address and no offer, becomes `transactional`. Two common Filipino words, or one in a
    message of at most six words, make the language `fil`; otherwise it is `en`.

    Args:
        files: the paths in source.json and where each file lies.

    Returns:
        Rows, and the records that gave none.
    """
    loaded = Loaded()
    for path, file in files.items():
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
            reader = csv.reader(handle)
            next(reader, None)
            end = reader.line_num
            for record in reader:
                line, end = f"{path}:{end + 1}", reader.line_num
                if not record:
                    continue
                reason = _fault(record)
                if reason:
                    loaded.rejected.append(Rejected(NAME, line, reason))
                    continue
                text = _fill_placeholders(record[1].strip())
                loaded.rows.append(Row(text, _label(record[0], text), _language(text), "sms", "real", NAME, line=line))
    return loaded


def _fault(record: list[str]) -> str | None:
    if len(record) != 2:
        return "not two columns"
    if record[0].strip() not in ("ham", "spam"):
        return "unknown label"
    text = record[1].strip()
    if not text:
        return "empty message"
    if "\ufffd" in text:
        return "bytes that are not UTF-8"
    if text == "<<Content not supported.>>":
        return "placeholder of the phone instead of a message"
    return None


def _label(given: str, text: str) -> str:
    if given.strip() == "ham":
        return "not_scam" if _MARKETING.search(text) else "ham"
    if _CODE.search(text) and not _NOT_A_PLAIN_CODE.search(text):
        return "transactional"
    return "unwanted"


def _language(text: str) -> str:
    hits = len(_FILIPINO.findall(text))
    return "fil" if hits >= 2 or (hits == 1 and len(text.split()) <= 6) else "en"


def _fill_placeholders(text: str) -> str:
    """Put invented values where the collectors masked one, so that the mask itself tells the model nothing."""
    seed = zlib.crc32(text.encode())
    text = text.replace("<REAL NAME>", _NAMES[seed % len(_NAMES)])
    return text.replace("<REFERENCE NUMBER>", str(100_000_000_000 + seed))
