"""Unicode clean-up and masking of personal numbers and names."""

from __future__ import annotations

import re
import unicodedata
import zlib

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SPACES = re.compile(r"[^\S\n]+")
_NEWLINES = re.compile(r"\s*\n\s*")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# A run of 7 or more digits, perhaps with separators: phone, account and card numbers. Shorter ones (amounts, codes,
# dates) carry the meaning and identify nobody.
_LONG_NUMBER = re.compile(r"(?<![\w/.=-])\+?\d(?:[\s().-]?\d){6,}(?![\w/])")
_TITLED_NAME = re.compile(
    r"\b(Mr|Mrs|Ms|Dr|Bw|Bi|Bapak|Ibu|Sdr|jina|Dear)(\.?:?\s*\(?)([A-Z][a-zA-Z]+(?:\s+[A-Z][a-zA-Z]+){0,2})(?=\W|$)"
)
_NOT_NAMES = {"customer", "sir", "madam", "user", "valued", "friend", "student", "students", "parent", "subscriber"}
_FIRST = ["Alex", "Sam", "Noor", "Mina", "Joan", "Tari", "Kito", "Lena", "Rafi", "Dewi", "Amani", "Neema"]
_LAST = ["Baraka", "Ong", "Silva", "Rao", "Mwita", "Lim", "Haddad", "Novak", "Santos", "Juma", "Reyes", "Khan"]


def clean(text: str) -> str:
    """NFC, no control characters or lone surrogates, single spaces, at most single line breaks.

    Zero-width and other format characters stay: they are a trick of the trade, and the tokenizer strips them itself.
    """
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub(" ", unicodedata.normalize("NFC", text))
    return _NEWLINES.sub("\n", _SPACES.sub(" ", text)).strip()


def mask(text: str) -> str:
    """Replace long numbers, e-mail addresses and titled names by invented ones of the same shape.

    Masks that look like what they replace keep the model from learning the mask. The stand-in depends on the original
    through a checksum, so that two mentions in one message stay the same. This is a safety net and no promise: a
    name without a title is not found.
    """

    def number(match: re.Match[str]) -> str:
        digits = iter(f"{zlib.crc32(match[0].encode()):010d}" * 4)
        seen = 0

        def swap(char: str) -> str:
            nonlocal seen
            if not char.isdigit():
                return char
            seen += 1
            # The first two digits say country or kind of number and identify nobody.
            return char if seen <= 2 else next(digits)

        return "".join(swap(char) for char in match[0])

    def name(match: re.Match[str]) -> str:
        if match[3].split()[0].lower() in _NOT_NAMES:
            return match[0]
        seed = zlib.crc32(match[3].lower().encode())
        new = " ".join([_FIRST[seed % len(_FIRST)], _LAST[(seed >> 8) % len(_LAST)]][: len(match[3].split())])
        return f"{match[1]}{match[2]}{new.upper() if match[3].isupper() else new}"

    text = _EMAIL.sub(lambda m: f"user{zlib.crc32(m[0].encode()) % 1000}@example.com", text)
    return _TITLED_NAME.sub(name, _LONG_NUMBER.sub(number, text))
