"""The tokenizer: an explicit normaliser that every platform's library runs alike, then Unigram pieces.

Unigram language model: Kudo 2018, https://aclanthology.org/P18-1007/.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from forewarn.inference.errors import ForewarnError
from forewarn.training import text as public_text
from forewarn.training.config import TokenizerConfig
from forewarn.training.data.rows import Row
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# One short text a script of the thirty languages: none may come out as unknown pieces.
SCRIPT_PROBES = {
    "Latin": "verify your account",
    "Vietnamese": "tài khoản ngân hàng",
    "Han simplified": "您的账户已被冻结",
    "Han traditional": "您的帳戶已被凍結",
    "Kana": "アカウントを確認してください",
    "Hangul": "계좌가 정지되었습니다",
    "Thai": "บัญชีของคุณถูกระงับ",
    "Myanmar": "သင့်အကောင့်ကို ပိတ်ထားသည်",
    "Khmer": "គណនីរបស់អ្នកត្រូវបានផ្អាក",
    "Lao": "ບັນຊີຂອງທ່ານຖືກລະງັບ",
    "Devanagari": "आपका खाता बंद है",
    "Bengali": "আপনার অ্যাকাউন্ট বন্ধ",
    "Tamil": "உங்கள் கணக்கு முடக்கப்பட்டது",
    "Arabic": "تم تعليق حسابك",
    "Persian": "حساب شما مسدود شد گچپژ",
    "Urdu": "آپ کا اکاؤنٹ بند ہے ٹڈڑ",
    "Cyrillic": "ваш счёт заблокирован їєґ",
    "Greek": "ο λογαριασμός σας",
    "Turkish": "hesabınız askıya alındı ğş",
    "Polish": "zażółć gęślą jaźń",
}


def new_tokenizer() -> Tokenizer:
    r"""An untrained tokenizer with the normaliser of the bundle contract.

    NFKC folds full-width and compatibility forms, `\p{Cf}` drops zero-width and direction marks, white space becomes
    one space, then lower case. Digits are pieces of their own: an amount or a code is a shape, not a word.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"\p{Cf}"), ""),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    return tokenizer


def train_tokenizer(texts: Iterable[str] | Iterator[str], vocabulary: int, progress: bool = False) -> Tokenizer:
    """Learn `vocabulary` Unigram pieces from texts; ids 0-4 are [PAD] [UNK] [CLS] [SEP] [MASK]."""
    tokenizer = new_tokenizer()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL_TOKENS,
        unk_token="[UNK]",
        max_piece_length=12,
        show_progress=progress,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def unknown_share(tokenizer: Tokenizer, text: str) -> float:
    """The share of a text's pieces that are [UNK] (0 to 1)."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    unknown = tokenizer.token_to_id("[UNK]")
    return sum(i == unknown for i in ids) / max(len(ids), 1)


def check_scripts(tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer that has no pieces for a script of the thirty languages.

    Raises:
        ForewarnError: naming the scripts that come out unknown.
    """
    missing = [script for script, text in SCRIPT_PROBES.items() if unknown_share(tokenizer, text) > 0]
    if missing:
        raise ForewarnError(
            f"tokenizer: no pieces for {', '.join(missing)}; train it on text in all languages (FOREWARN_TEXT) "
            "or set tokenizer.require_scripts: false"
        )


def tokenizer_texts(rows: Sequence[Row], folder: Path, bytes_per_language: int) -> Iterator[str]:
    """What a tokenizer is learned from: the messages, then public text in all languages where it is there."""
    yield from (row.text[:2000] for row in rows)
    if bytes_per_language and folder.is_dir():
        for language in public_text.languages(folder):
            yield from public_text.sentences(folder, language, bytes_per_language)


def make_tokenizer(config: TokenizerConfig, out: Path, rows: Sequence[Row], folder: Path) -> Tokenizer:
    """The tokenizer of a run, kept as `out/tokenizer.json`: a given file, or one learned from messages and public text.

    Raises:
        ForewarnError: the file is missing, or a script of the thirty languages has no pieces.
    """
    kept = out / "tokenizer.json"
    path = kept if kept.is_file() else config.path  # a resumed run must go on with the same ids
    if path is not None:
        if not path.is_file():
            raise ForewarnError(f"tokenizer: {path} is not there; give the path of a tokenizer.json")
        tokenizer = Tokenizer.from_file(str(path))
    else:
        texts = tokenizer_texts(rows, folder, config.bytes_per_language)
        tokenizer = train_tokenizer(texts, config.vocabulary, sys.stderr.isatty())
    if config.require_scripts:
        check_scripts(tokenizer)
    tokenizer.save(str(kept))
    return tokenizer
