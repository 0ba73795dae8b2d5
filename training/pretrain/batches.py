"""Batches of a step number: the same seed and step give the same batch, so that a resumed run goes on exactly.

Masked tokens: Devlin et al. 2019 (BERT), over whole words. Translation pairs in a block: Conneau and Lample 2019 (TLM).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from forewarn.inference.errors import ForewarnError
from forewarn.training.pretrain.config import PretrainConfig
from forewarn.training.pretrain.shards import Shards
from forewarn.training.tokenizer import SPECIAL_TOKENS
from tokenizers import Tokenizer

PAD, CLS, SEP, MASK = (SPECIAL_TOKENS.index(name) for name in ("[PAD]", "[CLS]", "[SEP]", "[MASK]"))
FIRST_PIECE = len(SPECIAL_TOKENS)
IGNORE = -100  # a label that cross entropy passes over
_LONGEST_WORD = 4  # pieces: scripts without spaces would be masked by the sentence
_LONGEST_SENTENCE = 48  # pieces of a sentence of a pair
_NEIGHBOURS = 32  # pairs drawn from one stretch of rows: each other's rivals are of one subject and style
_STRETCH = 1000  # rows of such a stretch
_ENGLISH_SHARE = 0.5  # of the pairs that could have English on one side; the rest goes by rarity


@dataclass(frozen=True)
class Batch:
    """One step: masked blocks with their labels, and sentence pairs (rows 2i and 2i+1 are translations)."""

    input_ids: torch.Tensor
    labels: torch.Tensor
    pairs: torch.Tensor


class BatchMaker:
    """Draws the batch of any step from the shards."""

    def __init__(self, shards: Shards, tokenizer: Tokenizer, config: PretrainConfig, block: int) -> None:
        """Prepare the languages' shares and the table of pieces that begin a word; a row has at most `block` tokens."""
        self.shards = shards
        self.config = config
        self.block = block
        self.longest = min(_LONGEST_SENTENCE, self.block)
        self.vocabulary = tokenizer.get_vocab_size()
        pieces = [tokenizer.id_to_token(i) or "" for i in range(self.vocabulary)]
        self.begins = np.array([piece.startswith("▁") or not piece[:1].isalpha() for piece in pieces])
        self.usable = [name for name in shards.languages if len(shards.stream(name)) > self.block]
        if not self.usable:
            raise ForewarnError("pretrain: no language has more text than one block; give more text")
        lengths = np.array([len(shards.stream(name)) for name in self.usable], dtype=float)
        self.shares = lengths**config.language_power / (lengths**config.language_power).sum()
        self.english = shards.languages.index("en") if "en" in shards.languages else -1
        frequency = np.bincount(shards.sentence_language, minlength=len(shards.languages)).astype(float)
        self.rarity = np.maximum(frequency, 1) ** -config.language_power

    def make(self, step: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng((self.config.seed, step))
        rows = len(self.shards.row_starts) - 1
        blocks = []
        for _ in range(self.config.blocks):
            if rows and rng.random() < self.config.translation_share:
                first, second = self._pair(rng, 0, rows)
                blocks.append([CLS, *first, SEP, *second, SEP][: self.block])
            else:
                stream = self.shards.stream(self.usable[rng.choice(len(self.usable), p=self.shares)])
                start = int(rng.integers(0, len(stream) - self.block))
                blocks.append([CLS, *stream[start : start + self.block - 2].tolist(), SEP])
        input_ids, labels = self.mask(_padded(blocks), rng)
        sentences: list[list[int]] = []
        start = 0
        for number in range(self.config.pairs if rows else 0):
            if number % _NEIGHBOURS == 0:
                start = int(rng.integers(0, max(1, rows - _STRETCH)))
            pair = self._pair(rng, start, min(rows, start + _STRETCH))
            sentences += [[CLS, *sentence[: self.longest - 2], SEP] for sentence in pair]
        pairs = _padded(sentences) if sentences else np.zeros((0, 1), np.int64)
        return Batch(torch.from_numpy(input_ids), torch.from_numpy(labels), torch.from_numpy(pairs))

    def _pair(self, rng: np.random.Generator, first_row: int, end_row: int) -> tuple[list[int], list[int]]:
        row = int(rng.integers(first_row, end_row))
        start, end = self.shards.row_starts[row], self.shards.row_starts[row + 1]
        languages = self.shards.sentence_language[start:end]
        weights = self.rarity[languages]
        first, second = rng.choice(end - start, 2, replace=False, p=weights / weights.sum())
        english = np.flatnonzero(languages == self.english)
        if len(english) and english[0] != first and rng.random() < _ENGLISH_SHARE:
            second = english[0]
        return self.shards.sentence(start + first).tolist(), self.shards.sentence(start + second).tolist()

    def mask(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Hide whole words: of the chosen ones 80 % become [MASK], 10 % random pieces, 10 % stay.

        Args:
            ids: (blocks, length) with padding.
            rng: decides which.

        Returns:
            The changed ids, and labels that are IGNORE wherever nothing was hidden.
        """
        special = ids < FIRST_PIECE
        begins = self.begins[ids] | special
        begins[:, 0] = True
        # Words of scripts without spaces are cut every few pieces.
        word = np.cumsum(begins.ravel()).reshape(ids.shape)
        position = np.arange(ids.size).reshape(ids.shape)
        opened = np.maximum.accumulate(np.where(begins, position, 0).ravel()).reshape(ids.shape)
        word = word * ids.size + (position - opened) // _LONGEST_WORD
        _, word = np.unique(word.ravel(), return_inverse=True)
        chosen = (rng.random(word.max() + 1) < self.config.mask_share)[word].reshape(ids.shape) & ~special
        labels = np.where(chosen, ids, IGNORE)
        dice = rng.random(ids.shape)
        changed = np.where(chosen & (dice < 0.8), MASK, ids)
        random_pieces = rng.integers(FIRST_PIECE, self.vocabulary, ids.shape)
        return np.where(chosen & (dice >= 0.8) & (dice < 0.9), random_pieces, changed), labels


def _padded(rows: list[list[int]]) -> np.ndarray:
    padded = np.full((len(rows), max(map(len, rows))), PAD, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded
