"""A search attack: change the words that the model leans on, one after the other, until it stops warning.

Greedy word substitution by the model's own score (in the manner of Jin et al. 2020, TextFooler), with disguises that a
reader sees through instead of synonyms: the message must still work on its victim.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from attacks.tricks import ACCENTS, CYRILLIC, LEET, SMALL_CAPITALS

_PIECE = re.compile(r"\w{2,}")
_DISGUISES: list[Callable[[str], str]] = [
    lambda word: word.translate(CYRILLIC),
    lambda word: word.lower().translate(SMALL_CAPITALS),
    lambda word: word.translate(ACCENTS),
    lambda word: word.translate(LEET),
    lambda word: word[:1] + "\u200b" + word[1:],
    lambda word: word[: len(word) // 2] + " " + word[len(word) // 2 :],
    lambda word: word[: len(word) // 2] + "." + word[len(word) // 2 :],
    lambda word: word[0] + word[2:3] + word[1:2] + word[3:],
]


@dataclass(frozen=True)
class Outcome:
    """How one message fared: how many words were changed, and whether the model still warns."""

    changes: int
    survived: bool


def attack(
    text: str, risks: Callable[[Sequence[str]], Sequence[float]], threshold: float, most_changes: int = 5
) -> Outcome:
    """Change up to `most_changes` words (runs of letters), each time the one change that lowers the risk most.

    Args:
        text: a message that the model warns of.
        risks: texts to risks, in one batch.
        threshold: of the warning.
        most_changes: words.
    """
    for changes in range(most_changes + 1):
        spans = [match.span() for match in _PIECE.finditer(text)]
        made = (text[:a] + disguise(text[a:b]) + text[b:] for a, b in spans for disguise in _DISGUISES)
        candidates = [candidate for candidate in made if candidate != text]
        now, *found = risks([text, *candidates])
        if now < threshold:
            return Outcome(changes, survived=False)
        if changes == most_changes or not found or min(found) >= now:
            break
        text = candidates[found.index(min(found))]
    return Outcome(changes, survived=True)
