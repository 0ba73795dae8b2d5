"""Burmese scam messages and romance scripts (Nuwai/MoneyScam_in_Myanmar)."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row
from openpyxl import load_workbook

NAME = "my_moneyscam_myanmar"

_MYANMAR = re.compile(r"[\u1000-\u109f]")
_LATIN = re.compile(r"[A-Za-z]")
_PRIZE = re.compile("ဆုငွေ|ကံစမ်းမဲ|ဆုပေါက်")
_ACCOUNT = re.compile("KBZ ?Pay|အကောင့်|အတည်ပြုနံပါတ်", re.IGNORECASE)
_NUMBERING = re.compile(r"^\s*\(?[0-9၀-၉]{1,3}\s*[-.)၊]+\s*")
# What the scripts' writer tells the operator, not what the operator sends.
_INSTRUCTION = re.compile(
    r"^\*#\*|^[“”`\"]|ဖောက်သည်|ဇာတ်ကောင်|\b(?:client|customer|chatting file|google)\b|\(\s*name\s*\)"
    r"|^\s*[-—–]*\s*\(.*\)\s*$",
    re.IGNORECASE,
)
_BLANK_TO_FILL = re.compile(r"…{2,}|\.{4,}|_{3,}|\(\s*\)")
# Lines that carry the trick by themselves: the wrong number, the lost contact, the move to another app. A line without
# one of these is the same as friendly talk, and its label leaves that open.
_TRICK = re.compile(
    r"wrong (?:number|person)|wrong text|mistake|contacts?\b|phone ?book|telegram|whats ?app|\bline app|secretary"
    r"|do you (?:still )?remember me|number is just|another person|နံပါတ်မှား|အဆက်အသွယ်|တယ်လီဂရမ်|မှတ်မိ|အတွင်းရေးမှူး",
    re.IGNORECASE,
)
_SHORTEST = 15


def load(files: dict[str, Path]) -> Loaded:
    """Read the real SMS sheet, the synthetic prize SMS and the two romance scripts; the file decides the label.

    Args:
        files: the paths in source.json and where each file lies.

    Returns:
        Rows, and the records that gave none (script lines that are headings, instructions, blanks to fill, possible
        answers of the victim, or too short to judge).
    """
    loaded = Loaded()
    for path, file in files.items():
        if path.endswith(".csv"):
            _load_synthetic(path, file, loaded)
        elif "kyarphyant" in path:
            _load_script(path, file, loaded)
        else:
            _load_real(path, file, loaded)
    return loaded


def _load_synthetic(path: str, file: Path, loaded: Loaded) -> None:
    with file.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle)
        end = 0
        for record in reader:
            line, end = f"{path}:{end + 1}", reader.line_num
            if not record:
                continue
            text = record[0].strip().strip('"').strip()
            if len(record) == 1 and _PRIZE.search(text):
                loaded.rows.append(Row(text, "prize", "my", "sms", "synthetic", NAME, line=line))
            else:
                loaded.rejected.append(Rejected(NAME, line, "not a prize message in one column"))


def _load_real(path: str, file: Path, loaded: Loaded) -> None:
    for number, _, cells in _cells(file):
        line = f"{path}:{number}"
        if len(cells) != 1:
            # The source flags one row as doubtful in the first column; it sells data packages.
            loaded.rejected.append(Rejected(NAME, line, "flagged by the source as doubtful"))
            continue
        text = cells[0]
        label = "scam"
        if _PRIZE.search(text):
            label = "prize"
        elif _ACCOUNT.search(text):
            label = "bank_alert|account_takeover"
        loaded.rows.append(Row(text, label, "my", "sms", "real", NAME, line=line))


def _load_script(path: str, file: Path, loaded: Loaded) -> None:
    for number, width, cells in _cells(file):
        line = f"{path}:{number}"
        reason = "a sentence split over columns" if width != 1 else _script_fault(cells[0])
        if reason:
            loaded.rejected.append(Rejected(NAME, line, reason))
            continue
        text = _NUMBERING.sub("", cells[0]).strip()
        language, origin = ("my", "translated") if _MYANMAR.search(text) else ("en", "real")
        label = "romance" if _TRICK.search(text) else "romance|personal"
        loaded.rows.append(Row(text, label, language, "chat", origin, NAME, line=line))


def _script_fault(text: str) -> str | None:
    if _INSTRUCTION.search(text):
        return "a heading or an instruction of the script"
    if _BLANK_TO_FILL.search(text):
        return "a blank to fill in"
    text = _NUMBERING.sub("", text).strip()
    if text.startswith(("-", "—", "–")):
        return "may be the victim's answer"
    if len(text) < _SHORTEST:
        return "too short to judge"
    burmese, latin = len(_MYANMAR.findall(text)), len(_LATIN.findall(text))
    if not burmese + latin or (burmese and latin > 0.3 * (burmese + latin)):
        return "mixed or other script"
    return None


def _cells(file: Path) -> list[tuple[int, int, list[str]]]:
    """Row number, how many cells are filled, and the filled cells' text, of each row that has any, over all sheets."""
    book = load_workbook(file, read_only=True)
    found = []
    for sheet in book:
        for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
            cells = [str(cell).strip() for cell in row if cell is not None and str(cell).strip()]
            if cells:
                found.append((number, len(cells), cells))
    book.close()
    return found
