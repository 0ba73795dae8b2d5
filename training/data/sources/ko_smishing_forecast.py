"""Synthetic Korean SMS, normal and smishing (DongHyun925/SmishingForecast)."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "ko_smishing_forecast"

_LABELS = {"normal": "ham", "smishing": "scam", "0": "ham", "1": "scam"}
_HOSTS = ("check-{w}", "{w}-kr", "m-{w}", "{w}24", "my{w}", "{w}-help", "go{w}", "{w}-center", "k{w}", "{w}-info")
_WORDS = ("post", "bank", "gov", "event", "pay", "card", "safe", "parcel", "health", "police", "job", "gift", "tax")
_ENDINGS = ("com", "net", "kr", "co", "info", "top", "xyz", "site", "me", "cc")
_SCHEMES = ("http://", "https://", "", "www.")
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def load(files: dict[str, Path]) -> Loaded:
    """Read the CSV (label, text) and the JSON lists (text with label 0 or 1; generated attacks).

    The placeholders for a link, a number and an account are filled with invented values, chosen by the text alone, so
    that the model sees what a phone would show.

    Args:
        files: the paths in source.json and where each file lies.

    Returns:
        Rows, and the records that gave none.
    """
    loaded = Loaded()
    for path, file in files.items():
        try:
            records = list(_csv_records(file) if path.endswith(".csv") else _json_records(file))
        except ValueError:
            loaded.rejected.append(Rejected(NAME, f"{path}:1", "file is not readable as its format"))
            continue
        for number, label, text in records:
            line = f"{path}:{number}"
            if not isinstance(text, str) or not text.strip():
                loaded.rejected.append(Rejected(NAME, line, "no message"))
            elif label not in _LABELS:
                loaded.rejected.append(Rejected(NAME, line, "unknown label"))
            else:
                row = Row(_fill_placeholders(text.strip()), _LABELS[label], "ko", "sms", "synthetic", NAME, line=line)
                loaded.rows.append(row)
    return loaded


def _csv_records(file: Path) -> Iterator[tuple[int, str, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle)
        next(reader, None)
        end = reader.line_num
        for record in reader:
            number, end = end + 1, reader.line_num
            if record:
                yield number, record[0].strip(), record[1] if len(record) == 2 else None


def _json_records(file: Path) -> Iterator[tuple[int, str, Any]]:
    """Records with their 1-based place in the list, as JSON knows no lines."""
    data = json.loads(file.read_text(encoding="utf-8-sig"))
    for number, record in enumerate(data if isinstance(data, list) else [], start=1):
        if not isinstance(record, dict):
            yield number, "", None
        elif "generated_message" in record:
            # The project's attack generator wrote these, and names the attack that each one plays.
            attack = bool((record.get("intent_analysis") or {}).get("matched_intent_id"))
            yield number, "smishing" if attack else "", record["generated_message"]
        else:
            yield number, str(record.get("label")), record.get("text")


def _fill_placeholders(text: str) -> str:
    seed = zlib.crc32(text.encode())
    account = f"{100 + seed % 800}-{seed % 1_000_000:06d}-{seed // 7 % 100_000:05d}"
    phone = f"010-{seed % 10_000:04d}-{seed // 10_000 % 10_000:04d}"
    return text.replace("[링크]", _address(seed)).replace("[계좌번호]", account).replace("[번호]", phone)


def _address(seed: int) -> str:
    """An invented look-alike address; the same seed always gives the same one."""

    def pick(choices: tuple[str, ...]) -> str:
        nonlocal seed
        seed, index = divmod(seed, len(choices))
        return choices[index]

    host = pick(_HOSTS).format(w=pick(_WORDS))
    tail = zlib.crc32(f"{seed}{host}".encode())
    address = f"{pick(_SCHEMES)}{host}.{pick(_ENDINGS)}"
    length = tail % 7
    code = "".join(_ALPHABET[tail // len(_ALPHABET) ** i % len(_ALPHABET)] for i in range(length))
    return f"{address}/{code}" if code else address
