"""Public text as honest rows: registers that no labelled set holds, of which a model must not be afraid.

Trained on messages alone, model 2026.11.6 warned of one sentence in twenty-five that is no message at all: a verse, a
lesson, a line of an app. None of that is a scam, whatever else it is.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from pathlib import Path

from forewarn.training.data.rows import Row
from forewarn.training.text import languages, require_text, sentences

NAME = "public_text"  # the data card
HELD_OUT = 1000  # sentences a language that no training sees: the first of its file, which are shuffled
_LONGEST, _SHORTEST = 400, 12  # characters; shorter ones are mostly names


def public_rows(folder: Path, count: int, held_out: bool = False, only: Collection[str] | None = None) -> list[Row]:
    """Up to `count` sentences of every language as rows that may be any leaf but a scam.

    Args:
        folder: of public text.
        count: rows a language; 0 gives none, and asks for no folder.
        held_out: those kept for the model card in place of those for training.
        only: the languages wanted ("zh" where "zh-Hans" is among them); None takes all.

    Raises:
        ForewarnError: the folder has no text.
    """
    rows: list[Row] = []
    if count:
        require_text(folder, "set public_text_rows: 0 in the config")
    wanted = None if only is None else {*only, *(language.split("-")[0] for language in only)}
    for language in languages(folder) if count else []:
        if wanted is not None and language not in wanted:
            continue
        usable = (text for text in sentences(folder, language) if _SHORTEST <= len(text) <= _LONGEST)
        start, end = (0, min(count, HELD_OUT)) if held_out else (HELD_OUT, HELD_OUT + count)
        for number, text in enumerate(islice(usable, start, end), start=start):
            rows.append(Row(text, "not_scam", language, "chat", "real", NAME, line=f"{language}:{number}"))
    return rows
