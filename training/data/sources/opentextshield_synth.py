"""Synthetic templated SMS in about 15 languages, where every attack has a benign twin.

The file names no language. `detect_language` finds it by script and stop words and says "und" when unsure.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "opentextshield_synth"

# Spam templates that say what they sell. Sales of shops are promotion; money for nothing may be either, hence unions.
_SALE = re.compile(
    r"flash sale|^sale!|uitverkoop|\bsaldi\b|promo[çc][ãa]o|^promo\b|oferta!|i̇?ndi̇?rim|"
    r"распродажа|מבצע|تخفيضات|セール|限时",
    re.I,
)
_CASINO = re.compile(
    r"casino|cassino|casinò|казино|kasino|freispiele|\bbahis|娱乐城|赌|カジノ|كازينو|קזינו|\bjudi\b|\bslot\b", re.I
)
_WORDS = {
    "en": "the your you to is this now not and for was if are with has been from here account unpaid ends only need "
    "who working home no experience needed free spins play today off everything shop",
    "es": "su sus el los una usted por para con del está ha fue código pague aquí tu hoy más sin y es de la en pierde "
    "natural prueba kilos semana desde casa experiencia tiene reembolso pendiente regala nuevos jugadores oferta solo",
    "pt": "sua seu você não uma foi com para dos aqui código hoje seus em sem e é de a o tem ligue está na pague "
    "encomenda agora pedágio empréstimo rápido grátis novos jogadores aprova aviso perca ganhe casa",
    "fr": "votre vous le les une pour est été avec ne du et sur à de la vos ici pas si cliquez gagnez depuis chez "
    "aucune tout seulement achetez perdez semaines cette essai gratuit crédit rapide demandez",
    "it": "il tuo la è con per non del una sono hai stato gli tua di chiama se subito questo saldi sconto solo oggi "
    "acquista avviso pedaggio pagato paga ora guadagna casa prestito",
    "de": "ihr ihre ihnen der die das und nicht ist wurde sie mit für bitte jetzt ein hier kann auf ohne bei nur heute "
    "kaufen rabatt bis schnellkredit beantragen spielen verdienen woche",
    "nl": "uw het een niet is van voor met de je deze bij en op nu wordt hier verifieer in laatste waarschuwing tol "
    "betaal korting alleen vandaag krijgt terug bevestig gegevens lening verdien",
    "tr": "ve bir için bu hesabınız kartınız lütfen hemen paketiniz kargonuz bugün değilse ödeyin üye kodunuz yarın "
    "doğrulama kimseyle paylaşmayın askıya alındı kimliğinizi doğrulayın bugüne özel i̇ndirim indirim kredi",
    "id": "anda yang untuk dan di ini dengan telah akan jangan kode hari segera sekarang paket tanpa kepada dari "
    "rekening diskon saja beli kerja rumah hingga daftar cepat cair",
    "hi-Latn": "aapka aapke hai kar karein nahi ko ke ki ka se hua abhi turant aaj mein par hi main "
    "yaad bina sirf ghatao",
}
_STOP = {language: frozenset(words.split()) for language, words in _WORDS.items()}


def detect_language(text: str) -> str:
    """The BCP 47 tag of a message, by a rule that prefers "und" to a guess.

    1. The script of most letters decides where it can: kana make Japanese, Hangul Korean, Han alone Chinese, Cyrillic
       Russian, Hebrew Hebrew, Arabic Arabic. These are the languages of this file; the rule is not for other text.
    2. Latin text goes to the language with most stop words, if it has two of them and more than any other.
    3. All else is "und": disguised spelling, names only, mixtures.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    plain = re.sub(r"(?:https?://)?[A-Za-z0-9@/-][A-Za-z0-9@/.-]*\.[A-Za-z0-9]{2,}[A-Za-z0-9@/.?=&-]*", " ", plain)
    if len(re.findall(r"[a-z][0134@$][a-z0134@$]", plain, re.I)) >= 3:
        return "und"
    counts = {"latin": 0, "cyrillic": 0, "hebrew": 0, "arabic": 0, "hangul": 0, "kana": 0, "han": 0}
    for letter in filter(str.isalpha, plain):
        name = unicodedata.name(letter, "")
        script = name.split(" ")[0].lower()
        if script in ("hiragana", "katakana", "katakana-hiragana"):
            counts["kana"] += 1
        elif script == "cjk":
            counts["han"] += 1
        elif script in counts:
            counts[script] += 1
    total = sum(counts.values())
    if not total:
        return "und"
    east_asian = counts["kana"] + counts["han"]
    if 2 * east_asian > total:
        return "ja" if counts["kana"] else "zh"
    for script, language in (("hangul", "ko"), ("hebrew", "he"), ("arabic", "ar"), ("cyrillic", "ru")):
        if 2 * counts[script] > total:
            # Cyrillic look-alikes inside Latin words are a disguise, not Russian.
            return "und" if language == "ru" and counts["latin"] > 0.3 * total else language
    if counts["cyrillic"] and re.search(r"[a-z][\u0400-\u04ff]|[\u0400-\u04ff][a-z]", plain, re.I):
        return "und"
    return _by_stop_words(plain)


def _by_stop_words(text: str) -> str:
    words = re.findall(r"[^\W\d_]+", text.replace("İ", "i").lower())
    if 2 * sum(len(word) == 1 for word in words) > len(words):
        return "und"
    hits = sorted(((sum(w in stop for w in words), language) for language, stop in _STOP.items()), reverse=True)
    (best, language), (second, _) = hits[0], hits[1]
    return language if best >= 2 and best > second else "und"


def _label(label: str, text: str) -> str | None:
    if label == "phishing":
        return "scam"
    if label == "ham":
        return "ham"
    if label != "spam":
        return None
    if _CASINO.search(text):
        return "illicit_offer|promotion"
    return "promotion" if _SALE.search(text) else "unwanted"


def load(files: dict[str, Path]) -> Loaded:
    """Read `synthetic_fable5_v1.csv` (columns text and label)."""
    loaded = Loaded()
    for path, file in files.items():
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
            reader = csv.DictReader(handle)
            start = 2
            for record in reader:
                line, start = f"{path}:{start}", reader.line_num + 1
                text = (record.get("text") or "").strip()
                label = _label((record.get("label") or "").strip().lower(), text)
                if label is None:
                    loaded.rejected.append(Rejected(NAME, line, "unknown label"))
                elif not text or "\ufffd" in text:
                    loaded.rejected.append(Rejected(NAME, line, "not UTF-8" if text else "empty text"))
                else:
                    language = detect_language(text)
                    loaded.rows.append(Row(text, label, language, "sms", "synthetic", NAME, "", line))
    return loaded
