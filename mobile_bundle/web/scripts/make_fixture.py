"""What Python makes of difficult texts, of every character and of senders, for the tests of the TypeScript client.

    python mobile_bundle/web/scripts/make_fixture.py

Reads the shipped bundle and writes tests/fixture.json beside it, which is not committed: it belongs to one bundle.
"""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

from forewarn.inference import ScamClassifier, sender
from forewarn.inference.explain import clean, forewarning_for
from tokenizers import Tokenizer

WEB = Path(__file__).resolve().parents[1]
BUNDLE = WEB.parent / "standard"
SCRIPTS = WEB.parents[1] / "data_cards" / "forewarn_scripts" / "rows"
ROWS_PER_LANGUAGE = 6
BLOCK = 1024

HAND_MADE = (
    "",
    " ",
    "   ",
    "\t\r\n\x0b\x0c",
    "\x00",
    "\x00a\x00b",
    "\x1c",
    "\x1c\x1d\x1e\x1f",
    "\x85",
    "a\x85b",
    "\ufeff",
    "\ufeff\x1c",
    "\u200b\u200c\u200d\u2060",
    "\u00ad",
    "a\u00adb",
    "\ud800",
    "\udfff",
    "a\ud83d",
    "\ude00b",
    "\ude00\ud83d",
    "x\ud83dy\ude00z",
    "[CLS]",
    "[SEP][PAD]",
    "[MASK]x[UNK]",
    "[cls]",
    "\uff3bCLS\uff3d",
    "a[CLS]b [SEP] c",
    "[CLS] [SEP]",
    "[[CLS]]",
    "[CL[CLS]S]",
    "[CLS]\u200b[SEP]",
    "\u2581",
    "\u2581\u2581",
    " \u2581",
    "\u2581 a",
    "a\u2581b",
    "a \u2581 b",
    "a  b",
    " a",
    "a ",
    "1",
    "12345",
    "a1b2",
    " 1 2",
    "\u0661\u0662\u0663",
    "\u00b2\u00bd\u2167\u3289\u5341",
    "\U0001d7ce\U0001d7d9",
    "\U0001fbf0\U0001fbf1",
    "\U0001ccd6\U0001ccd7\U0001ccf0",
    "\u32ff",
    "e\u0301 \u00e9",
    "q\u0323\u0307 q\u0307\u0323",
    "e\u0302\u0323 e\u0323\u0302 \u1eb9\u0302 \u1ec7",
    "\u0301a",
    "\u0301\u0323\u0334",
    "Z\u0351\u036b\u0343a\u0335l\u0321g\u0334o",
    "a" + "\u0301" * 64,
    "a" + "\u0301\u0323" * 64,
    "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "\u3131\u314f\uffa1",
    "\u0915\u093c \u0958 \u09a1\u09bc \u09dc",
    "\u0c15\u0c3c\u0c4d \u0e81\u0eba\u0ec8 \u0d15\u0d3b",
    "\u1715\u0301 \u07fd\u0301 \u0301\u07fd",
    "\U000105d2\u0307 \U000105c9",
    "\U00011382\U000113c9 \U00016d67\U00016d67",
    "\u03a3 \u03a3\u03a3 \u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3 \u03c2",
    "\u0130 \u0130stanbul I\u0131 i\u0307",
    "\u1e9e \u00df \ufb01 \ufb00 \u01c4 \u01c5",
    "\u0370\u1f88\u1fb3\u0345",
    "\U00010400\U00010428",
    "\u13a0\uab70",
    "\u202eevil\u202c \u200fعربي\u200e \u2067אב\u2069",
    "السلام عليكم ﷺ ﷽",
    "\u0644\u0651\u064e \u0644\u064e\u0651",
    "שָׁלוֹם \ufb2a",
    "👨\u200d👩\u200d👧\u200d👦",
    "👩🏽\u200d💻 🏳\ufe0f\u200d🌈 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "🇸🇬🇸🇬🇸",
    "❤\ufe0f❤\ufe0e1\ufe0f\u20e3",
    "Cl🔥ick h🎁ere n💰ow",
    "\ue000\U000f0000\U0010ffff",
    "\uffff\ufffe\ufdd0",
    "\U00020000\U0002a6d6\U00030000",
    "𠮷野家 神\ufe00 神 \u2f00 ㍿",
    "①②③ ⑴ ㊙ ㌔ ㎏ ℡ ™ …",
    "Раураl ассоunt lосkеd",
    "Ｆｒｅｅ　ｇｉｆｔ！",
    "𝓕𝓻𝓮𝓮 𝔾𝕚𝕗𝕥 🅵🆁🅴🅴 ⓕⓡⓔⓔ",
    "a\u00a0b\u1680c\u180ed\u2028e\u2029f\u202fg\u205fh\u3000i",
    "ตัวอย่างน้ำ ํา \u0e33 \u0e4d\u0e32",
    "မြန်မာ ខ្មែរ ລາວ",
    "constructor __proto__ toString hasOwnProperty",
    "$& $1 $$ \\1 \\u0041",
    "a" * 300,
    "win " * 2000,
    "请立即转账" * 1000,
    "😀" * 4000,
    "😀" * 4001,
    "😀x" * 3000,
    "a" * 2999 + "😀" + "b" * 2000,
    "a" * 4000 + "\ud83d",
    "\u200b" * 5000,
    " " * 4001,
    "\x1c" * 9000,
    " " * 3500 + "not read" + " " * 1500,
    "\U000e0061" * 2500 + "read" + "\U000e0061" * 2000,
    "\U000e0061" * 4500 + "read" + "\U000e0061" * 900,
    ("\u200b" * 3000) + "y" * 1000,
    "[CLS]" * 200,
    "1" * 126,
    "1" * 127,
    "\U00010fff" * 500,
)


def random_texts(count: int) -> list[str]:
    """Texts of characters drawn from everywhere, denser where tokenizers go wrong; the same ones each time."""
    draw = random.Random(7)
    marks = [*range(0x300, 0x370), *range(0x1AB0, 0x1AF0), *range(0x1DC0, 0x1E00), *range(0x8CA, 0x900), 0x3099, 0x309A]
    new = [
        0x1CCD6,
        0x1FBF3,
        0x10781,
        0x1E030,
        0x105D2,
        0x307,
        0x11382,
        0x113C9,
        0x16D67,
        0x1611E,
        0x11935,
        0x11930,
        0xEBA,
    ]
    pools = [
        list(range(0x20, 0x7F)),
        list(range(0xA0, 0x250)) + marks,
        marks + new,
        list(range(0x370, 0x530)) + marks,
        list(range(0x590, 0x900)),
        list(range(0x900, 0x1100)),
        list(range(0x1100, 0x1200)) + list(range(0xAC00, 0xAD00)),
        list(range(0x1780, 0x1800)) + list(range(0xE00, 0xF00)),
        list(range(0x2000, 0x2C00)),
        list(range(0x3000, 0x3400)) + list(range(0xFE00, 0x10000)),
        list(range(0x4E00, 0x5200)),
        list(range(0x1F300, 0x1FAFF)) + [0x200D, 0xFE0F, 0x20E3, 0x1F3FD],
        list(range(0x10000, 0x11000)) + list(range(0x1D000, 0x1E200)),
        [c for c in range(0x20, 0x110000) if not 0xD800 <= c < 0xE000],
        list(range(0xD800, 0xDC00)) + [0x61, 0x20],
    ]
    texts = []
    for _ in range(count):
        chosen = draw.sample(pools, draw.choice((1, 1, 2, 3)))
        characters = [chr(draw.choice(draw.choice(chosen))) for _ in range(draw.randrange(1, 60))]
        for _ in range(draw.randrange(0, 6)):
            characters.insert(draw.randrange(len(characters) + 1), draw.choice((" ", "1", "\u2581", "[SEP]", "A")))
        text = "".join(characters)
        # JavaScript joins the halves of a pair that Python keeps apart, so only pairs that it would not form are kept.
        texts.append(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _has_pair(text) else text)
    return texts


# Where words have no spaces, where normalising moves characters, and where the text that is read has a gap.
EXPLAINED = (
    "",
    " \u200b",
    "[SEP] you have WON [CLS] a prize [MASK]",
    "\x00You have\x00 WON a p\x00rize, claim it\x00 now\x00",
    "\ud800 Your \udc00 account \ud83dis locked",
    "Your 😀 parcel 👨\u200d👩\u200d👧 is held, p\u200bay the f\u00ade\u00ade\ufeff now",
    "【银行】您的账户已被冻结，请点击链接 http://x.example 验证，①②③㍿𠮷𠮷𠮷",
    "お荷物のお届けにｶﾞｷﾞｸﾞﾊﾟﾋﾟあがりましたが不在の為持ち帰りました。下記よりご確認ください http://x.example",
    "บัญชีของคุณถูกระงับ กรุณายืนยันข้อมูลน้ำคำทำ ที่ http://x.example",
    "သင့်ဘဏ်အကောင့်ကို ပိတ်ထားပါသည် ဦ ယခုအတည်ပြုပါ",
    "គណនីរបស់អ្នកត្រូវបានផ្អាក សូមចុចតំណ",
    "ບັນຊີຂອງທ່ານຖືກລະງັບ ກະລຸນາຢືນຢັນ ຳຳ",
    "Ｆｒｅｅ　ｇｉｆｔ！ Ｃｌｉｃｋ ｎｏｗ",
    "win a prize " * 400,
    "请立即转账到安全账户" * 500,
    "Your account is locked, verify now. " + "\U000e0061" * 4200 + " pay the fee today",
    "verify\x1cyour\x85account\ufeffnow\u2028or\u3000lose\u00a0it",
    " ".join(f"word{i}" for i in range(200)),
    "Hi mum, new number, send 400 now. " * 8,
)

LOCALES = ("en", "zh", "zh_TW", "ZH-hant-mo", "zh-Hans-SG", "pt-BR", "pt_PT.UTF-8", "xx", "constructor", "", None)

SENDERS = (
    None,
    "",
    "DBS",
    "74000",
    "+74000",
    "123456",
    "1234567",
    "+65 9123 4567",
    "0065-9123-4567",
    "(+60) 12.345/6789",
    "+1 (415) 555\u20110100",
    "\u202a+44 7700 900123\u202c",
    "\u0664\u0665\u0666\u0667\u0668\u0669\u0660",
    "+\u0664\u0665\u0666\u0667\u0668\u0669\u0660",
    "\U0001d7ce\U0001d7cf\U0001d7d0\U0001d7d1",
    "alerts@bank.example",
    "\x1c+6591234567\x85",
    "\ufeff+6591234567",
    "+",
    "00",
    "++6591234567",
)
SENDER_LOCALES = (None, "en", "en-SG", "zh_Hans_SG", "en-us", "ms-MY", "ru-KZ", "xx-YY", "sg", "en-\u00df\u00df")


def pieces(tokenizer: Tokenizer, text: str) -> list[list[int]]:
    """Where the pieces of a text stand in it, in UTF-16 units."""
    units = [0]
    for character in text:
        units.append(units[-1] + (2 if character > "\uffff" else 1))
    offsets = tokenizer.encode(text).offsets
    return [[units[start], units[end]] for start, end in offsets if end > start]


def golden_texts() -> list[str]:
    """The texts of the bundle's golden vectors."""
    return [json.loads(line)["text"] for line in (BUNDLE / "vectors.jsonl").read_bytes().splitlines()]


def explanations(classifier: ScamClassifier) -> list[dict[str, object]]:
    """Evidence and forewarnings of the golden vectors' texts and of EXPLAINED; places in UTF-16 units."""
    cases: list[dict[str, object]] = []
    for i, text in enumerate([*golden_texts(), *EXPLAINED]):
        locale = LOCALES[i % len(LOCALES)]
        [verdict] = classifier.score([text], explain=True, locale=locale)
        evidence = []
        for span in verdict.evidence or []:
            start, end = (len(text[: span[x]].encode("utf-16-le", "surrogatepass")) // 2 for x in ("start", "end"))
            evidence.append(span | {"start": start, "end": end})
        cases.append({"text": text, "locale": locale, "evidence": evidence, "forewarning": verdict.forewarning})
    return cases


def locale_cases() -> list[dict[str, str | None]]:
    """Which of a few locales is taken for others."""
    texts = {tag: tag for tag in ("en", "zh-hans", "zh-hant", "pt", "pt-br", "sr-latn")}
    asked = (*LOCALES, "zh-Hant-TW", "zh-hk", "sr-Latn-RS", "sr-Cyrl", " pt-BR ", "-", "en-")
    return [{"locale": locale, "taken": forewarning_for(texts, locale)} for locale in asked]


def sender_cases(classifier: ScamClassifier) -> dict[str, object]:
    """The tables, what every sender adds for every type and locale, and verdicts with a sender."""
    types = classifier.taxonomy.names
    added = [
        {"sender": name, "locale": locale, "added": [sender.log_odds(name, type, locale) for type in types]}
        for name in SENDERS
        for locale in SENDER_LOCALES
    ]
    golden = golden_texts()
    names = [SENDERS[i % len(SENDERS)] for i in range(len(golden))]
    verdicts = classifier.score(golden, senders=names, locale="en-SG")
    return {
        "institutional": sorted(sender.INSTITUTIONAL),
        "calling_codes": sender._CALLING_CODES,
        "types": types,
        "added": added,
        "verdicts": [
            {"text": text, "sender": name, "risk": verdict.risk, "action": verdict.action}
            for text, name, verdict in zip(golden, names, verdicts, strict=True)
        ],
    }


def _has_pair(text: str) -> bool:
    return any("\ud800" <= a < "\udc00" <= b < "\ue000" for a, b in zip(text, text[1:], strict=False))


def script_texts() -> list[str]:
    """Real sentences of every language, scams and honest ones."""
    texts = []
    for path in sorted(SCRIPTS.glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        texts += [json.loads(line)["text"] for line in lines[:: len(lines) // ROWS_PER_LANGUAGE]]
    return texts


def toy_cases(content: bytes) -> dict[str, object]:
    """A dozen pieces that show what an unknown character costs and which of two equal cuts wins."""
    toy = json.loads(content)
    pieces = {"\u2581": -1, "ab": -12, "cd": -12, "bcd": -1, "ef": -12, "gh": -10, "fgh": -1}
    pieces |= {"k": -2, "m": -2, "km": -2, "mk": -2, "kmk": -4}
    special = toy["model"]["vocab"][: len(toy["added_tokens"])]
    toy["model"]["vocab"] = special + [[piece, float(score)] for piece, score in pieces.items()]
    text = json.dumps(toy)
    tokenizer = Tokenizer.from_str(text)
    texts = ("abcd", "efgh", "kmk", "kmkmk", "xyz", "x ab\u4e2d\u6587cd x", "1a", "\U0001f600k")
    return {"tokenizer": text, "cases": [{"text": text, "ids": tokenizer.encode(text).ids} for text in texts]}


def character_digests(tokenizer: Tokenizer) -> list[dict[str, object]]:
    """For each block of characters a digest of how each normalises, alone and among combining marks, and is split."""
    digests = []
    for start in [*range(0, 0x33800, BLOCK), 0xE0000, 0xF0000, 0x10FC00]:
        lines = []
        for code in range(start, start + BLOCK):
            if 0xD800 <= code < 0xE000:
                continue
            character = chr(code)
            alone = tokenizer.normalizer.normalize_str(f"a{character}b")
            among = tokenizer.normalizer.normalize_str(f"x\u0301{character}\u0334\u0345")
            split = len(tokenizer.encode(f"a{character}1").ids)
            lines.append(f"{alone}|{among}|{split}")
        digests.append({"start": start, "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]})
    return digests


def main() -> None:
    """Write the fixture."""
    classifier = ScamClassifier.load(BUNDLE, threads=1)
    content = (BUNDLE / "tokenizer.json").read_bytes()
    whole, tokenizer = Tokenizer.from_buffer(content), Tokenizer.from_buffer(content)
    tokenizer.enable_truncation(classifier.max_length)
    cases = []
    for text in [*HAND_MADE, *script_texts(), *random_texts(400)]:
        verdict = classifier.score([text])[0].to_dict()
        read = clean(text)
        case = {"text": text, "ids": tokenizer.encode(read).ids, "pieces": pieces(tokenizer, read)}
        cases.append(case | {"blank": verdict["type_score"] == 0.0})
    blocks = character_digests(whole)
    fixture = {
        "manifest_sha256": hashlib.sha256((BUNDLE / "manifest.json").read_bytes()).hexdigest(),
        "block": BLOCK,
        "cases": cases,
        "toy": toy_cases(content),
        "characters": blocks,
        "explanations": explanations(classifier),
        "locales": locale_cases(),
        "senders": sender_cases(classifier),
    }
    target = WEB / "tests" / "fixture.json"
    # Escaped, since lone surrogates have no UTF-8.
    target.write_text(json.dumps(fixture), encoding="ascii")
    print(f"{target.relative_to(WEB)}: {len(cases)} texts, {len(blocks)} blocks of characters")


if __name__ == "__main__":
    main()
