"""Synthetic Chinese phone calls, fraud and everyday service (JimmyMa99/TeleAntiFraud)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from forewarn.training.data.rows import Loaded, Rejected, Row, numbered_lines

NAME = "teleantifraud_dialogues"
CALLER_CHARACTERS = 350

# Fraud types that the generator used loosely (customer service, phishing, identity theft all play the bank, the courier
# or the police) stay at the coarse label. Normal calls carry their type in the same field.
_LABELS = {
    "彩票诈骗": "prize",
    "投资诈骗": "investment",
    "银行诈骗": "bank_alert",
    "绑架诈骗": "extortion|relative_in_trouble",
    "邮件诈骗": "scam",
    "客服诈骗": "scam",
    "钓鱼诈骗": "scam",
    "身份盗窃": "scam",
    "订餐服务": "transactional",
    "外卖服务": "transactional",
    "预约服务": "transactional",
    "打车服务": "transactional",
    "交通咨询": "transactional|public_notice",
    "咨询客服": "not_scam",
    "日常购物": "transactional|promotion",
}
_PARCEL = re.compile("包裹|快递|快件|邮包")
# Stage directions and control marks of the generator stand mostly in fraud calls and nobody speaks them.
_STAGE = re.compile(r"[（(【\[][^）)】\]]*(?:语气|停顿|假装|等待|急切|急促|声音|沉默)[^）)】\]]*[）)】\]]|##\w+##|\*\*")
_PLACEHOLDER = re.compile(r"\[[\u4e00-\u9fff]+\]|<[\u4e00-\u9fff]+>")
_HAN = re.compile(r"[\u4e00-\u9fff]")


def load(files: dict[str, Path]) -> Loaded:
    """Read the dialogues and give one row a call: the caller's first turns, about 350 characters.

    Args:
        files: the paths in source.json and where each file lies.

    Returns:
        Rows of channel call, each in its own group, and the records that gave none.
    """
    loaded = Loaded()
    for path, file in files.items():
        for number, raw in numbered_lines(file):
            if not raw.strip():
                continue
            line = f"{path}:{number}"
            try:
                record = json.loads(raw)
            except ValueError:
                loaded.rejected.append(Rejected(NAME, line, "not JSON"))
                continue
            reason, text = _caller_text(record)
            if reason:
                loaded.rejected.append(Rejected(NAME, line, reason))
                continue
            label = _LABELS[record["fraud_type"]]
            if record["fraud_type"] == "邮件诈骗" and _PARCEL.search(text):
                label = "parcel_delivery"
            group = f"{Path(path).stem}/{record.get('tts_id', number)}"
            loaded.rows.append(Row(text, label, "zh", "call", "synthetic", NAME, group, line))
    return loaded


def _caller_text(record: Any) -> tuple[str | None, str]:
    """Why the record gives no row (or None), and the text."""
    if not isinstance(record, dict) or record.get("fraud_type") not in _LABELS:
        return "unknown fraud type", ""
    turns = record.get("left")
    if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in turns):
        return "no caller turns", ""
    text = ""
    for turn in (_STAGE.sub("", turn).strip() for turn in turns):
        if text and len(text) + len(turn) > CALLER_CHARACTERS:
            break
        text = f"{text} {turn}".strip()
    text = _shorten(text)
    if len(text) < 8:
        return "no caller turns", ""
    if _PLACEHOLDER.search(text):
        return "a placeholder that the generator left unfilled", ""
    if len(_HAN.findall(text)) < 0.3 * len(text):
        return "caller does not speak Chinese", ""
    return None, text


def _shorten(text: str) -> str:
    """Cut a long first turn after its last whole sentence within the limit."""
    if len(text) <= CALLER_CHARACTERS:
        return text
    cut = text[:CALLER_CHARACTERS]
    end = max(cut.rfind(mark) for mark in "。！？!?")
    return cut[: end + 1] if end > 0 else cut
