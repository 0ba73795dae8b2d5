"""Rows to batches: balanced sampling, fresh obfuscation an epoch, padding by length."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import torch
from forewarn.inference.labels import Taxonomy
from forewarn.training.augment import augment
from forewarn.training.data.rows import Row
from forewarn.training.model import allowed_leaves
from forewarn.training.scripts.corpus import NAME as SCRIPTS
from forewarn.training.scripts.slots import fill_row
from tokenizers import Tokenizer
from torch.utils.data import Dataset


def row_weights(rows: list[Row], balance: float) -> torch.Tensor:
    """Sampling weights, (rows,): count of the row's language and source to the power -balance."""
    counts = Counter((row.language, row.source) for row in rows)
    return torch.tensor([counts[row.language, row.source] ** -balance for row in rows], dtype=torch.double)


class MessageDataset(Dataset[dict[str, Any]]):
    """Messages as ids, encoded when asked for, so that each epoch sees other obfuscations and slot values.

    With a seed it is a training view: slots of our own scripts are filled anew, and texts are obfuscated. Without one,
    texts are taken as they are.

    The obfuscation of a row depends on the seed, the epoch and the row alone: runs repeat, resumed ones too.
    """

    def __init__(
        self,
        rows: list[Row],
        tokenizer: Tokenizer,
        taxonomy: Taxonomy,
        augment_share: float = 0.0,
        seed: int | None = None,
    ) -> None:
        self.rows = rows
        self.tokenizer = tokenizer
        self.allowed = allowed_leaves([row.label for row in rows], taxonomy)
        self.augment_share = augment_share
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        text = self.rows[index].text
        if self.seed is not None:
            rng = random.Random(f"{self.seed}:{self.epoch}:{index}")
            if self.rows[index].source == SCRIPTS:
                text = fill_row(self.rows[index], rng)
            text = augment(text, rng, self.augment_share)
        # Only the head of a very long message is used, and NFKC can be slow on megabytes.
        return {"input_ids": self.tokenizer.encode(text[:2000]).ids, "labels": self.allowed[index]}


def collate(items: list[dict[str, Any]], pad_id: int = 0) -> dict[str, torch.Tensor]:
    """Pad to the longest: input_ids and attention_mask (batch, sequence), labels (batch, leaves)."""
    width = max(len(item["input_ids"]) for item in items)
    ids = torch.full((len(items), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(items), width), dtype=torch.long)
    for i, item in enumerate(items):
        length = len(item["input_ids"])
        ids[i, :length] = torch.tensor(item["input_ids"])
        mask[i, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.stack([item["labels"] for item in items])}
