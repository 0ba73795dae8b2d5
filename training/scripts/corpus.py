"""The rows of `data_cards/forewarn_scripts`: scripts with slots, one a line, one file a language."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from forewarn.inference.errors import ForewarnError

NAME = "forewarn_scripts"
TEST_SHARE = 0.15
VALIDATION_SHARE = 0.10

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
    "company": "an employer",
}
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
    """Script id -> split: of every language and leaf 15 % for test and 10 % for validation, by the hash of the id."""
    by_kind: dict[str, list[str]] = defaultdict(list)
    for script_id in script_ids:
        # An id is LANGUAGE-LEAF-NUMBER.
        by_kind[script_id.rpartition("-")[0]].append(script_id)
    splits = {}
    for ids in by_kind.values():
        ranked = sorted(ids, key=lambda i: hashlib.sha256(i.encode()).digest())
        test = round(TEST_SHARE * len(ranked))
        validation = round(VALIDATION_SHARE * len(ranked))
        for position, script_id in enumerate(ranked):
            kind = "test" if position < test else "validation" if position < test + validation else "train"
            splits[script_id] = kind
    return splits
