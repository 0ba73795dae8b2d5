"""A linear model on pieces and pairs of pieces, beside the encoder and inside the same graph.

Linear models on n-grams are hard to beat on scripts that return word for word, and make other mistakes than an encoder,
which reads what it has not seen. Wide beside deep: Cheng et al. 2016.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from forewarn.inference.errors import ForewarnError
from forewarn.training.batches import MessageDataset, collate
from forewarn.training.model import coarse_loss
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, PreTrainedModel

FILE = "ngrams.safetensors"
_MULTIPLIER = 1_000_003
_FINGERPRINTS = 32_749  # a prime that fits int16
_TABLES = 3
_KICKS = 500


def pair_codes(first: Any, second: Any) -> Any:
    """A number for each pair of neighbouring pieces, another one for every other pair; arrays or tensors of int64."""
    return (first + 1) * _MULTIPLIER + second + 1


def _primes_below(limit: int, count: int) -> list[int]:
    primes = (n for n in range(limit, 1, -1) if all(n % d for d in range(2, int(n**0.5) + 1)))
    return list(itertools.islice(primes, count))


class PieceNgrams(torch.nn.Module):
    """Logits (batch, leaves): a row of weights for each piece, and one for each pair of neighbours that was kept.

    Rows are summed and divided by the square root of their number. Which pairs were kept is told by a cuckoo table
    (Pagh and Rodler 2004): a pair may lie in one slot of each of three tables, and each slot holds a fingerprint of
    its pair. So a pair that was never learned adds nothing, where a table hashed without fingerprints adds the weights
    of some other pair; that noise cost four points of AUROC on the written scripts.
    """

    def __init__(self, vocabulary: int, slots: int, leaves: int) -> None:
        """All weights zero, no pair kept.

        Args:
            vocabulary: pieces of the tokenizer.
            slots: places for pairs, at least 21; a few are lost to rounding.
            leaves: columns of both tables.
        """
        super().__init__()
        self.sizes = _primes_below(slots // _TABLES, _TABLES)
        self.pieces = torch.nn.Parameter(torch.zeros(vocabulary, leaves))
        self.weight = torch.nn.Parameter(torch.zeros(1 + sum(self.sizes), leaves))  # row 0 is of unknown pairs: zeros
        self.bias = torch.nn.Parameter(torch.zeros(leaves))
        self.keys: torch.Tensor
        self.register_buffer("keys", torch.zeros(sum(self.sizes), dtype=torch.int16))  # 0: empty

    def find(self, codes: torch.Tensor) -> torch.Tensor:
        """Rows of `weight` of pairs (any shape), 0 for those that were not kept.

        Only standard integer arithmetic and look-ups, so that every runtime finds the same rows.
        """
        fingerprints = codes % _FINGERPRINTS + 1
        found = torch.zeros_like(codes)
        start = 0
        for size in self.sizes:
            slots = codes % size + start
            found = torch.where(self.keys[slots].to(torch.int64) == fingerprints, slots + 1, found)
            start += size
        return found

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """`input_ids` and `attention_mask`, 0 for padding, are (batch, length)."""
        ids, mask = F.pad(input_ids, (0, 1)), F.pad(attention_mask, (0, 1))
        both = mask[:, :-1] * mask[:, 1:]
        found = self.find(pair_codes(ids[:, :-1], ids[:, 1:])) * both
        real = attention_mask.to(self.bias.dtype)
        total = (F.embedding(input_ids, self.pieces) * real.unsqueeze(-1)).sum(dim=1)
        total = total + F.embedding(found, self.weight).sum(dim=1)
        count = (real + (found > 0).to(real.dtype)).sum(dim=1, keepdim=True)
        return total / count.clamp(min=1.0).sqrt() + self.bias

    def keep(self, codes: Sequence[int], rows: torch.Tensor) -> int:
        """Put pairs and their rows (pairs, leaves) into the empty table, the first ones before the others.

        Returns how many found a place; with nine slots for eight pairs all do but for the odd one.
        """
        starts = list(itertools.accumulate(self.sizes, initial=0))
        places = [[code % size + start for size, start in zip(self.sizes, starts, strict=False)] for code in codes]
        lodged: dict[int, int] = {}  # slot to pair
        for newcomer in range(len(codes)):
            pair, table = newcomer, 0
            undo: list[tuple[int, int]] = []
            while True:
                free = next((slot for slot in places[pair] if slot not in lodged), None)
                if free is not None:
                    lodged[free] = pair
                    break
                if len(undo) == _KICKS:
                    for slot, before in reversed(undo):
                        lodged[slot] = before
                    break
                # Someone must move on: each time from the next table, so that two pairs do not swap for ever.
                slot = places[pair][table % _TABLES]
                undo.append((slot, lodged[slot]))
                lodged[slot], pair = pair, lodged[slot]
                table += 1
        slots = torch.tensor(list(lodged), dtype=torch.long)
        pairs = torch.tensor(list(lodged.values()), dtype=torch.long)
        numbers = torch.tensor(codes, dtype=torch.long)
        with torch.no_grad():
            self.keys.zero_()
            self.weight.zero_()
            self.keys[slots] = (numbers[pairs] % _FINGERPRINTS + 1).to(torch.int16)
            self.weight[slots + 1] = rows[pairs]
        # A stranger with the same fingerprint in an earlier table hides a pair; that one is as good as not kept.
        return int((self.find(numbers[pairs]) == slots + 1).sum())


class WithNgrams(torch.nn.Module):
    """An encoder and its n-gram branch as one model: called as the encoder is, with the sum of both logits."""

    def __init__(self, encoder: PreTrainedModel, ngrams: PieceNgrams) -> None:
        """Put the two together."""
        super().__init__()
        self.encoder, self.ngrams = encoder, ngrams
        self.config = encoder.config

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        """An object with `logits`, (batch, leaves)."""
        deep = self.encoder(input_ids=input_ids, attention_mask=attention_mask).logits
        return SimpleNamespace(logits=deep + self.ngrams(input_ids, attention_mask))


def load_classifier(folder: Path, **options: Any) -> Any:
    """The model of a checkpoint folder, with its n-gram branch where the folder has one.

    `options` go to `from_pretrained`, and so do its errors.

    Raises:
        ForewarnError: the folder says that it has a branch, and the file is not there.
    """
    record = folder / "forewarn.json"
    has_branch = record.is_file() and json.loads(record.read_text(encoding="utf-8")).get("ngrams")
    if has_branch and not (folder / FILE).is_file():
        raise ForewarnError(f"{folder}: {FILE} is missing, which is half of this model; copy the whole folder")
    encoder = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True, **options)
    if not (folder / FILE).is_file():
        return encoder
    weights = load_file(folder / FILE)
    sizes = weights.pop("sizes")
    ngrams = PieceNgrams(len(weights["pieces"]), _TABLES * int(sizes.max()), weights["pieces"].shape[1])
    ngrams.load_state_dict(weights)
    return WithNgrams(encoder, ngrams)


def save_ngrams(ngrams: PieceNgrams, folder: Path) -> None:
    """Write the branch into a checkpoint folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(ngrams.state_dict() | {"sizes": torch.tensor(ngrams.sizes)}, folder / FILE)


def all_logits(model: Any, dataset: MessageDataset, batch: int = 128) -> torch.Tensor:
    """Logits of every row of a dataset, (rows, leaves); `model` gives logits, or an object that holds them."""
    encoded = [dataset[i] for i in range(len(dataset))]
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]["input_ids"]))
    result = torch.empty(len(encoded), dataset.allowed.shape[1])
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            inputs = collate([encoded[i] for i in chosen])
            ids, mask = inputs["input_ids"].to(device), inputs["attention_mask"].to(device)
            output = model(input_ids=ids, attention_mask=mask)
            result[chosen] = getattr(output, "logits", output).float().cpu()
    return result


def blend(deep: torch.Tensor, wide: torch.Tensor, allowed: torch.Tensor) -> tuple[float, float]:
    """Weights of the two logits that make the coarse-label loss on validation rows smallest.

    Args:
        deep: the encoder's logits, (rows, leaves).
        wide: the branch's logits, (rows, leaves).
        allowed: allowed leaves of each row, (rows, leaves) bool.
    """
    scales = torch.tensor([0.7, 0.7], requires_grad=True)
    optimizer = torch.optim.LBFGS([scales], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = coarse_loss(scales[0] * deep + scales[1] * wide, allowed)
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    deep_scale, wide_scale = scales.detach().tolist()
    return deep_scale, wide_scale
