"""The rewrites: each takes a text and a random generator, and leaves alone what it has no hold on.

The tables are not those of `forewarn.training.augment`, and more of a text is changed: a model must survive more than
it was shown. Only small capitals are nearly the same letters, since there is one such block.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable

Trick = Callable[[str, random.Random], str]

CYRILLIC = str.maketrans("acehijopsxyABCEHIJKMOPSTXYbgnrtmw", "асеһіјорѕхуАВСЕНІЈКМОРЅТХУЬցпгтмш")
_GREEK = str.maketrans("aivouypktxwnABEHIKMNOPTXYZ", "αινουγρκτχωηΑΒΕΗΙΚΜΝΟΡΤΧΥΖ")
SMALL_CAPITALS = str.maketrans("abcdefghijklmnopqrstuvwyz", "ᴀʙᴄᴅᴇғɢʜɪᴊᴋʟᴍɴᴏᴘǫʀsᴛᴜᴠᴡʏᴢ")
ACCENTS = str.maketrans("aceinosuyz", "åçéìñöšüÿž")
LEET = str.maketrans({"a": "@", "b": "8", "e": "3", "g": "9", "i": "!", "l": "1", "o": "0", "s": "$", "t": "+"})
_INVISIBLE = ["\u200b", "\u200d", "\u2063", "\u034f", "\u180e"]
_WORD = re.compile(r"\w{3,}")
_LINK = re.compile(r"(?:https?://)?(?:[\w-]+\.)+[a-z]{2,12}(?:/\S*)?", re.IGNORECASE)
_NUMBER = re.compile(r"\d{4,}")
_PICTURES = {
    word: picture
    for picture, words in {
        "💰": "money cash dinero argent geld uang tiền 钱 お金 เงิน деньги مال पैसे pera pesa dinheiro",
        "🏦": "bank banco banque 银行 銀行 은행 банк بنك बैंक",
        "📦": "parcel package paquete colis paket 包裹 荷物 택배 พัสดุ kargo",
        "🎁": "gift hadiah quà",
        "🏆": "prize 奖",
        "💳": "card tarjeta",
        "📱": "phone 手机",
        "📞": "call",
        "🔗": "link",
        "👮": "police",
        "👉": "click",
    }.items()
    for word in words.split()
}
# Where words are set apart they must be whole ones: there is no money ("pera") in "esperar".
_PICTURED = re.compile(
    "|".join(rf"\b{word}\b" if ord(word[0]) < 0x900 else word for word in sorted(_PICTURES, key=len, reverse=True)),
    re.IGNORECASE,
)
_CHINESE = {
    word: doubles.split()
    for word, doubles in {
        "微信": "微❤ 葳信 微伩 wei信", "加": "珈 咖 ➕", "信": "芯 伩", "账户": "帐沪 账沪", "账号": "帐号 zhang号",
        "银行": "垠行 银珩 yin行", "转": "砖 轉", "钱": "錢 💰", "贷": "货 dai", "奖": "蒋 jiang", "投资": "投咨 tou资",
        "快递": "筷递 快弟", "验证码": "验证马 驗證码", "客服": "客府 ke服", "公安": "宫安 gong安", "退款": "腿款 退歀",
        "電": "电", "點": "点", "帳": "账", "銀": "艮", "領": "领", "錢": "钱", "賴": "籟", "股": "gu", "群": "qun",
    }.items()
}  # fmt: skip
_VIETNAMESE_TONES = {"\u0300": "f", "\u0301": "s", "\u0309": "r", "\u0303": "x", "\u0323": "j"}
_ROMAN = {
    **dict(zip("абвгдезиклмнопрстуфхыйіґє", "abvgdeziklmnoprstufhyjige", strict=True)),
    **{"ж": "j", "ц": "c", "ч": "4", "ш": "6", "щ": "sch", "э": "e", "ю": "ju", "я": "ja", "ё": "jo", "ъ": "", "ь": ""},
    **dict(zip("αβγδεζηικλμνοπρστυφχω", "abgdezhiklmnoprstyfxw", strict=True)),
    **{"θ": "8", "ξ": "3", "ψ": "ps", "ς": "s"},
}


def _words(text: str, rng: random.Random, share: float, change: Callable[[str], str]) -> str:
    return _WORD.sub(lambda match: change(match[0]) if rng.random() < share else match[0], text)


def cyrillic_letters(text: str, rng: random.Random) -> str:
    """Every Latin letter that has a Cyrillic double, in three words of four."""
    return _words(text, rng, 0.75, lambda word: word.translate(CYRILLIC))


def greek_letters(text: str, rng: random.Random) -> str:
    """The same with Greek."""
    return _words(text, rng, 0.75, lambda word: word.translate(_GREEK))


def small_capitals(text: str, rng: random.Random) -> str:
    """Phonetic small capitals, which compatibility normalisation does not fold."""
    return _words(text, rng, 0.6, lambda word: word.lower().translate(SMALL_CAPITALS))


def accents(text: str, rng: random.Random) -> str:
    """Marks that do not belong there."""
    return _words(text, rng, 0.6, lambda word: word.translate(ACCENTS))


def mathematical_letters(text: str, rng: random.Random) -> str:
    """Bold letters of the mathematical block, as profile names wear them."""
    bold = {ord("a") + i: 0x1D41A + i for i in range(26)} | {ord("A") + i: 0x1D400 + i for i in range(26)}
    return _words(text, rng, 0.8, lambda word: word.translate(bold))


def full_width(text: str, rng: random.Random) -> str:
    """Full-width letters and digits throughout."""
    return text.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})


def invisible(text: str, rng: random.Random) -> str:
    """An invisible character after every second letter."""
    return _words(
        text, rng, 0.8, lambda word: "".join(c + rng.choice(_INVISIBLE) * (i % 2) for i, c in enumerate(word))
    )


def struck_through(text: str, rng: random.Random) -> str:
    """Combining strokes on Latin and Cyrillic words."""
    return _words(text, rng, 0.5, lambda w: "".join(c + "\u0336" if "a" <= c.lower() <= "я" else c for c in w))


def spaced(text: str, rng: random.Random) -> str:
    """S p a c e s or d.o.t.s between the letters of two words in five."""
    joint = rng.choice([" ", ".", "·", "*"])
    return _words(text, rng, 0.4, joint.join)


def leetspeak(text: str, rng: random.Random) -> str:
    """Digits and signs for letters."""
    return _words(text, rng, 0.6, lambda word: word.translate(LEET))


def swapped_letters(text: str, rng: random.Random) -> str:
    """Two neighbouring letters change places, as in haste."""

    def swap(word: str) -> str:
        at = rng.randrange(len(word) - 1)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    return _words(text, rng, 0.3, swap)


def pictures(text: str, rng: random.Random) -> str:
    """Emoji for the words that filters look for."""
    return _PICTURED.sub(lambda match: _PICTURES.get(match[0].lower(), match[0]), text)


def chinese_doubles(text: str, rng: random.Random) -> str:
    """Characters that look or sound alike, pinyin, and the other set of characters. Japanese is left alone."""
    if re.search("[\u3040-\u30ff]", text):
        return text
    pattern = "|".join(sorted(_CHINESE, key=len, reverse=True))
    return re.sub(pattern, lambda match: rng.choice(_CHINESE[match[0]]), text)


def thai_spelling(text: str, rng: random.Random) -> str:
    """Tones left out, last letters drawn out."""
    text = re.sub("[\u0e48-\u0e4c]", "", text)
    return re.sub(r"([\u0e01-\u0e2e])(?=\s|$)", lambda m: m[1] * rng.randint(1, 3), text)


def vietnamese_telex(text: str, rng: random.Random) -> str:
    """Tones as the keys that type them, and everything without marks."""
    if not re.search("[ơưđạảấầẩậắằẵặẹẻẽếềểễệịỉọỏốồổỗộớờởợụủứừửữự]", text, re.IGNORECASE):
        return text

    def typed(word: str) -> str:
        parts = unicodedata.normalize("NFD", word)
        tone = "".join(key for mark, key in _VIETNAMESE_TONES.items() if mark in parts)
        bare = re.sub("[\u0300-\u036f]", "", parts).replace("đ", "d").replace("Đ", "D")
        return bare + (tone if rng.random() < 0.5 else "")

    return re.sub(r"\w+", lambda match: typed(match[0]), text)


def kashida(text: str, rng: random.Random) -> str:
    """Arabic stretched between letters."""
    joined = "(?<=[بتثجحخسشصضطظعغفقكلمنهيیکپچگ])(?=[\u0621-\u064aپچژگکی])"
    return re.sub(joined, lambda match: "ـ" * rng.choice((0, 1, 2, 4)), text)


def romanised(text: str, rng: random.Random) -> str:
    """Cyrillic and Greek in Latin letters and look-alike digits."""
    bare = re.sub(r"(?<=[Ͱ-Ͽἀ-῿])[\u0300-\u036f]+", "", unicodedata.normalize("NFD", text))
    bare = unicodedata.normalize("NFC", bare)
    return "".join(_ROMAN.get(c.lower(), c) for c in bare)


def broken_links(text: str, rng: random.Random) -> str:
    """Links and long numbers in pieces."""
    text = _LINK.sub(lambda match: match[0].replace(".", rng.choice([" (dot) ", " .", "。", " , "])), text)
    return _NUMBER.sub(lambda match: rng.choice([" ", "-", "."]).join(re.findall("..?", match[0])), text)


def shouting(text: str, rng: random.Random) -> str:
    """Capitals, and marks without end."""
    return re.sub(r"[!?.](?=\s|$)", lambda match: match[0] * 4, text.upper())


TRICKS: dict[str, Trick] = {
    function.__name__: function
    for function in (
        cyrillic_letters, greek_letters, small_capitals, accents, mathematical_letters, full_width, invisible,
        struck_through, spaced, leetspeak, swapped_letters, pictures, chinese_doubles, thai_spelling, vietnamese_telex,
        kashida, romanised, broken_links, shouting,
    )
}  # fmt: skip


def padded(text: str, honest: str, rng: random.Random) -> str:
    """The message with an honest one of its language behind or before it."""
    return "\n".join(rng.sample([text, honest], 2))


def answering(text: str, honest: str, rng: random.Random) -> str:
    """The message as the answer to an honest one, which hangs below it as mail programs hang it."""
    quoted = "\n".join(f"| {line}" for line in honest.splitlines())
    return f"{text}\n\n-- \n{rng.choice('ABDEHJKLMNRST')}. {rng.choice('BCDFGHKLMNPRSTW')}.\n\n___\n{quoted}"


def buried(text: str, honest: list[str], rng: random.Random) -> str:
    """The message in the middle of a long mail: about 600 characters of honest messages before it, and behind it."""

    def around() -> str:
        parts: list[str] = []
        while sum(map(len, parts)) < 600:
            parts.append(rng.choice(honest))
        return "\n".join(parts)

    return f"{around()}\n{text}\n{around()}"


def everyday(text: str, rng: random.Random) -> str:
    """What honest people do to a message: a slip of the finger, no capitals, an emoji at the end."""
    text = _words(text, rng, 0.1, lambda word: swapped_letters(word, rng))
    text = text.lower() if rng.random() < 0.5 else text
    return text + rng.choice(["", " 😊", " 🙏", " 😅😅", "!!", " 👍"])
