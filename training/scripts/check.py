"""The validator of our own corpus: counts, slots, writing systems, near-duplicates, personal data, and cheap tells.

A tell is a feature of one dimension (length, any link, digits, capitals, emoji, punctuation) by which scams and honest
rows of a language could be told apart without reading them: a model would learn it and fail on real messages.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.dedupe import skeleton
from forewarn.training.evaluation.metrics import auroc
from forewarn.training.scripts.corpus import Script, personal_fault, script_fault
from forewarn.training.scripts.slots import fill
from scipy.sparse import csr_matrix

SCAM_SCRIPTS = 16
HONEST_SCRIPTS = {"promotion": 24, "personal": 60, "transactional": 80, "public_notice": 40}
HARD_SCAMS, HARD_HONEST = 1 / 3, 1 / 2
MAX_TELL = 0.60
MAX_LIKENESS = 0.6
MIN_IN_SCRIPT = 0.9

# The writing systems that a language's rows are in (prefixes of Unicode character names). Romanised rows are named
# where people really write them. Languages in Latin letters are identified by their words instead.
_SCRIPTS = {
    "zh": ("CJK",), "ja": ("CJK", "HIRAGANA", "KATAKANA"), "ko": ("HANGUL",), "th": ("THAI",), "my": ("MYANMAR",),
    "km": ("KHMER",), "lo": ("LAO",), "hi": ("DEVANAGARI", "LATIN"), "bn": ("BENGALI",), "ta": ("TAMIL", "LATIN"),
    "ur": ("ARABIC", "LATIN"), "ar": ("ARABIC",), "fa": ("ARABIC",), "ru": ("CYRILLIC",), "uk": ("CYRILLIC",),
    "el": ("GREEK",), "he": ("HEBREW", "LATIN"), "ne": ("DEVANAGARI", "LATIN"), "mr": ("DEVANAGARI", "LATIN"),
    "te": ("TELUGU", "LATIN"), "si": ("SINHALA", "LATIN"), "am": ("ETHIOPIC", "LATIN"),
    "ha": ("LATIN",), "yo": ("LATIN",),  # which the identifier does not know
}  # fmt: skip
# What a word-based identifier may take a language's short messages for: close relatives, and English where it is mixed.
_TAKEN_FOR = {
    "en": {"en"}, "id": {"id", "ms", "jv", "en"}, "ms": {"ms", "id", "jv", "en"}, "vi": {"vi", "en"},
    "fil": {"tl", "en", "es"}, "sw": {"sw", "en"}, "es": {"es", "gl", "ca", "pt", "an"}, "pt": {"pt", "gl", "es"},
    "fr": {"fr", "en"}, "de": {"de", "en", "lb"}, "it": {"it", "es"}, "nl": {"nl", "af", "en"}, "pl": {"pl"},
    "tr": {"tr", "az"}, "hr": {"hr", "bs", "sr", "sl"}, "ro": {"ro", "it", "en"},
}  # fmt: skip
MIN_IDENTIFIED = 0.75

_LINK = re.compile(r"https?://|www\.|\b[\w-]+\.[a-z]{2,10}(?:/|\b)", re.IGNORECASE)
_EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")

FEATURES: dict[str, Callable[[str], float]] = {
    "length": lambda text: len(text),
    "any link": lambda text: bool(_LINK.search(text)),
    "digits": lambda text: sum(c.isdigit() for c in text),
    "capitals": lambda text: sum(c.isupper() for c in text) / len(text),
    "emoji": lambda text: len(_EMOJI.findall(text)),
    "punctuation": lambda text: sum(unicodedata.category(c).startswith("P") for c in text) / len(text),
}


@dataclass
class LanguageReport:
    """What was found in one language: figures, and errors that a person must mend (each names its rows)."""

    language: str
    rows: int = 0
    hard_scams: float | None = None
    hard_honest: float | None = None
    lengths: tuple[int, int, int] = (0, 0, 0)
    tells: dict[str, float] = field(default_factory=dict)
    likeness: float = 0.0
    distinct: float = 0.0
    identified: float = 1.0
    errors: list[str] = field(default_factory=list)


def grams(text: str, size: int = 3) -> frozenset[str]:
    """Character n-grams of what stays of a text without slots, digits and punctuation."""
    bare = skeleton(re.sub(r"\{\w+\}", " ", text)).replace(" ", "").replace("0", "")
    return frozenset(bare[i : i + size] for i in range(max(1, len(bare) - size + 1)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Share of common members."""
    return len(a & b) / max(1, len(a | b))


def pairwise_likeness(texts: list[str]) -> np.ndarray:
    """Jaccard of the character trigrams of each two texts, (texts, texts): 0 is nothing in common, 1 the same."""
    numbers: dict[str, int] = {}
    columns = [[numbers.setdefault(gram, len(numbers)) for gram in grams(text)] for text in texts]
    sizes = np.array([len(row) for row in columns])
    flat = np.array([column for row in columns for column in row], dtype=np.int64)
    pointers = np.concatenate([[0], np.cumsum(sizes)])
    members = csr_matrix((np.ones(len(flat), np.float32), flat, pointers), shape=(len(texts), max(1, len(numbers))))
    common = (members @ members.T).toarray()
    return np.asarray(common / np.maximum(1, sizes[:, None] + sizes[None, :] - common))


def likeness(texts: list[str]) -> float:
    """Mean likeness over all pairs of different texts."""
    if len(texts) < 2:
        return 0.0
    return float(pairwise_likeness(texts)[np.triu_indices(len(texts), 1)].mean())


def distinct_share(texts: list[str], size: int = 5) -> float:
    """Distinct character 5-grams over all 5-grams (distinct-n, Li et al. 2016, https://aclanthology.org/N16-1014/)."""
    every = [bare[i : i + size] for bare in map(skeleton, texts) for i in range(len(bare) - size + 1)]
    return len(set(every)) / max(1, len(every))


def _in_script(text: str, prefixes: tuple[str, ...]) -> bool:
    letters = [c for c in re.sub(r"\{\w+\}", "", text) if c.isalpha()]
    inside = sum(unicodedata.name(c, "").startswith(prefixes) for c in letters)
    # Brands and links are in Latin letters everywhere: a third in the own script says that the message is.
    return not letters or inside >= len(letters) / 3


def _identified_share(language: str, texts: list[str]) -> float:
    import py3langid

    long_enough = [re.sub(r"\{\w+\}", " ", text) for text in texts if len(text) >= 50]
    taken_for = _TAKEN_FOR.get(language, {language})
    return sum(py3langid.classify(text)[0] in taken_for for text in long_enough) / max(1, len(long_enough))


def check_language(language: str, scripts: list[Script], taxonomy: Taxonomy) -> LanguageReport:
    """Check all rows of one language."""
    report = LanguageReport(language, len(scripts))
    errors = report.errors
    missing: list[str] = []
    scam_leaves = {leaf.name for leaf in taxonomy.leaves if leaf.verdict == "scam"}
    counts = Counter(script.label for script in scripts)
    for name in taxonomy.names:
        need = SCAM_SCRIPTS if name in scam_leaves else HONEST_SCRIPTS[name]
        if counts[name] < need:
            missing.append(f"{name}: {counts[name]} scripts, {need} needed")
    errors += [f"{name}: two rows have this id" for name, n in Counter(s.id for s in scripts).items() if n > 1]
    sound = []
    for script in scripts:
        if fault := script_fault(script) or personal_fault(script.text):
            errors.append(f"{script.id}: {fault}")
        else:
            sound.append(script)
    errors += missing
    # Broken rows cannot be filled or measured; the others can, also those of a corpus that is still growing.
    if sound:
        _measure(report, sound, scam_leaves)
    return report


def _measure(report: LanguageReport, scripts: list[Script], scam_leaves: set[str]) -> None:
    _check_writing(report, [script.text for script in scripts])
    _check_likeness(report, scripts, scam_leaves)
    scam = np.array([script.label in scam_leaves for script in scripts])
    hard = np.array([script.hard for script in scripts])
    if not scam.any() or scam.all():
        report.errors.append("rows of one side alone: no share of hard rows and no tells without scams and honest rows")
        return
    of_scams, of_honest = float(hard[scam].mean()), float(hard[~scam].mean())
    report.hard_scams, report.hard_honest = of_scams, of_honest
    if of_scams < HARD_SCAMS or of_honest < HARD_HONEST:
        report.errors.append(f"hard rows: {of_scams:.0%} of scams, {of_honest:.0%} of honest ones")
    _check_tells(report, scripts, scam)


def _check_writing(report: LanguageReport, texts: list[str]) -> None:
    base = report.language.split("-")[0]
    if base in _SCRIPTS:
        report.identified = float(np.mean([_in_script(text, _SCRIPTS[base]) for text in texts]))
        least = MIN_IN_SCRIPT
    else:
        report.identified = _identified_share(base, texts)
        least = MIN_IDENTIFIED
    if report.identified < least:
        report.errors.append(
            f"only {report.identified:.0%} of the rows look like {report.language} ({least:.0%} needed)"
        )
    lengths = [len(text) for text in texts]
    report.lengths = (int(np.percentile(lengths, 5)), int(np.median(lengths)), int(np.percentile(lengths, 95)))
    if report.lengths[2] < 3 * report.lengths[0]:
        report.errors.append("lengths: the 95th percentile is under three times the 5th")


def _check_likeness(report: LanguageReport, scripts: list[Script], scam_leaves: set[str]) -> None:
    by_leaf: dict[str, list[Script]] = defaultdict(list)
    for script in scripts:
        by_leaf[script.label].append(script)
    like = pairwise_likeness([script.text for script in scripts])
    for i, j in np.argwhere(np.tril(like, -1) > MAX_LIKENESS):
        report.errors.append(f"{scripts[i].id}: nearly the same as {scripts[j].id}")
    report.likeness = float(np.mean([likeness([s.text for s in by_leaf[leaf]]) for leaf in sorted(scam_leaves)]))
    report.distinct = distinct_share([script.text for script in scripts])


def _check_tells(report: LanguageReport, scripts: list[Script], scam: np.ndarray) -> None:
    texts = [fill(script, random.Random(script.id)) for script in scripts]
    for name, feature in FEATURES.items():
        area = auroc(np.array([float(feature(text)) for text in texts]), scam)
        report.tells[name] = max(area, 1 - area)
        if report.tells[name] > MAX_TELL:
            report.errors.append(f"{name} alone tells scams from honest rows (AUROC {area:.2f}, at most {MAX_TELL})")


def copies_across(scripts: list[Script]) -> list[str]:
    """Pairs of rows in two languages that share an unusual frame: the same five or more slots and numbers in one leaf.

    A translation keeps the values and the slots in order, whatever the words are. A hint for a reader, not a proof.
    """
    frames: dict[tuple[str, tuple[str, ...]], Script] = {}
    found = []
    for script in scripts:
        frame = tuple(re.findall(r"\{\w+\}|\d+", script.text))
        if len(set(frame)) < 5:
            continue
        other = frames.setdefault((script.label, frame), script)
        if other.language != script.language:
            found.append(
                f"{script.id} and {other.id}: the same {len(frame)} slots and numbers in order; a translation?"
            )
    return found
