"""A linear model on n-grams of the token ids, beside the encoder and inside the same graph.

Linear models on n-grams are hard to beat on scripts that return word for word, and make other mistakes than an encoder,
which reads what it has not seen. Hashing: Weinberger et al. 2009; wide beside deep: Cheng et al. 2016.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from forewarn.inference.errors import ForewarnError
from forewarn.training.batches import BalancedBatchSampler, MessageDataset, collate, row_weights
from forewarn.training.config import NgramConfig
from forewarn.training.model import coarse_loss, distilled_loss
from forewarn.training.tokenizer import SPECIAL_TOKENS
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tqdm.auto import tqdm
from transformers import AutoModelForSequenceClassification, PreTrainedModel

FILE = "ngrams.safetensors"
_ORDERS = 3  # one, two and three pieces in a row
_MULTIPLIER = 1_000_003
_BATCH = 256
_FIRST_PIECE = len(SPECIAL_TOKENS)


class HashedNgrams(torch.nn.Module):
    """Logits (batch, leaves): a row of weights for each piece, and one for each two and three pieces in a row.

    Rows are summed and divided by the square root of their number. Pieces have rows of their own; longer n-grams share
    `buckets` rows by a hash.
    """

    def __init__(self, vocabulary: int, buckets: int, leaves: int) -> None:
        """All weights zero.

        Args:
            vocabulary: pieces of the tokenizer.
            buckets: rows of the hashed table; a prime spreads the n-grams best.
            leaves: columns of both tables.
        """
        super().__init__()
        self.pieces = torch.nn.Parameter(torch.zeros(vocabulary, leaves))
        self.weight = torch.nn.Parameter(torch.zeros(buckets, leaves))
        self.bias = torch.nn.Parameter(torch.zeros(leaves))

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, piece_rows: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Only standard integer arithmetic and table look-ups, so that every runtime computes the same buckets.

        Args:
            input_ids: (batch, length).
            attention_mask: (batch, length), 0 for padding.
            piece_rows: (batch, length, leaves) in place of the rows of `pieces`, while these are being learned.
        """
        length = input_ids.shape[1]
        ids = F.pad(input_ids, (0, _ORDERS - 1))
        mask = F.pad(attention_mask, (0, _ORDERS - 1))
        gram = torch.zeros_like(input_ids)
        real = torch.ones_like(attention_mask)
        total: Any = 0.0
        count: Any = 0.0
        for order in range(_ORDERS):
            gram = gram * _MULTIPLIER + ids[:, order : order + length] + 1
            real = real * mask[:, order : order + length]
            if order:
                rows = F.embedding(gram % self.weight.shape[0], self.weight)
            else:
                rows = F.embedding(input_ids, self.pieces) if piece_rows is None else piece_rows
            present = real.to(rows.dtype)
            total = total + (rows * present.unsqueeze(-1)).sum(dim=1)
            count = count + present.sum(dim=1, keepdim=True)
        return total / count.clamp(min=1.0).sqrt() + self.bias


class PieceSpelling(torch.nn.Module):
    """What pieces share: weights of the character n-grams inside them, so that forms of a word learn together.

    As in fastText (Bojanowski et al. 2017). After training it is folded into the pieces' rows and gone.
    """

    def __init__(self, tokenizer: Tokenizer, leaves: int) -> None:
        """List the character 1- to 5-grams of every piece; special tokens have none."""
        super().__init__()
        numbers: dict[str, int] = {}
        listed = []
        for i in range(tokenizer.get_vocab_size()):
            piece = (tokenizer.id_to_token(i) or "") if i >= _FIRST_PIECE else ""
            spelled = [piece[at : at + n] for n in range(1, 6) for at in range(len(piece) - n + 1)]
            listed.append([numbers.setdefault(gram, len(numbers) + 1) for gram in spelled])
        table = torch.zeros(len(listed), max(1, *map(len, listed)), dtype=torch.long)  # 0 pads
        for row, grams in zip(table, listed, strict=True):
            row[: len(grams)] = torch.tensor(grams)
        self.grams = table
        self.weight = torch.nn.Parameter(torch.zeros(len(numbers) + 1, leaves))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Rows (n, leaves) of pieces (n,). A quarter keeps a piece's dozen n-grams from moving it too fast."""
        grams = self.grams[ids]
        return 0.25 * (F.embedding(grams, self.weight) * (grams != 0).unsqueeze(-1)).sum(dim=1)


class WithNgrams(torch.nn.Module):
    """An encoder and its n-gram branch as one model: called as the encoder is, with the sum of both logits."""

    def __init__(self, encoder: PreTrainedModel, ngrams: HashedNgrams) -> None:
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
    ngrams = HashedNgrams(len(weights["pieces"]), *weights["weight"].shape)
    ngrams.load_state_dict(weights)
    return WithNgrams(encoder, ngrams)


def save_ngrams(ngrams: HashedNgrams, folder: Path) -> None:
    """Write the branch into a checkpoint folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(ngrams.state_dict(), folder / FILE)


def fit_ngrams(
    train: MessageDataset, config: NgramConfig, balance: float, seed: int, teacher_share: float = 0.0
) -> HashedNgrams:
    """Train a branch alone with the same loss, on views that are obfuscated and filled anew each epoch."""
    leaves = train.allowed.shape[1]
    ngrams = HashedNgrams(train.tokenizer.get_vocab_size(), config.buckets, leaves)
    spelling = PieceSpelling(train.tokenizer, leaves)
    optimizer = torch.optim.Adam([*ngrams.parameters(), *spelling.parameters()], lr=config.learning_rate)
    sampler = BalancedBatchSampler(train, row_weights(train.rows, balance), _BATCH, seed)
    for epoch in tqdm(range(config.epochs), desc="n-grams", unit="epoch", disable=None):
        sampler.set_epoch(epoch)
        for batch in sampler:
            inputs = collate([train[i] for i in batch])
            ids = inputs["input_ids"]
            distinct, place = torch.unique(ids, return_inverse=True)
            # A look-up, not an index: its gradient is added in a fixed order, so that runs repeat.
            rows = F.embedding(place, spelling(distinct) + F.embedding(distinct, ngrams.pieces))
            logits = ngrams(ids, inputs["attention_mask"], rows)
            loss = distilled_loss(logits, inputs["labels"], 0.0, inputs.get("teacher"), teacher_share)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        for part in torch.arange(len(ngrams.pieces)).split(4096):
            ngrams.pieces[part] += spelling(part)
    return ngrams


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
