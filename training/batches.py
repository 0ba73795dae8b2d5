"""Rows to batches: balanced sampling, fresh obfuscation an epoch, padding by length."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from forewarn.inference.labels import Taxonomy
from forewarn.training.augment import augment
from forewarn.training.data.rows import Row
from forewarn.training.evaluation.metrics import certain
from forewarn.training.model import allowed_leaves
from forewarn.training.public_text import NAME as PUBLIC_TEXT
from forewarn.training.scripts.corpus import NAME as SCRIPTS
from forewarn.training.scripts.slots import fill_row
from forewarn.training.surroundings import surround
from tokenizers import Tokenizer
from torch.utils.data import Dataset, Sampler

_POOL = 32  # batches that are put together at once, from rows of like length


def row_weights(rows: list[Row], taxonomy: Taxonomy, balance: float, public_share: float = 0.0) -> torch.Tensor:
    """Sampling weights, (rows,): count of the row's language and source to the power -balance.

    Rows of a scam leaf with few of them, a trick that is new, weigh more: together as much as the median scam leaf.
    Rows of public text, if there are any, weigh `public_share` of all.
    """
    counts = Counter((row.language, row.source) for row in rows)
    weights = torch.tensor([counts[row.language, row.source] ** -balance for row in rows], dtype=torch.double)
    scam = {leaf.name for leaf in taxonomy.leaves if leaf.verdict == "scam"}
    totals: dict[str, float] = defaultdict(float)
    for row, weight in zip(rows, weights.tolist(), strict=True):
        if row.label in scam:
            totals[row.label] += weight
    usual = float(np.median(list(totals.values()))) if totals else 0.0
    more = {leaf: max(1.0, usual / total) for leaf, total in totals.items()}
    weights = weights * torch.tensor([more.get(row.label, 1.0) for row in rows], dtype=torch.double)
    public = torch.tensor([row.source == PUBLIC_TEXT for row in rows])
    if public.any() and not public.all():
        weights[public] *= public_share / (1 - public_share) * weights[~public].sum() / weights[public].sum()
    return weights


class MessageDataset(Dataset[dict[str, Any]]):
    """Messages as ids, encoded when asked for, so that each epoch sees other obfuscations and slot values.

    With a seed it is a training view: slots of our own scripts are filled anew, texts are obfuscated, and some scams
    get honest messages of their language before or behind them, as filters are lulled. So do some honest messages, of
    the same label, or to be one of several would tell a scam. Some of both get a greeting, a footer or the like.
    Without a seed, texts are taken as they are.

    The obfuscation of a row depends on the seed, the epoch and the row alone: runs repeat, resumed ones too.
    """

    def __init__(
        self,
        rows: list[Row],
        tokenizer: Tokenizer,
        taxonomy: Taxonomy,
        augment_share: float = 0.0,
        seed: int | None = None,
        padded_share: float = 0.0,
        surrounded_share: float = 0.0,
    ) -> None:
        self.rows = rows
        self.tokenizer = tokenizer
        self.allowed = allowed_leaves([row.label for row in rows], taxonomy)
        self.augment_share = augment_share
        self.seed = seed
        self.padded_share = padded_share
        self.surrounded_share = surrounded_share
        self.teacher: torch.Tensor | None = None  # (rows, leaves) probabilities to learn beside the labels
        self.epoch = 0
        self.made: dict[int, dict[str, Any]] = {}  # this epoch's views that were made ahead, by index
        self.partners: list[list[int]] = [[]] * len(rows)  # honest messages that may stand beside each
        if padded_share or surrounded_share:
            self.partners = _partners(rows, *certain(self.allowed.numpy(), taxonomy.indices("scam")))

    def __len__(self) -> int:
        return len(self.rows)

    def _filled(self, index: int, rng: random.Random) -> str:
        row = self.rows[index]
        return fill_row(row, rng) if row.source == SCRIPTS else row.text

    def set_epoch(self, epoch: int) -> None:
        """Other obfuscations and slot values from here on."""
        self.epoch, self.made = epoch, {}

    def make_ahead(self, indices: Iterable[int]) -> dict[int, int]:
        """Make the views of these rows now, so that batches can be put together by what they weigh.

        Returns the number of ids a view, by index. Views that were made ahead before are dropped.
        """
        self.made = {}
        self.made = {index: self[index] for index in set(indices)}
        return {index: len(item["input_ids"]) for index, item in self.made.items()}

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index in self.made:
            return self.made[index]
        text = self.rows[index].text
        if self.seed is not None:
            rng = random.Random(f"{self.seed}:{self.epoch}:{index}")
            text = self._filled(index, rng)
            if self.partners[index] and rng.random() < self.padded_share:
                count = rng.choice((1, 1, 2, 4))
                parts = [text, *(self._filled(rng.choice(self.partners[index]), rng) for _ in range(count))]
                padded = rng.choice([" ", "\n", "\n\n"]).join(rng.sample(parts, len(parts)))
                padded = augment(padded, rng, self.augment_share)
                encoding = self.tokenizer.encode(padded[:2000])
                if not encoding.overflowing:  # all of them must be read
                    return self._item(encoding.ids, index)
            if rng.random() < self.surrounded_share:
                partners = self.partners[index]
                quoted = self._filled(rng.choice(partners), rng) if partners else None
                text = surround(text, self.rows[index].language, rng, quoted)
            text = augment(text, rng, self.augment_share)
        # Only the head of a very long message is used, and NFKC can be slow on megabytes.
        return self._item(self.tokenizer.encode(text[:2000]).ids, index)

    def _item(self, ids: list[int], index: int) -> dict[str, Any]:
        item = {"input_ids": ids, "labels": self.allowed[index]}
        return item if self.teacher is None else item | {"teacher": self.teacher[index]}


def _partners(rows: list[Row], is_scam: np.ndarray, known: np.ndarray) -> list[list[int]]:
    """For each row the honest ones that may stand beside it: beside a scam any of its language, else of its label too.

    Args:
        rows: all rows.
        is_scam: (rows,) bool.
        known: (rows,) bool, whether that is certain; rows of which it is not get none.
    """
    by_language: dict[str, list[int]] = defaultdict(list)
    by_label: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index in (known & ~is_scam).nonzero()[0].tolist():
        by_language[rows[index].language].append(index)
        by_label[rows[index].language, rows[index].label].append(index)
    return [
        [] if not sure else by_language[row.language] if scam else by_label[row.language, row.label]
        for row, scam, sure in zip(rows, is_scam, known, strict=True)
    ]


def collate(items: list[dict[str, Any]], pad_id: int = 0) -> dict[str, torch.Tensor]:
    """Pad to the longest: input_ids and attention_mask (batch, sequence), labels and any teacher (batch, leaves)."""
    width = max(len(item["input_ids"]) for item in items)
    ids = torch.full((len(items), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(items), width), dtype=torch.long)
    for i, item in enumerate(items):
        length = len(item["input_ids"])
        ids[i, :length] = torch.tensor(item["input_ids"])
        mask[i, :length] = 1
    stacked = {name: torch.stack([item[name] for item in items]) for name in items[0] if name != "input_ids"}
    return {"input_ids": ids, "attention_mask": mask, **stacked}


class BalancedBatchSampler(Sampler[list[int]]):
    """Weighted draws in batches of like length, so that little is padded; every epoch's draw follows from the seed.

    Length is that of the ids: sorted by characters, half of a batch was padding, since scripts differ in characters a
    piece and obfuscated views fall into many pieces.
    """

    def __init__(self, dataset: MessageDataset, weights: torch.Tensor, batch: int, seed: int) -> None:
        self.dataset = dataset
        self.weights = weights
        self.batch = batch
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer at the start of an epoch, after a resume too."""
        self.epoch = epoch
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return (len(self.dataset) + self.batch - 1) // self.batch

    def __iter__(self) -> Iterator[list[int]]:
        seed = self.seed * 1_000_003 + self.epoch
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.multinomial(self.weights, len(self.dataset), replacement=True, generator=generator).tolist()
        order = random.Random(seed)
        pool = self.batch * _POOL
        for start in range(0, len(drawn), pool):
            chosen = drawn[start : start + pool]
            lengths = self.dataset.make_ahead(chosen)
            chosen.sort(key=lengths.__getitem__)
            batches = [chosen[i : i + self.batch] for i in range(0, len(chosen), self.batch)]
            order.shuffle(batches)
            yield from batches
