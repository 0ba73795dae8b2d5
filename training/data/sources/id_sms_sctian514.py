"""Indonesian SMS with typed spam: promotion, fraud, loan and gambling offers."""

from __future__ import annotations

from pathlib import Path

import openpyxl
from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "id_sms_sctian514"

_LABELS = {"non-spam": "ham", "promo": "promotion", "penipuan": "scam", "kta": "loan", "judi": "illicit_offer"}


def load(files: dict[str, Path]) -> Loaded:
    """Read the first sheet of `dataset/spam.xlsx` (columns pesan, Jenis_spam, kategori_spam)."""
    loaded = Loaded()
    for path, file in files.items():
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0].iter_rows(values_only=True)
            header = [str(cell or "").strip().lower() for cell in next(sheet, ())]
            if "pesan" not in header or "jenis_spam" not in header:
                loaded.rejected.append(Rejected(NAME, f"{path}:1", "columns pesan and Jenis_spam are missing"))
                continue
            text_at, type_at = header.index("pesan"), header.index("jenis_spam")
            for number, record in enumerate(sheet, start=2):
                text = str(record[text_at] or "").strip()
                label = _LABELS.get(str(record[type_at] or "").strip().lower())
                if label is None or not text:
                    reason = "unknown label" if label is None else "empty text"
                    loaded.rejected.append(Rejected(NAME, f"{path}:{number}", reason))
                else:
                    loaded.rows.append(Row(text, label, "id", "sms", "real", NAME, "", f"{path}:{number}"))
        finally:
            book.close()
    return loaded
