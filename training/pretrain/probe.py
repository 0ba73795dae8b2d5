"""Does the encoder put a sentence near its translation? Retrieval against English on text kept out of all training."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

CANDIDATES = 1000


def probe_pairs(folder: Path, limit: int = CANDIDATES) -> dict[str, list[tuple[str, str]]]:
    """Language to (sentence, English) pairs from `probe/*.jsonl.xz` of the text folder, at most `limit` each."""
    pairs: dict[str, dict[str, str]] = {}
    for path in sorted((folder / "probe").glob("*.jsonl.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as handle:
            for line in handle:
                row = json.loads(line)
                english = row.get("en")
                for language, sentence in row.items():
                    if language in ("_id", "en") or not english or not isinstance(sentence, str):
                        continue
                    found = pairs.setdefault(language, {})
                    if len(found) < limit:
                        # One English sentence has several translations in places: it must not be its own rival.
                        found.setdefault(english, sentence)
    return {language: [(sentence, english) for english, sentence in found.items()] for language, found in pairs.items()}


def sentence_vectors(encoder: Any, tokenizer: Tokenizer, texts: list[str], batch: int = 128) -> np.ndarray:
    """Unit vectors of the first token, (texts, hidden)."""
    tokenizer.enable_truncation(min(128, encoder.config.max_position_embeddings))
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    tokenizer.no_truncation()
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    result = np.empty((len(ids), encoder.config.hidden_size), dtype=np.float32)
    encoder.eval()
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            width = max(len(ids[i]) for i in chosen)
            padded = torch.tensor([ids[i] + [0] * (width - len(ids[i])) for i in chosen])
            hidden = encoder(input_ids=padded, attention_mask=(padded != 0).long()).last_hidden_state[:, 0]
            result[chosen] = F.normalize(hidden.float(), dim=-1).numpy()
    return result


def retrieval(encoder: Any, tokenizer: Tokenizer, pairs: dict[str, list[tuple[str, str]]]) -> dict[str, float]:
    """Share of sentences whose nearest English sentence, among all of their language's list, is their translation."""
    result = {}
    # Most English sentences stand in the lists of many languages.
    distinct = sorted({english for items in pairs.values() for _, english in items})
    place = {english: number for number, english in enumerate(distinct)}
    vectors = sentence_vectors(encoder, tokenizer, distinct)
    for language, items in sorted(pairs.items()):
        own = sentence_vectors(encoder, tokenizer, [sentence for sentence, _ in items])
        english = vectors[[place[sentence] for _, sentence in items]]
        result[language] = float(np.mean((own @ english.T).argmax(axis=1) == np.arange(len(items))))
    return result
