"""The rows of `data_cards/forewarn_scripts`: scripts with slots, one a line, one file a language."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from forewarn.inference.errors import ForewarnError

NAME = "forewarn_scripts"
TEST_SHARE = 0.15
VALIDATION_SHARE = 0.10
BLOCK = 20

# What each slot stands for; `forewarn.training.scripts.slots` fills them.
SLOTS = {
    "amount": "money, everyday size",
    "small_amount": "a fee or a fare",
    "big_amount": "a salary, a prize, a saving",
    "name": "a first name",
    "full_name": "first and last name",
    "url": "a link: look-alike or abused service in scams, official in honest rows",
    "phone": "a phone number",
    "bank": "a bank or wallet",
    "shop": "a shop or marketplace",
    "courier": "a courier or post",
    "operator": "a mobile operator",
    "date": "a date as written there",
    "time": "a time of day",
    "code": "a one-time code",
    "ref": "an order, case or tracking number",
    "account": "a masked account number",
    "card4": "the last four digits of a card",
    "city": "a town",
    "days": "a small number",
    "percent": "a rate",
    "handle": "a chat name",
    "email": "an e-mail address",
    "plate": "a vehicle's plate",
    "company": "a shop, also as an employer",
}
CHANNELS = ("sms", "chat", "call")
REGISTERS = ("formal", "neutral", "casual", "slang")
_SLOT = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, slots=True)
class Script:
    """One script: text with slots, its leaf, and how and where it is said."""

    id: str
    text: str
    label: str
    language: str
    region: str
    channel: str
    register: str
    levers: tuple[str, ...]
    hard: bool

    @property
    def slots(self) -> list[str]:
        """The slot names in the text, in order."""
        return _SLOT.findall(self.text)


def corpus_folder() -> Path:
    """Where the rows lie."""
    return Path(str(files("forewarn.data_cards"))) / NAME / "rows"


def all_scripts() -> list[Script]:
    """Every script of the corpus, by language file."""
    return read_scripts(sorted(corpus_folder().glob("*.jsonl")))


def read_scripts(paths: Iterable[Path]) -> list[Script]:
    """Read script files.

    Raises:
        ForewarnError: a line is not a script; names the file and line.
    """
    scripts = []
    for path in paths:
        with path.open(encoding="utf-8") as handle:
            for number, line in enumerate(handle, 1):
                try:
                    record = json.loads(line)
                    scripts.append(Script(**{**record, "levers": tuple(record["levers"])}))
                except (ValueError, TypeError, KeyError):
                    raise ForewarnError(f"{path.name}:{number}: not a script row; see the card of {NAME}") from None
    return scripts


def held_out(script_ids: Iterable[str]) -> dict[str, str]:
    """Script id -> split: of every language and leaf 15 % for test and 10 % for validation, by hash.

    The numbers of a leaf are taken in blocks of twenty, and a hash of the block says which three of its places are for
    test and which two for validation. So a script stays where it is, whatever is added later.
    """
    splits = {}
    for script_id in script_ids:
        kind, _, number = script_id.rpartition("-")  # LANGUAGE-LEAF-NUMBER
        block, place = divmod(int(number) - 1, BLOCK)
        order = sorted(range(BLOCK), key=lambda i: hashlib.sha256(f"{kind} {block} {i}".encode()).digest())
        rank = order.index(place)
        test, validation = round(TEST_SHARE * BLOCK), round(VALIDATION_SHARE * BLOCK)
        splits[script_id] = "test" if rank < test else "validation" if rank < test + validation else "train"
    return splits
