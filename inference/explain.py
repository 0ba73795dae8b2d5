"""What the model reads of a text, and which parts of it made it look like a scam.

Explanations are by occlusion: take a part out, score again; the weight of a part is the drop in the log-odds of scam.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypedDict

import numpy as np

HEAD_CHARACTERS = 3000
TAIL_CHARACTERS = 1000
MAX_SEGMENTS = 48
MAX_SPANS = 5
PIECES_PER_SEGMENT = 3

_SURROGATE = re.compile("[\ud800-\udfff]")
_WORD = re.compile(r"\S+")
# Thai to Burmese, Khmer, kana, Han, full-width forms: scripts written without spaces between words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


class Evidence(TypedDict):
    """A span of the original text (`start`, `end` in characters) and how much of the scam log-odds it carries."""

    start: int
    end: int
    text: str
    weight: float


def clean(text: str) -> str:
    """What the tokenizer gets: no lone surrogates (U+FFFD instead), no NUL, head and tail of a very long text."""
    if len(text) > HEAD_CHARACTERS + TAIL_CHARACTERS:
        text = f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"
    return _SURROGATE.sub("\ufffd", text).replace("\0", "")


def origins(text: str) -> list[int]:
    """For each character of `clean(text)`, where it stands in `text`."""
    places = list(range(len(text)))
    if len(text) > HEAD_CHARACTERS + TAIL_CHARACTERS:
        places = [*places[:HEAD_CHARACTERS], HEAD_CHARACTERS, *places[-TAIL_CHARACTERS:]]
        kept = f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"
    else:
        kept = text
    return [place for place, character in zip(places, kept, strict=True) if character != "\0"]


def explain_scam(
    text: str,
    pieces: list[tuple[int, int]],
    part: tuple[int, int] | None,
    scam_log_odds: Callable[[list[str]], np.ndarray],
    whole: float,
) -> list[Evidence]:
    """The spans that raise the scam log-odds most, heaviest first (none where nothing does).

    Args:
        text: the original text.
        pieces: where the pieces that the model read stand in the cleaned text.
        part: the part of the cleaned text that is explained; None is all of it.
        scam_log_odds: the model, from cleaned texts to scam log-odds.
        whole: the scam log-odds of that part.
    """
    cleaned = clean(text)
    begin, stop = part or (0, len(cleaned))
    segments = _segments(cleaned, begin, pieces)
    if not segments:
        return []
    weights = whole - scam_log_odds([cleaned[begin:start] + cleaned[end:stop] for start, end in segments])
    floor = max(0.05, 0.2 * float(weights.max()))
    places = origins(text)

    spans: list[tuple[int, int, float]] = []
    last = -2
    for i, (start, end) in enumerate(segments):
        if weights[i] < floor:
            continue
        first, after, weight = places[start], places[end - 1] + 1, float(weights[i])
        # Neighbours become one span, unless the cut of a very long text lies between them.
        if i == last + 1 and spans and first - spans[-1][1] < TAIL_CHARACTERS // 10:
            first, weight = spans[-1][0], spans[-1][2] + weight
            spans.pop()
        spans.append((first, after, weight))
        last = i
    spans.sort(key=lambda span: -span[2])
    return [
        {"start": first, "end": after, "text": _SURROGATE.sub("\ufffd", text[first:after]), "weight": round(weight, 4)}
        for first, after, weight in spans[:MAX_SPANS]
    ]


def _segments(cleaned: str, begin: int, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """At most MAX_SEGMENTS parts of what the model sees: words, or a few pieces where a script has no spaces."""
    pieces = [(start, end) for start, end in pieces if end > start]
    seen = max((end for _, end in pieces), default=0)
    segments: list[tuple[int, int]] = []
    for word in _WORD.finditer(cleaned, begin, seen):
        start, end = word.span()
        if _UNSPACED.search(word.group()):
            inner = sorted({min(max(a, start), end) for a, b in pieces if a < end and b > start} | {start})
            cuts = [*inner[::PIECES_PER_SEGMENT], end]
            segments += [(a, b) for a, b in zip(cuts, cuts[1:], strict=False) if b > a]
        else:
            segments.append((start, end))
    if len(segments) > MAX_SEGMENTS:
        groups = [part for part in np.array_split(np.arange(len(segments)), MAX_SEGMENTS) if len(part)]
        segments = [(segments[part[0]][0], segments[part[-1]][1]) for part in groups]
    return segments


def forewarning_for(by_locale: dict[str, str], locale: str | None) -> str | None:
    """The text of the nearest locale: zh-Hant-TW, then zh-Hant, then zh, then en; None where there is none of them.

    Args:
        by_locale: texts by lower-case BCP 47 tag.
        locale: the tag asked for, in any case, `_` or `-`; None is English.
    """
    tag = (locale or "en").strip().replace("_", "-").partition(".")[0].lower()
    # Where the script is not said, these regions write traditional Chinese.
    if tag in ("zh-tw", "zh-hk", "zh-mo"):
        tag = tag.replace("zh-", "zh-hant-")
    while tag:
        if tag in by_locale:
            return by_locale[tag]
        tag = tag.rpartition("-")[0]
    return by_locale.get("en")
