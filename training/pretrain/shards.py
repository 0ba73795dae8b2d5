"""Public text tokenised once, into memory-mapped flat arrays: a stream of ids a language, and parallel rows."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from forewarn.inference.errors import ForewarnError
from forewarn.training import text
from tokenizers import Tokenizer

HELD_OUT = 0.01  # the end of each language's stream, for masked-token accuracy
_CHUNK = 20_000
_SHORTEST = 3  # pieces; "OK" is the translation of many things


class Shards:
    """Memory-mapped token ids.

    `languages` are the names of the streams; `stream(language)` is the training part and `held_out(language)` the
    rest, both flat uint16 arrays with [SEP] after each sentence. `sentence(i)` is one sentence of a parallel row,
    `row_starts` says where each row's sentences begin, `sentence_language` gives their languages as numbers.
    """

    def __init__(self, folder: Path) -> None:
        """Open what `make_shards` wrote."""
        info = json.loads((folder / "shards.json").read_text(encoding="utf-8"))
        self.languages: list[str] = info["languages"]
        self._streams = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in self.languages}
        self._ids = np.load(folder / "parallel.npy", mmap_mode="r")
        self._starts = np.load(folder / "sentence_starts.npy")
        self.sentence_language = np.load(folder / "sentence_language.npy")
        self.row_starts = np.load(folder / "row_starts.npy")

    def _cut(self, language: str) -> int:
        return int(len(self._streams[language]) * (1 - HELD_OUT))

    def stream(self, language: str) -> np.ndarray:
        """The ids to train on."""
        return self._streams[language][: self._cut(language)]

    def held_out(self, language: str) -> np.ndarray:
        """The ids to measure on."""
        return self._streams[language][self._cut(language) :]

    def sentence(self, number: int) -> np.ndarray:
        """One sentence of a parallel row, without special tokens."""
        return self._ids[self._starts[number] : self._starts[number + 1]]


def make_shards(
    tokenizer: Tokenizer,
    folder: Path,
    extra: dict[str, list[str]],
    cache: Path,
    log: Callable[[str], None],
) -> Shards:
    """Tokenise the text folder once; a second call with the same tokenizer, folder and extra texts opens what is there.

    Args:
        tokenizer: its vocabulary must fit 16 bits.
        folder: public text with `mono/` and `parallel/`.
        extra: language to texts that join the stream of that language (training messages).
        cache: where shard folders are kept, each under a fingerprint.
        log: told what is being done.

    Raises:
        ForewarnError: the vocabulary is too large, or the folder holds no text.
    """
    if tokenizer.get_vocab_size() > 2**16:
        raise ForewarnError(f"pretrain: {tokenizer.get_vocab_size()} pieces do not fit 16 bits; take at most 65536")
    names = sorted({*text.languages(folder), *extra})
    target = cache / _fingerprint(tokenizer, folder, extra)
    if (target / "shards.json").is_file():
        return Shards(target)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="part-", ignore_cleanup_errors=True) as work:
        part = Path(work) / "shards"
        part.mkdir()
        _write_streams(tokenizer, folder, names, extra, part, log)
        _write_parallel(tokenizer, folder, names, part)
        (part / "shards.json").write_text(json.dumps({"languages": names}), encoding="utf-8")
        if not target.exists():  # another run may have been faster
            os.replace(part, target)
    return Shards(target)


def _write_streams(
    tokenizer: Tokenizer,
    folder: Path,
    names: list[str],
    extra: dict[str, list[str]],
    part: Path,
    log: Callable[[str], None],
) -> None:
    separator = tokenizer.token_to_id("[SEP]")
    for number, name in enumerate(names, 1):
        mono: Iterable[str] = ()
        if (folder / "mono" / f"{name}.txt.xz").is_file():
            mono = text.sentences(folder, name, 2**40)
        parts = []
        # Messages come first: the end is held out, and is to be public text in every language.
        for chunk in text.chunks((*extra.get(name, []), *mono), _CHUNK):
            for encoding in tokenizer.encode_batch(list(chunk), add_special_tokens=False):
                parts.append(np.array([*encoding.ids, separator], dtype=np.uint16))
        stream = np.concatenate(parts) if parts else np.zeros(0, np.uint16)
        np.save(part / f"{name}.npy", stream)
        log(f"{number}/{len(names)} {name}: {len(stream):,} tokens")


def _write_parallel(tokenizer: Tokenizer, folder: Path, names: list[str], part: Path) -> None:
    numbers = {name: i for i, name in enumerate(names)}
    ids: list[np.ndarray] = []
    starts, languages, row_starts = [0], [], [0]
    for chunk in text.chunks(text.parallel_rows(folder), 2000):
        flat = [(key, value) for row in chunk for key, value in row.items()]
        encodings = iter(tokenizer.encode_batch([value[:600] for _, value in flat], add_special_tokens=False))
        for row in chunk:
            for key in row:
                pieces = next(encodings).ids
                if key in numbers and len(pieces) >= _SHORTEST:
                    ids.append(np.array(pieces, dtype=np.uint16))
                    starts.append(starts[-1] + len(pieces))
                    languages.append(numbers[key])
            if len(languages) - row_starts[-1] >= 2:
                row_starts.append(len(languages))
            else:  # a sentence without a translation is of no use here
                del ids[row_starts[-1] :], starts[row_starts[-1] + 1 :], languages[row_starts[-1] :]
    np.save(part / "parallel.npy", np.concatenate(ids) if ids else np.zeros(0, np.uint16))
    np.save(part / "sentence_starts.npy", np.array(starts))
    np.save(part / "sentence_language.npy", np.array(languages, dtype=np.int64))
    np.save(part / "row_starts.npy", np.array(row_starts))


def _fingerprint(tokenizer: Tokenizer, folder: Path, extra: dict[str, list[Any]]) -> str:
    digest = hashlib.sha256(b"2" + tokenizer.to_str().encode())  # 2: messages come first
    for path in sorted(folder.glob("*/*.xz")):
        digest.update(f"{path.parent.name}/{path.name} {path.stat().st_size}\n".encode())
    for name in sorted(extra):
        digest.update(name.encode())
        for line in extra[name]:
            digest.update(b"\0" + line.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]
