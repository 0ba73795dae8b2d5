"""Swahili SMS from Tanzania: real scam messages and written everyday ("trust") messages.

About 307 scam templates repeat with other names and numbers, so every row carries its template as its group.
"""

from __future__ import annotations

import csv
import re
import unicodedata
import zlib
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "bongo_scam_swahili"

# Only phrases that say what the trick is; everything else stays the coarse "scam". First match wins.
_LEAF_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("prize", re.compile(r"umepata zawadi|imejishindia|imeshinda|umeshinda|umejishindia")),
    ("job_offer", re.compile(r"your cv has passed|staff salary|no need to go out work")),
    ("relative_in_trouble", re.compile(r"hii namba yangu ya .*\bshem\b|nipo xafari nina xhida")),
    # "Send the money to this number instead": the sender plays a relative, a friend or a seller who awaits a payment.
    (
        "relative_in_trouble|marketplace",
        re.compile(
            r"\b(?:i?tum[ae]|nitumie|unitumie|utanitumia|kunitumia|kutuma)\b.{0,60}"
            r"(?:namba|kwenye|kwemye|kwa h|humu)|tumia namba hii.{0,40}ku(?:ni)?tum|"
            r"jina (?:litakuja|lije|litoke|italeta|litaonyesha)"
        ),
    ),
)
_OPERATORS = re.compile(
    r"\b(?:airtel\s?money|airtel|vodacom|voda|tigo\s?pesa|tigo|halotel|halopesa|m-?pesa|ttcl)\b", re.I
)
# What follows these words is somebody's name, so a template ends there.
_NAME_AFTER = re.compile(r"\b(?:jina|mzee|mimi|shem|by)\b.*", re.S | re.I)
_CAPITALISED = re.compile(r"(?:\b[A-Z][\w']*\W{0,2}){2,}|\b[A-Z][a-z]+\b")


def template_key(text: str) -> str:
    """A key that is the same for messages that differ only in digits, names, operators and times of day.

    It is coarse on purpose: two templates that share a key stay together in one split, which is harmless, while one
    template under two keys would leak between splits.
    """
    text = unicodedata.normalize("NFKC", text)
    text = _OPERATORS.sub("@", re.sub(r"\b\w*\d[\w.,\-/()]*", "#", text))
    text = re.sub(r"\b(?:hela|ela|pesa)\b", "$", text, flags=re.I)
    text = re.sub(r"(\bmzee\b).{0,40}?\b(?:(?:kwa|wa) )?(tiba asili)", r"\1 # \2", text, flags=re.I)
    cut = _NAME_AFTER.sub("", text)
    kept = cut if len(cut) > 15 else text
    if sum(map(str.islower, kept)) > sum(map(str.isupper, kept)):
        # The first word has a capital without being a name.
        first, space, rest = kept.partition(" ")
        kept = first + space + _CAPITALISED.sub("~ ", rest)
    words = re.findall(r"[\w#@~$]+", kept.casefold())
    key = re.sub(r"\bhabari za \w+", "habari", " ".join(words))
    return " ".join(re.sub(r"(?:[#@~](?: |$))+", "# ", key).split()[:9])


# Three templates that offer work are in English; no Swahili message holds two of these words.
_ENGLISH = re.compile(r"\b(?:the|your|has|have|need|work|reach|for|to|at|can|get)\b", re.I)


def _language(text: str) -> str:
    return "en" if len(_ENGLISH.findall(text)) >= 3 else "sw"


def _leaf(text: str) -> str:
    lowered = " ".join(text.lower().split())
    return next((label for label, rule in _LEAF_RULES if rule.search(lowered)), "scam")


def load(files: dict[str, Path]) -> Loaded:
    """Read `data/bongo_scam.csv` (columns Category and Sms)."""
    loaded = Loaded()
    for path, file in files.items():
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
            reader = csv.DictReader(handle)
            start = 2
            for record in reader:
                line, start = f"{path}:{start}", reader.line_num + 1
                text = (record.get("Sms") or "").strip()
                category = (record.get("Category") or "").strip().lower()
                if category not in ("scam", "trust"):
                    loaded.rejected.append(Rejected(NAME, line, "unknown label"))
                elif not text or "\ufffd" in text:
                    loaded.rejected.append(Rejected(NAME, line, "not UTF-8" if text else "empty text"))
                else:
                    scam = category == "scam"
                    # Only the scam half is made of templates; the written half is grouped with everything else later.
                    group = f"{NAME}:{zlib.crc32(template_key(text).encode()):08x}" if scam else ""
                    label, origin = (_leaf(text), "real") if scam else ("ham", "written")
                    loaded.rows.append(Row(text, label, _language(text), "sms", origin, NAME, group, line))
    return loaded
