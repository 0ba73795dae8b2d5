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


@dataclass(frozen=True)
class Batch:
    """One step: masked blocks with their labels, and sentence pairs (rows 2i and 2i+1 are translations)."""

    input_ids: torch.Tensor
    labels: torch.Tensor
    pairs: torch.Tensor


class BatchMaker:
    """Draws the batch of any step from the shards."""

    def __init__(self, shards: Shards, tokenizer: Tokenizer, config: PretrainConfig) -> None:
        """Prepare the language shares and the table of pieces that begin a word."""
        self.shards = shards
        self.config = config
        self.block = config.model.max_length
        self.longest = min(_LONGEST_SENTENCE, self.block)
        self.vocabulary = tokenizer.get_vocab_size()
        pieces = [tokenizer.id_to_token(i) or "" for i in range(self.vocabulary)]
        self.begins = np.array([piece.startswith("▁") or not piece[:1].isalpha() for piece in pieces])
        self.usable = [name for name in shards.languages if len(shards.stream(name)) > self.block]
        if not self.usable:
            raise ForewarnError("pretrain: no language has more text than one block; give more text")
        lengths = np.array([len(shards.stream(name)) for name in self.usable], dtype=float)
        self.shares = lengths**config.language_power / (lengths**config.language_power).sum()
        frequency = np.bincount(shards.sentence_language, minlength=len(shards.languages)).astype(float)
        self.rarity = np.maximum(frequency, 1) ** -config.language_power

    def make(self, step: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng((self.config.seed, step))
        rows = len(self.shards.row_starts) - 1
        blocks = []
        for _ in range(self.config.blocks):
            if rows and rng.random() < self.config.translation_share:
                first, second = self._pair(rng)
                blocks.append([CLS, *first, SEP, *second, SEP][: self.block])
            else:
                stream = self.shards.stream(self.usable[rng.choice(len(self.usable), p=self.shares)])
                start = int(rng.integers(0, len(stream) - self.block))
                blocks.append([CLS, *stream[start : start + self.block - 2].tolist(), SEP])
        input_ids, labels = self.mask(_padded(blocks), rng)
        sentences = []
        for _ in range(self.config.pairs if rows else 0):
            sentences += [[CLS, *sentence[: self.longest - 2], SEP] for sentence in self._pair(rng)]
        pairs = _padded(sentences) if sentences else np.zeros((0, 1), np.int64)
        return Batch(torch.from_numpy(input_ids), torch.from_numpy(labels), torch.from_numpy(pairs))

    def _pair(self, rng: np.random.Generator) -> tuple[list[int], list[int]]:
        row = int(rng.integers(0, len(self.shards.row_starts) - 1))
        start, end = self.shards.row_starts[row], self.shards.row_starts[row + 1]
        weights = self.rarity[self.shards.sentence_language[start:end]]
        first, second = rng.choice(end - start, 2, replace=False, p=weights / weights.sum())
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
