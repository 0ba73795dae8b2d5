r"""Add scripts to the corpus from the short form in which people write them (`data_cards/forewarn_scripts/WRITING.md`).

A header line says what the messages under it are, then each line is one message:

    @ tax_rebate SG sms formal [lever=greed,authority]
    IRAS: your GST rebate of {amount} was returned by {bank}. Re-enter your details: {url}
    ! Hi, its Wei from the tax counter just now, you left ur form here

`!` marks a hard message, `\n` a line break inside it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forewarn.inference.errors import ForewarnError
from forewarn.inference.files import write_at_once
from forewarn.inference.labels import Taxonomy
from forewarn.training.scripts.check import grams, jaccard
from forewarn.training.scripts.corpus import CHANNELS, REGISTERS, SLOTS, Script, corpus_folder, read_scripts
from forewarn.training.scripts.slots import regions

# Stricter than the validator's limit, so that a corpus stays clean as it grows.
MAX_LIKENESS = 0.55


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that was not taken, and why."""

    line: int
    reason: str


def _header(words: list[str], taxonomy: Taxonomy) -> tuple[dict[str, Any], str]:
    """The fields that a header gives, and what is wrong with it ("" when nothing is)."""
    if len(words) not in (4, 5):
        return {}, "a header is '@ LEAF REGION CHANNEL REGISTER [lever=A,B]'"
    label, region, channel, register = words[:4]
    if label not in taxonomy.names:
        return {}, f"no leaf {label!r}"
    if region not in regions():
        return {}, f"region {region!r} is not in places.yaml"
    if channel not in CHANNELS or register not in REGISTERS:
        return {}, f"the channel is one of {', '.join(CHANNELS)}, the register one of {', '.join(REGISTERS)}"
    levers = next(leaf.levers for leaf in taxonomy.leaves if leaf.name == label)
    if len(words) == 5:
        levers = tuple(words[4].removeprefix("lever=").split(","))
        if unknown := set(levers) - {lever for leaf in taxonomy.leaves for lever in leaf.levers}:
            return {}, f"no lever {sorted(unknown)}"
    return dict(label=label, region=region, channel=channel, register=register, levers=tuple(levers)), ""


def _fault(text: str, known: list[tuple[str, frozenset[str]]]) -> str:
    """Why a text cannot be taken, or ""."""
    plain = Script("", text, "", "", "", "", "", (), False)
    if unknown := set(plain.slots) - set(SLOTS):
        return f"unknown slot {sorted(unknown)}"
    if text.count("{") != len(plain.slots) or text.count("}") != len(plain.slots):
        return "a broken slot"
    if not 4 <= len(text) <= 600:
        return f"{len(text)} characters; 4 to 600 are allowed"
    own = grams(text)
    for name, theirs in known:
        if (share := jaccard(own, theirs)) > MAX_LIKENESS:
            return f"too like {name} ({share:.2f})"
    return ""


def parse(lines: Iterable[str], language: str, existing: list[Script]) -> tuple[list[Script], list[Refused]]:
    """Read scripts in the short form; each gets the next free number of its leaf, and near-copies are refused."""
    taxonomy = Taxonomy.load()
    known = [(script.id, grams(script.text)) for script in existing]
    last: Counter[str] = Counter()
    for script in existing:
        last[script.label] = max(last[script.label], int(script.id.rpartition("-")[2]))
    added: list[Script] = []
    refused: list[Refused] = []
    fields: dict[str, Any] = {}
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line:
            continue
        if line.startswith("@"):
            fields, reason = _header(line[1:].split(), taxonomy)
        elif not fields:
            reason = "a message without a valid header above it"
        else:
            hard = line.startswith("! ")
            text = (line[2:] if hard else line).strip().replace("\\n", "\n")
            reason = _fault(text, known)
            if not reason:
                label = fields["label"]
                last[label] += 1
                script_id = f"{language}-{label}-{last[label]:03}"
                script = Script(id=script_id, text=text, language=language, hard=hard, **fields)
                added.append(script)
                known.append((script.id, grams(text)))
        if reason:
            refused.append(Refused(number, reason))
    return added, refused


def language_file(language: str) -> Path:
    """Where the scripts of a language lie.

    Raises:
        ForewarnError: it is not a language tag.
    """
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?", language):
        raise ForewarnError(f"{language!r} is not a language tag such as en, fil or zh-Hant")
    return corpus_folder() / f"{language}.jsonl"


def read_language(language: str) -> list[Script]:
    """The scripts of a language; none for a new one."""
    path = language_file(language)
    return read_scripts([path]) if path.exists() else []


def write_language(language: str, scripts: list[Script]) -> None:
    """Replace the file of a language at one stroke."""
    lines = []
    for script in scripts:
        record = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(script).items()}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    write_at_once(language_file(language), "".join(lines).encode("utf-8"))


def remove(script_ids: list[str]) -> None:
    """Take scripts out of the corpus. Their numbers are not given again while later ones exist.

    Raises:
        ForewarnError: an id that no script has; nothing is removed then.
    """
    languages = {script_id.rsplit("-", 2)[0] for script_id in script_ids}
    kept = {language: read_language(language) for language in sorted(languages)}
    known = {script.id for scripts in kept.values() for script in scripts}
    if missing := [script_id for script_id in script_ids if script_id not in known]:
        raise ForewarnError(f"no script {', '.join(missing)} in {corpus_folder()}; nothing was removed")
    for language, scripts in kept.items():
        write_language(language, [script for script in scripts if script.id not in script_ids])
