"""The tokenizer: an explicit normaliser that every platform's library runs alike, then Unigram pieces.

Unigram language model: Kudo 2018, https://aclanthology.org/P18-1007/.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from forewarn.inference.errors import ForewarnError
from forewarn.training import text as public_text
from forewarn.training.config import TokenizerConfig
from forewarn.training.data.rows import Row
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# One short text a script of our languages: none may come out as unknown pieces.
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
    "Romanian": "contul dumneavoastră a fost închis și blocat în țară",
    "Hausa and Yoruba": "an ɗauke ƙarin ɓangare àkántì rẹ ti pa ṣùgbọ́n",
    "Hebrew": "חשבונך נחסם עד לבירור צריך לקבוע פגישה טופס",
    "Telugu": "మీ ఖాతా నిలిపివేయబడింది",
    "Sinhala": "ඔබගේ ගිණුම අත්හිටුවා ඇත",
    "Ethiopic": "መለያዎ ታግዷል",
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


def keep_pieces(tokenizer: Tokenizer, texts: Iterable[str], vocabulary: int) -> tuple[Tokenizer, list[int]]:
    """A tokenizer of the `vocabulary` pieces most used in `texts`, and the ids that they had, in order.

    Special tokens and the single characters that occur stay in any case, so that an unseen word still has pieces.

    Raises:
        ForewarnError: the tokenizer is neither Unigram nor WordPiece (byte-pair merges cannot be cut one by one).
    """
    state = json.loads(tokenizer.to_str())
    kind = state["model"]["type"]
    if kind not in ("Unigram", "WordPiece"):
        raise ForewarnError(f"tokenizer: a {kind} vocabulary cannot be trimmed; choose one with Unigram or WordPiece")
    counts: Counter[int] = Counter()
    characters: set[str] = set()
    for group in public_text.chunks(texts, 1000):
        for encoding in tokenizer.encode_batch(group):
            counts.update(encoding.ids)
            for token in encoding.tokens:
                characters.update(token)
    wanted = {token["id"] for token in state["added_tokens"]}
    wanted |= {
        i for piece, i in tokenizer.get_vocab().items() if piece.removeprefix("##").removeprefix("▁") in characters
    }
    wanted |= {i for piece, i in tokenizer.get_vocab().items() if piece == "▁"}
    for i, _ in counts.most_common():
        if len(wanted) >= vocabulary:
            break
        wanted.add(i)
    kept = sorted(wanted)
    new_id = {old: new for new, old in enumerate(kept)}
    if kind == "Unigram":
        pieces = state["model"]["vocab"]
        # Added tokens may lie beyond the model's own list (XLM-R's <mask>): only what lies inside has a score.
        state["model"]["vocab"] = [pieces[old] for old in kept if old < len(pieces)]
        state["model"]["unk_id"] = new_id[state["model"]["unk_id"]]
    else:
        state["model"]["vocab"] = {p: new_id[i] for p, i in state["model"]["vocab"].items() if i in new_id}
    for token in state["added_tokens"]:
        token["id"] = new_id[token["id"]]
    _renumber(state.get("post_processor"), new_id)
    return Tokenizer.from_str(json.dumps(state)), kept


def _renumber(processor: dict[str, Any] | None, new_id: dict[int, int]) -> None:
    """Give the special tokens inside a post-processor their new ids."""
    if not processor:
        return
    if processor["type"] == "Sequence":
        for part in processor["processors"]:
            _renumber(part, new_id)
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [new_id[i] for i in token["ids"]]
    for key in ("sep", "cls"):
        if key in processor:
            processor[key] = [processor[key][0], new_id[processor[key][1]]]


def shortened(tokenizer: Tokenizer) -> Tokenizer:
    """A Unigram tokenizer with scores of four decimals, which makes its file a third smaller; others as they are."""
    state = json.loads(tokenizer.to_str())
    if state["model"]["type"] != "Unigram":
        return tokenizer
    state["model"]["vocab"] = [[piece, round(score, 4)] for piece, score in state["model"]["vocab"]]
    return Tokenizer.from_str(json.dumps(state))


def unknown_share(tokenizer: Tokenizer, text: str) -> float:
    """The share of a text's pieces that are [UNK] (0 to 1)."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    unknown = tokenizer.token_to_id("[UNK]")
    return sum(i == unknown for i in ids) / max(len(ids), 1)


def check_scripts(tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer that lacks pieces for a script of our languages.

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
        ForewarnError: the file is missing, or a script of our languages has no pieces.
    """
    kept = out / "tokenizer.json"
    path = kept if kept.is_file() else config.path  # a resumed run must go on with the same ids
    if path is not None:
        if not path.is_file():
            raise ForewarnError(f"tokenizer: {path} is not there; give the path of a tokenizer.json")
        tokenizer = Tokenizer.from_file(str(path))
        if tokenizer.get_vocab_size() > config.vocabulary:
            # The probes too: a letter that no message happens to hold must not become unknown.
            used = itertools.chain((row.text[:2000] for row in rows), SCRIPT_PROBES.values())
            tokenizer = shortened(keep_pieces(tokenizer, used, config.vocabulary)[0])
    else:
        texts = tokenizer_texts(rows, folder, config.bytes_per_language)
        tokenizer = train_tokenizer(texts, config.vocabulary, sys.stderr.isatty())
    if config.require_scripts:
        check_scripts(tokenizer)
    tokenizer.save(str(kept))
    return tokenizer
