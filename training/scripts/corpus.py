"""The rows of `data_cards/forewarn_scripts`: scripts with slots, one a line, one file a language, and their rules."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.scripts.places import regions

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
_LITERAL_NUMBER = re.compile(r"\+?\d(?:[ .-]?\d){8,}")
_LITERAL_EMAIL = re.compile(r"[\w.+-]+@(?!example\.)[\w-]+\.\w+")
_SHORTEST, _LONGEST = 4, 1200  # characters
_MOST_FAULTS = 20  # that are told at once


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


def all_scripts(checked: bool = True) -> list[Script]:
    """Every script of the corpus, by language file; `checked` as in `read_scripts`."""
    return read_scripts(sorted(corpus_folder().glob("*.jsonl")), checked)


def read_scripts(paths: Iterable[Path], checked: bool = True) -> list[Script]:
    """Read script files.

    Args:
        paths: files of one script a line.
        checked: refuse scripts that break a rule; without it they are given as they are, for those who mend them.

    Raises:
        ForewarnError: lines are no script, or break a rule; a line for each names file, line and fault.
    """
    scripts, faults = [], []
    for path in paths:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            script = _script(line)
            fault = f"not a script row; see the card of {NAME}"
            if script is not None:
                scripts.append(script)
                fault = script_fault(script) if checked else ""
            if fault:
                faults.append(f"{path.name}:{number}: {fault}")
    if faults:
        more = [f"and {len(faults) - _MOST_FAULTS} more lines"] if len(faults) > _MOST_FAULTS else []
        raise ForewarnError("\n".join(faults[:_MOST_FAULTS] + more))
    return scripts


def _script(line: bytes) -> Script | None:
    """A line of a file as a script; None when it is none."""
    try:
        record = json.loads(line)
        script = Script(**{**record, "levers": tuple(record["levers"])})
    except (ValueError, TypeError, KeyError):
        return None
    words = (getattr(script, name) for name in ("id", "text", "label", "language", "region", "channel", "register"))
    fits = all(isinstance(word, str) for word in (*words, *script.levers)) and isinstance(script.hard, bool)
    return script if fits else None


@cache
def leaf_levers() -> dict[str, tuple[str, ...]]:
    """The leaves that a script can have, each with the levers that it pulls unless its writer says otherwise."""
    return {leaf.name: leaf.levers for leaf in Taxonomy.load().leaves}


@cache
def all_levers() -> frozenset[str]:
    """Every lever that a script can name."""
    return frozenset(lever for levers in leaf_levers().values() for lever in levers)


def text_fault(text: str) -> str:
    """The rule that a script's text breaks, or ""."""
    slots = _SLOT.findall(text)
    if unknown := set(slots) - set(SLOTS):
        return f"unknown slot {', '.join(f'{{{slot}}}' for slot in sorted(unknown))}"
    if {text.count("{"), text.count("}")} != {len(slots)}:
        return "a broken slot"
    if not _SHORTEST <= len(text) <= _LONGEST:
        return f"{len(text)} characters; {_SHORTEST} to {_LONGEST} are allowed"
    return ""


def personal_fault(text: str) -> str:
    """What could be a person's in a text, or "": the build can read such a script, but none may be in the corpus."""
    if _LITERAL_NUMBER.search(text) or _LITERAL_EMAIL.search(text):
        return "a literal long number or e-mail address; use {phone}, {ref} or {email}"
    return ""


def script_fault(script: Script) -> str:
    """The rule that a script breaks, or ""."""
    if script.label not in leaf_levers():
        return f"unknown label {script.label!r}"
    if not re.fullmatch(rf"{re.escape(script.language)}-{script.label}-[0-9]+", script.id):
        return f"the id {script.id!r} is not LANGUAGE-LABEL-NUMBER: id, language or label do not agree"
    if script.region not in regions():
        return f"region {script.region!r} is not in places.yaml"
    if script.channel not in CHANNELS or script.register not in REGISTERS:
        return f"unknown channel {script.channel!r} or register {script.register!r}"
    if unknown := set(script.levers) - all_levers():
        return f"unknown lever {', '.join(sorted(unknown))}"
    return text_fault(script.text)


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
