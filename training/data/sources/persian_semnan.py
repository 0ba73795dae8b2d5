"""A Persian SMS inbox of 2021 without labels: only what a safe rule recognises becomes a row."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "persian_semnan"
PATH = "sms_data.txt"  # sms_data.xlsx holds the same messages again

# Earning in crypto, "collect your goods and card", gifts to a card number: these may be fraud, so no rule labels them.
_DOUBTFUL = re.compile("بیت ?کوین|فارکس|ارز ?دیجیتال|کسب ?درآمد|صدورکارت|شماره ?کارت|خیریه")

_CODE = re.compile(
    r"\bcode\W{0,3}(G-)?\d{4,8}|G-\d{6}|verification code|"
    r"(کد|كد)\s*(تایید|تأیید|تاييد|فعال|ورود|بازيابي)|رمز (تأیید|جديد)|رمز\s*:?\s*\d{5,}",
    re.IGNORECASE,
)
_RECEIPT = re.compile(
    "مبلغ.{0,80}(ریال|رمز|تاريخ|شماره)|پرداخت شما|پرداخت بانکی|ورود به (سامانه بام|همراه)|همراه بانک.{0,20}(شده|خوش)|"
    "سررسيد قسط|شناسه مرجع|از حجم بسته|حجم بسته اینترنت|درخواست وجه شما|تحویل شرکت پست|به اداره پست تحویل|"
    "انتخاب رشته آزمون.{0,20}شما ثبت گردید"
)
_PROMOTION = re.compile(
    r"yelloadwise\.ir|yun\.ir|irancell\.irancell\.ir/dl|dgkl\.me|okcs\.ir|i3l\.ir|biglyt\.com|zarebin|amaroid|"
    r"asanpardakht\.com|"
    "تخفیف|قرعه|جشنواره|حراج|هایپر|بسته\u200cهای داغ|لغو ?[=:]? ?(\\d|[۰-۹]|off|ارسال)|فروش ویژه|پخش.?زنده",
    re.IGNORECASE,
)
_NOTICE = re.compile("^هشدار|معاونت اجتماعی و پیشگیری از وقوع جرم|واکسن|کرونا|COVID")

# A link, a number, a dialling code or an address is what a scam needs you to act on; a short line without any has none.
_ACTIONABLE = re.compile(r"[0-9۰-۹٠-٩@#*/]|\.(ir|com|me|io)\b|پول|واریز|کارت|بانک|وام|برنده|جایزه")
_LETTER = re.compile(r"[^\W\d_]{2}")


def label_of(text: str) -> str | None:
    """The label that a safe rule gives, or None. Order matters: adverts also speak of codes and payments."""
    if _DOUBTFUL.search(text):
        return None
    if _PROMOTION.search(text):
        # A receipt with an advert under it is common, and then the two cannot be told apart.
        return "promotion|transactional" if _CODE.search(text) or _RECEIPT.search(text) else "promotion"
    if (_CODE.search(text) or _RECEIPT.search(text)) and re.search(r"[0-9۰-۹]", text):
        return "transactional"
    if _NOTICE.search(text) and "http" not in text:
        return "public_notice" if text.startswith("هشدار") or "معاونت اجتماعی" in text else "not_scam"
    if len(text) <= 160 and not _ACTIONABLE.search(text):
        return "not_scam"
    return None


def load(files: dict[str, Path]) -> Loaded:
    """Read the first column of the UTF-16 table. Blank lines between messages are no records."""
    loaded = Loaded()
    with files[PATH].open(encoding="utf-16", newline="") as handle:
        reader = csv.reader(handle, delimiter="\t")
        start = 1  # there is no header
        for record in reader:
            where, start = f"{PATH}:{start}", reader.line_num + 1
            if not any(cell.strip() for cell in record):
                continue
            text = record[0].replace("\ufeff", "").strip()
            label = label_of(text) if _LETTER.search(text) else None
            if label is None:
                reason = "no label" if text else "no text in the first column"
                loaded.rejected.append(Rejected(NAME, where, reason))
            else:
                loaded.rows.append(Row(text, label, "fa", "sms", "real", NAME, line=where))
    return loaded
