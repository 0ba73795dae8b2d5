"""Obfuscation as scammers do it, for training and for the obfuscated copy of the test set."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Sequence

# Look-alikes (a part of Unicode's confusables, UTS #39). The first mixes both ways and three scripts; the others put a
# whole word into one alphabet.
_MIXED = str.maketrans(
    {"a": "а", "c": "с", "e": "е", "i": "і", "o": "о", "p": "р", "x": "х", "y": "у", "s": "ѕ", "k": "κ", "v": "ν",
     "A": "А", "B": "В", "E": "Е", "H": "Н", "K": "К", "M": "М", "O": "О", "P": "Р", "C": "С", "T": "Т", "X": "Х",
     "u": "υ", "а": "a", "е": "e", "о": "o", "р": "p", "с": "c", "у": "y", "х": "x", "і": "i"}
)  # fmt: skip
_CYRILLIC = str.maketrans("abcdeghijklmnopqrstuvwxyzABCEGHIJKMNOPSTXY", "аЬсԁеԍһіјкӏмпорԛгѕтцѵԝхуzАВСЕԌНІЈКМПОРЅТХУ")
_GREEK = str.maketrans("abdehiklmnoprstuvwxyABEHIKMNOPTXYZ", "αβδεհικℓмηορгѕτυνωχγΑΒΕΗΙΚΜΝΟΡΤΧΥΖ")
_PHONETIC = str.maketrans("abcdefghijklmnopqrstuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ")
_ALPHABETS = (_MIXED, _MIXED, _CYRILLIC, _GREEK, _PHONETIC)
_ACCENTS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030c\u0327\u0328"
# What stands under a long press on a phone's keyboard: letters that look right in some language.
_UNDER_THE_KEY = {
    "a": "àáâãäåāăą", "c": "çćč", "d": "ďđ", "e": "èéêëēėęě", "g": "ğģ", "i": "ìíîïīį", "k": "ķ", "l": "łľļ",
    "n": "ñńňņ", "o": "òóôõöøōő", "r": "ŕř", "s": "śšşș", "t": "ťţț", "u": "ùúûüūůűų", "y": "ýÿ", "z": "źżž",
}  # fmt: skip
_LEET = str.maketrans(
    {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7", "A": "4", "E": "3", "I": "1", "O": "0"}
)
_INVISIBLE = "\u200b\u200c\u200d\u2060\u00ad\ufeff"
_MARKS = "\u0301\u0307\u0323\u0331\u0335\u0336\u0489"
# What the filters of Chinese messengers look for, and how it is written past them: by look, by sound, in letters.
_CHINESE = {
    "微信": ("薇信", "徽信", "威信", "vx", "V信", "wx"), "加我": ("伽我", "+我", "咖我"), "兼职": ("兼值", "煎职"),
    "贷款": ("代款", "dk", "贷kuan"), "银行": ("银hang", "垠行", "yh"), "验证码": ("验证吗", "验正码", "yzm"),
    "点击": ("点鸡", "點擊", "點撃"), "链接": ("链結", "琏接", "lian接"), "客服": ("客fu", "客伏", "kf"),
    "转账": ("转帐", "zz", "专账"), "投资": ("投姿", "头资", "tz"), "股票": ("古票", "gu票"), "刷单": ("唰单", "s单"),
    "返利": ("反利", "fan利"), "中奖": ("中桨", "仲奖"), "博彩": ("菠菜", "bo彩"), "群": ("裙", "峮"), "钱": ("米",),
    "加賴": ("加瀨", "+瀨"), "投資": ("投姿", "投zi"), "貸款": ("代款", "貸kuan"), "連結": ("蓮結", "連節"),
}  # fmt: skip
_CHINESE_WORD = re.compile("|".join(sorted(_CHINESE, key=len, reverse=True)))
_KANA = re.compile("[\u3040-\u30ff]")
_THAI_TONES = re.compile("[\u0e48-\u0e4b]")
_THAI_END = re.compile("[\u0e01-\u0e45](?![\u0e01-\u0e4e])")
_ARABIC_JOIN = re.compile("(?<=[بتثجحخسشصضطظعغفقكلمنهيیکپچگ])(?=[\u0621-\u064aپچژگکی])")
_ARABIC_HASTE = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ة": "ه", "ى": "ي"})
_ROMAN = dict(
    zip("абвгдезийклмнопрстуфхыэґіαβγδεζικλμνοπρστυφω", "abvgdeziyklmnoprstufhyegiavgdeziklmnoprstufo", strict=True)
) | {
    "ж": "zh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "sch", "ю": "yu", "я": "ya", "ё": "yo", "ь": "", "ъ": "",
    "є": "ye", "ї": "yi", "ј": "j", "љ": "lj", "њ": "nj", "ђ": "dj", "ћ": "c", "џ": "dz",
    "η": "i", "θ": "th", "ξ": "ks", "ς": "s", "χ": "x", "ψ": "ps",
}  # fmt: skip
_ROMAN_TABLE = {ord(c): latin for c, latin in _ROMAN.items()} | {
    ord(c.upper()): latin.capitalize() for c, latin in _ROMAN.items() if len(c.upper()) == 1
}
_EMOJI = "🔥💰✅⚠️🎁📦💳👉⭐❗🙏😊"
_WORD = re.compile(r"\w{3,}")
_DIGIT = re.compile(r"\d")
_LINK = re.compile(r"(?:https?://)?(?:[\w-]+\.)+[a-z]{2,12}(?:/\S*)?", re.IGNORECASE)

_HOST = re.compile(
    r"(?<![\w@.-])(?P<scheme>https?://)?(?P<host>(?:[\w-]+\.)+"
    r"(?:com|net|org|info|top|xyz|icu|vip|cc|shop|site|live|link|online|click|app|dev|[a-z]{2}))(?![\w.@-])"
)


def _some_words(text: str, rng: random.Random, change: Callable[[str], str], share: float) -> str:
    return _WORD.sub(lambda m: change(m[0]) if rng.random() < share else m[0], text)


def homoglyphs(text: str, rng: random.Random) -> str:
    """Swap letters of some words, or of nearly all, for look-alikes from another script."""
    alphabet = rng.choice(_ALPHABETS)
    small = alphabet is _PHONETIC  # it has no capitals
    return _some_words(text, rng, lambda w: (w.lower() if small else w).translate(alphabet), rng.choice((0.4, 0.8)))


def accents(text: str, rng: random.Random) -> str:
    """Accents that do not belong there, on Latin letters of some words, or of nearly all.

    Any mark on any letter, or, as a tool that rewrites messages does it, one and the same double for each letter.
    """
    doubles = {letter: rng.choice(marked) for letter, marked in _UNDER_THE_KEY.items()}
    by_table, often = rng.random() < 0.5, rng.choice((0.6, 1.0))

    def decorate(word: str) -> str:
        if by_table:
            return "".join(doubles.get(c, c) if rng.random() < often else c for c in word)
        marked = "".join(
            c + rng.choice(_ACCENTS) if c.isascii() and c.isalpha() and rng.random() < 0.6 else c for c in word
        )
        return unicodedata.normalize("NFC", marked)

    return _some_words(text, rng, decorate, rng.choice((0.3, 0.7)))


def zero_width(text: str, rng: random.Random) -> str:
    """Put an invisible character inside some words."""

    def cut(word: str) -> str:
        at = rng.randrange(1, len(word))
        return word[:at] + rng.choice(_INVISIBLE) + word[at:]

    return _some_words(text, rng, cut, 0.5)


def combining_marks(text: str, rng: random.Random) -> str:
    """Strike some words through, or hang marks on their letters. Scripts that live by marks are left alone."""
    mark = rng.choice(_MARKS)

    def hang(word: str) -> str:
        return "".join(c + mark if c.isascii() and rng.random() < 0.6 else c for c in word)

    return _some_words(text, rng, hang, 0.3)


def split_words(text: str, rng: random.Random) -> str:
    """Put spaces, dots, hyphens or the like between the letters of some words."""
    joint = rng.choice([" ", " ", ".", "-", "_", "/", "|"])
    return _some_words(text, rng, lambda w: joint.join(w), rng.choice((0.2, 0.4)))


def leetspeak(text: str, rng: random.Random) -> str:
    """Digits for letters in some words."""
    return _some_words(text, rng, lambda w: w.translate(_LEET), 0.4)


def full_width(text: str, rng: random.Random) -> str:
    """Full-width forms for ASCII in some words."""
    wide = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
    return _some_words(text, rng, lambda w: w.translate(wide), 0.5)


def emoji(text: str, rng: random.Random) -> str:
    """Emoji between and inside words."""
    return _some_words(text, rng, lambda w: w[:2] + rng.choice(_EMOJI) + w[2:], 0.2)


def drop_diacritics(text: str, rng: random.Random) -> str:
    """Latin, Greek and Cyrillic letters without their marks, as typed in haste. Other scripts need their marks."""
    decomposed = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", re.sub(r"(?<=[A-Za-zͰ-ӿ])[\u0300-\u036f]+", "", decomposed))


def local_spelling(text: str, rng: random.Random) -> str:
    """What each writing system is dodged with: Chinese look- and sound-alikes, stretched Arabic, Thai without tones
    or with its last letters drawn out.
    """
    if not _KANA.search(text):
        text = _CHINESE_WORD.sub(lambda m: rng.choice(_CHINESE[m[0]]) if rng.random() < 0.8 else m[0], text)
    text = _THAI_TONES.sub(lambda m: "" if rng.random() < 0.5 else m[0], text)
    text = _THAI_END.sub(lambda m: m[0] * rng.randint(2, 4) if rng.random() < 0.4 else m[0], text)
    if rng.random() < 0.6:
        often = rng.choice((0.3, 0.8))
        return _ARABIC_JOIN.sub(lambda m: "ـ" * rng.randint(1, 3) if rng.random() < often else "", text)
    return text.translate(_ARABIC_HASTE)


def romanise(text: str, rng: random.Random) -> str:
    """Cyrillic and Greek in Latin letters, as typed on a phone without them. Other scripts stay."""
    bare = unicodedata.normalize("NFD", text.replace("й", "y").replace("ї", "yi"))
    bare = unicodedata.normalize("NFC", re.sub(r"(?<=[Ͱ-ӿ])[\u0300-\u036f]+", "", bare))
    return bare.translate(_ROMAN_TABLE)


def change_digits(text: str, rng: random.Random) -> str:
    """Other digits: amounts, codes and numbers are shapes and not words."""
    return _DIGIT.sub(lambda _: rng.choice("0123456789"), text)


def change_links(text: str, rng: random.Random) -> str:
    """Break links up, or drop their scheme, as filters are dodged."""

    def rewrite(match: re.Match[str]) -> str:
        link = re.sub(r"^https?://", "", match[0])
        return rng.choice([link, link.replace(".", " . "), link.replace(".", "[.]"), "hxxp://" + link])

    return _LINK.sub(rewrite, text)


def reserved_links(text: str, rng: random.Random) -> str:
    """Links under a domain that is reserved for examples: what tells a link is then its words and not its ending."""
    ending = rng.choice(("example", "example", "test", "example.com", "example.org"))

    def rewrite(match: re.Match[str]) -> str:
        labels = match["host"].split(".")[:-1]
        while len(labels) > 1 and len(labels[-1]) < 4:  # co.uk
            labels.pop()
        return f"{match['scheme'] or ''}{'.'.join(labels)}.{ending}"

    return _HOST.sub(rewrite, text)


def change_case(text: str, rng: random.Random) -> str:
    """Shouting, with more marks than one, or no capitals at all."""
    if rng.random() < 0.5:
        return text.lower()
    return re.sub(r"[!?。！？](?=\s|$)", lambda m: m[0] * rng.randint(1, 5), text.upper())


TRICKS: dict[str, Callable[[str, random.Random], str]] = {
    function.__name__: function
    for function in (
        homoglyphs, accents, zero_width, combining_marks, split_words, leetspeak, full_width, emoji, drop_diacritics,
        local_spelling, romanise, change_digits, change_links, change_case,
    )
}  # fmt: skip


# Look-alikes have five alphabets to show; accents and letters set apart leave the model nothing but characters.
_DRAWN = sorted([*TRICKS, *["homoglyphs", "accents", "split_words"] * 2, "local_spelling"])
# Of these the tokenizer's normaliser leaves nothing: there is nothing to learn from them.
_NORMALISED = ("zero_width", "full_width")
_TAUGHT = [name for name in _DRAWN if name not in _NORMALISED]


def obfuscate(text: str, rng: random.Random, drawn: Sequence[str] = _DRAWN) -> str:
    """One or two tricks at random; the same `rng` state gives the same text. Used for the obfuscated test copy.

    Most tricks leave some writing systems alone: the first ones count that change something. `drawn` names those to
    draw from, as often as they shall be drawn.
    """
    wanted, done = rng.choice((1, 2)), 0
    for name in rng.sample(drawn, len(drawn)):
        changed = TRICKS[name](text, rng)
        done += changed != text
        text = changed
        if done == wanted:
            break
    return text


def augment(text: str, rng: random.Random, share: float) -> str:
    """The training view of a message: with probability `share` obfuscated, and always fresh where digits stand.

    A fifth of the links are under reserved domains, on whichever side they stand.
    """
    if rng.random() < 0.2:
        text = reserved_links(text, rng)
    if rng.random() < share:
        return obfuscate(text, rng, _TAUGHT)
    return change_digits(text, rng) if rng.random() < 0.3 else text
