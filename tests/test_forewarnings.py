"""The forewarnings that people read: complete, short, in the right script, and with nothing to dial or tap."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest
from forewarn.inference.labels import Taxonomy

# Character ranges of each language's own script; a text needs at least half of its letters in them, because
# product words such as "App", "OTP" or "SIM" stay Latin everywhere.
CHINESE = "\u4e00-\u9fff"
ARABIC = "\u0600-\u06ff"
CYRILLIC = "\u0400-\u04ff"
BENGALI = "\u0980-\u09ff"
DEVANAGARI = "\u0900-\u097f"
SCRIPTS = {
    "zh-Hans": CHINESE,
    "zh-Hant": CHINESE,
    "th": "\u0e00-\u0e7f",
    "my": "\u1000-\u109f",
    "km": "\u1780-\u17ff",
    "lo": "\u0e80-\u0eff",
    "ja": CHINESE + "\u3040-\u30ff",
    "ko": "\uac00-\ud7af",
    "hi": DEVANAGARI,
    "mr": DEVANAGARI,
    "ne": DEVANAGARI,
    "te": "\u0c00-\u0c7f",
    "si": "\u0d80-\u0dff",
    "am": "\u1200-\u137f",
    "he": "\u0590-\u05ff",
    "bn": BENGALI,
    "ta": "\u0b80-\u0bff",
    "ar": ARABIC,
    "fa": ARABIC,
    "ur": ARABIC,
    "ru": CYRILLIC,
    "uk": CYRILLIC,
    "el": "\u0370-\u03ff\u1f00-\u1fff",
}
# A letter that the language cannot do without and its neighbour in the same script does not use.
OWN_LETTERS = {
    "ja": "[\u3040-\u30ff]",
    "zh-Hans": "[这个们骗钱码账户请别]",
    "zh-Hant": "[這個們騙錢碼帳戶請別]",
    "fa": "[پچژگکی]",
    "ur": "[ٹڈڑںے]",
    "mr": "(?:आह|नका|नाही|ात[. ]|ळ)",
    "ne": "(?:छ|होस्|हुन्)",
    "uk": "[іїєґ]",
    "ru": "[ыэё]",
}


def shipped() -> dict[str, dict[str, str]]:
    """The file as the package carries it."""
    return json.loads((files("forewarn.inference") / "forewarnings.json").read_text(encoding="utf-8"))


def scam_leaves() -> list[str]:
    """Names of the leaves that a person is warned about, in label order."""
    return [leaf.name for leaf in Taxonomy.load().leaves if leaf.verdict == "scam"]


FOREWARNINGS = shipped()
LOCALES = sorted({locale for texts in FOREWARNINGS.values() for locale in texts})


def texts_in(locale: str) -> list[str]:
    """Every forewarning of one language."""
    return [texts[locale] for texts in FOREWARNINGS.values() if locale in texts]


def test_every_scam_leaf_and_nothing_else_is_forewarned_in_label_order() -> None:
    assert list(FOREWARNINGS) == scam_leaves()


def test_english_is_always_there_to_fall_back_on() -> None:
    assert [leaf for leaf, texts in FOREWARNINGS.items() if "en" not in texts] == []


@pytest.mark.parametrize("locale", LOCALES)
def test_a_language_that_appears_covers_every_scam_leaf(locale: str) -> None:
    assert [leaf for leaf in scam_leaves() if locale not in FOREWARNINGS[leaf]] == []


@pytest.mark.parametrize("locale", LOCALES)
def test_texts_fit_a_phone_screen(locale: str) -> None:
    too_short_or_long = {text: len(text) for text in texts_in(locale) if not 20 <= len(text) <= 320}
    assert too_short_or_long == {}
    assert all(text == text.strip() and "\n" not in text for text in texts_in(locale))


@pytest.mark.parametrize("locale", LOCALES)
def test_nothing_to_dial_or_tap(locale: str) -> None:
    # \d covers every script's digits, so a number written in Devanagari or Arabic digits is caught too.
    assert [text for text in texts_in(locale) if re.search(r"\d{5}", text) or "://" in text or "www." in text] == []


@pytest.mark.parametrize("locale", LOCALES)
def test_no_two_leaves_share_a_text(locale: str) -> None:
    texts = texts_in(locale)
    assert len(set(texts)) == len(texts)


def test_no_language_borrows_another_ones_text() -> None:
    for leaf, texts in FOREWARNINGS.items():
        assert len(set(texts.values())) == len(texts), leaf


@pytest.mark.parametrize("locale", sorted(set(LOCALES) & set(SCRIPTS)))
def test_texts_are_in_the_languages_script(locale: str) -> None:
    for text in texts_in(locale):
        own = len(re.findall(f"[{SCRIPTS[locale]}]", text))
        latin = len(re.findall("[A-Za-z]", text))
        assert own >= 10 and own > latin, text


@pytest.mark.parametrize("locale", sorted(set(LOCALES) - set(SCRIPTS)))
def test_other_languages_are_in_latin_script(locale: str) -> None:
    for text in texts_in(locale):
        assert all(ord(c) < 0x370 or 0x1E00 <= ord(c) <= 0x20CF for c in text), text


@pytest.mark.parametrize("locale", sorted(set(LOCALES) & set(OWN_LETTERS)))
def test_neighbours_in_one_script_are_not_swapped(locale: str) -> None:
    assert [text for text in texts_in(locale) if not re.search(OWN_LETTERS[locale], text)] == []
