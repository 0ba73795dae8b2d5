r"""Add scripts to the corpus from the short form in which people write them (`data_cards/forewarn_scripts/WRITING.md`).

A header line says what the messages under it are, then each line is one message:

    @ tax_rebate SG sms formal [lever=greed,authority]
    IRAS: your GST rebate of {amount} was returned by {bank}. Re-enter your details: {url}
    ! Hi, its Wei from the tax counter just now, you left ur form here

`!` and a space mark a hard message, `\n` is a line break inside it; a message that itself begins with `@` or `!` has a
backslash before it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from forewarn.inference.errors import ForewarnError
from forewarn.inference.files import write_at_once
from forewarn.training.scripts.check import grams, jaccard
from forewarn.training.scripts.corpus import (
    CHANNELS,
    REGISTERS,
    Script,
    all_levers,
    corpus_folder,
    leaf_levers,
    personal_fault,
    read_scripts,
    text_fault,
)
from forewarn.training.scripts.places import regions

# Stricter than the validator's limit, so that a corpus stays clean as it grows.
MAX_LIKENESS = 0.55


@dataclass(slots=True)
class Refused:
    """A line that was not taken, and why; `skipped` counts the messages under it that were not taken for that."""

    line: int
    reason: str
    skipped: int = 0


def _unknown(kind: str, word: str, choices: Collection[str]) -> str:
    """That a word is none of the choices, with the nearest of them or else all."""
    nearest = get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"no {kind} {word!r}; " + (f"did you mean {nearest[0]}?" if nearest else f"one of {', '.join(choices)}")


def _header(line: str) -> tuple[dict[str, Any], str]:
    """The fields that a header gives, and what is wrong with it ("" when nothing is)."""
    words = line.removeprefix("@").split()
    lever_words = " ".join(words[4:]).strip("[]")
    if len(words) < 4 or lever_words and not lever_words.startswith("lever="):
        return {}, "a header is '@ LEAF REGION CHANNEL REGISTER [lever=A,B]'"
    label, region, channel, register = words[:4]
    if label not in leaf_levers():
        return {}, _unknown("leaf", label, leaf_levers())
    if region not in regions():
        return {}, f"region {region!r} is not in places.yaml; one of {', '.join(regions())}"
    if channel not in CHANNELS:
        return {}, _unknown("channel", channel, CHANNELS)
    if register not in REGISTERS:
        return {}, _unknown("register", register, REGISTERS)
    levers = leaf_levers()[label]
    if lever_words:
        levers = tuple(word.strip() for word in lever_words.removeprefix("lever=").split(","))
        for lever in levers:
            if lever not in all_levers():
                return {}, _unknown("lever", lever, sorted(all_levers()))
    return dict(label=label, region=region, channel=channel, register=register, levers=levers), ""


def _message(line: str) -> tuple[str, bool, str]:
    """The text of a line, whether it is marked as hard, and why it cannot be told ("" when it can)."""
    marked = re.match(r"!(?!!)(\s*)", line)
    if marked and not marked[1]:
        return "", False, r"a hard message has a space after its '!'; one that begins with '!' itself is written '\!'"
    text = line[marked.end() :] if marked else line
    return re.sub(r"^\\([@!])", r"\1", text).replace("\\n", "\n"), bool(marked), ""


def _likeness_fault(text: str, known: list[tuple[str, frozenset[str]]]) -> str:
    """That a text is too like a known one, or ""."""
    own = grams(text)
    for name, theirs in known:
        if (share := jaccard(own, theirs)) > MAX_LIKENESS:
            return f"too like {name} ({share:.2f})"
    return ""


def parse(lines: Iterable[str], language: str, existing: list[Script]) -> tuple[list[Script], list[Refused]]:
    """Read scripts in the short form; each gets the next free number of its leaf, and near-copies are refused."""
    known = [(script.id, grams(script.text)) for script in existing]
    last: Counter[str] = Counter()
    for script in existing:
        last[script.label] = max(last[script.label], int(script.id.rpartition("-")[2]))
    added: list[Script] = []
    refused: list[Refused] = []
    fields: dict[str, Any] = {}
    no_header: Refused | None = None  # why the messages that come now have no header
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line:
            continue
        if line.startswith("@"):
            fields, reason = _header(line)
            if reason and not line.startswith("@ "):
                reason += r" (a message that begins with '@' is written '\@')"
            no_header = Refused(number, reason) if reason else None
            refused += [no_header] if no_header else []
        elif fields:
            text, hard, reason = _message(line)
            reason = reason or text_fault(text) or personal_fault(text) or _likeness_fault(text, known)
            if reason:
                refused.append(Refused(number, reason))
                continue
            label = fields["label"]
            last[label] += 1
            script = Script(f"{language}-{label}-{last[label]:03}", text, language=language, hard=hard, **fields)
            added.append(script)
            known.append((script.id, grams(text)))
        elif no_header is None:
            no_header = Refused(number, "a message without a valid header above it")
            refused.append(no_header)
        else:
            no_header.skipped += 1
    return added, refused


def language_file(language: str) -> Path:
    """Where the scripts of a language lie.

    Raises:
        ForewarnError: it is not a language tag.
    """
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?", language):
        raise ForewarnError(f"{language!r} is not a language tag such as en, fil or zh-Hant")
    return corpus_folder() / f"{language}.jsonl"


def read_language(language: str, checked: bool = True) -> list[Script]:
    """The scripts of a language, none for a new one; `checked` as in `read_scripts`."""
    path = language_file(language)
    return read_scripts([path], checked) if path.exists() else []


def write_language(language: str, scripts: list[Script]) -> None:
    """Replace the file of a language at one stroke; without scripts it goes."""
    if not scripts:
        language_file(language).unlink(missing_ok=True)
        return
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
    # Unchecked: a script that breaks a rule must not be kept from being removed.
    kept = {language: read_language(language, checked=False) for language in sorted(languages)}
    known = {script.id for scripts in kept.values() for script in scripts}
    if missing := [script_id for script_id in script_ids if script_id not in known]:
        raise ForewarnError(f"no script {', '.join(missing)} in {corpus_folder()}; nothing was removed")
    for language, scripts in kept.items():
        write_language(language, [script for script in scripts if script.id not in script_ids])
