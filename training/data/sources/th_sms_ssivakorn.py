"""Real Thai SMS of 2021-2022, one a line, with a hand-given label before the first `|`."""

from __future__ import annotations

import re
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row, numbered_lines

NAME = "th_sms_ssivakorn"

_LABELS = {"ok": "ham", "otp": "transactional", "scam": "scam", "spam": "promotion"}
_VERDICTS = {"ham": "legitimate", "transactional": "legitimate", "promotion": "promotion"}
_PREFIX = re.compile(r"^\s*([A-Za-z]{2,8})\s*\|(.*)$", re.S)
_THAI = re.compile(r"[\u0e00-\u0e7f]")
# Casino, slot, baccarat, free credit, lottery betting: only these words, so that a leaf is never a guess.
_GAMBLING = re.compile(r"คาสิโน|สล็อต|สล๊อต|บาคาร่า|เครดิตฟรี|ฟรีเครดิต|แทงบอล|\bslot|casino|baccarat|sexy|joker|\bpg\b", re.I)
_LOAN = re.compile(r"สินเชื่อ|เงินกู้|เงินด่วน|คุณสามารถกู้")
# Some betting adverts carry the OTP label by mistake; a one-time code always names itself.
_CODE = re.compile(r"otp|รหัส|code|pin|password|verif|ยืนยัน|โค้ด|passcode|tac\b|\d{4}", re.I)


def _scam_leaf(text: str) -> str:
    gambling, loan = _GAMBLING.search(text), _LOAN.search(text)
    if gambling and not loan:
        return "illicit_offer"
    return "loan" if loan and not gambling else "scam"


def load(files: dict[str, Path]) -> Loaded:
    """Read the dated files and ok, otp, scam and spam.txt, which repeat the same `LABEL|text` form."""
    loaded = Loaded()
    for path, file in files.items():
        for number, raw in numbered_lines(file, encoding="utf-8-sig"):
            line = f"{path}:{number}"
            match = _PREFIX.match(raw)
            mark = match.group(1).lower() if match else ""
            text = match.group(2).strip() if match else ""
            if match is None:
                reason = "no label" if raw.strip() else "empty line"
            elif mark not in _LABELS:
                reason = "labelled unsure" if mark == "unsure" else "unknown label"
            elif not text:
                reason = "empty text"
            elif mark == "otp" and not _CODE.search(text):
                reason = "labelled OTP but holds no code"
            else:
                label = _scam_leaf(text) if mark == "scam" else _LABELS[mark]
                language = "th" if _THAI.search(text) else "en"
                loaded.rows.append(Row(text, label, language, "sms", "real", NAME, "", line))
                continue
            loaded.rejected.append(Rejected(NAME, line, reason))
    return _without_contradictions(loaded)


def _without_contradictions(loaded: Loaded) -> Loaded:
    """Reject texts that stand in several files under different verdicts: no label of theirs can be trusted."""
    verdicts: dict[str, set[str]] = {}
    for row in loaded.rows:
        verdicts.setdefault(row.text, set()).add(_VERDICTS.get(row.label, "scam"))
    kept = []
    for row in loaded.rows:
        if len(verdicts[row.text]) == 1:
            kept.append(row)
        else:
            loaded.rejected.append(Rejected(NAME, row.line, "the same text has different labels"))
    loaded.rows = kept
    return loaded
