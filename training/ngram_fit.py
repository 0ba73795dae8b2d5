"""How the n-gram branch is learned: from several views of every message, which pairs to keep, and their weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from forewarn.training.batches import MessageDataset
from forewarn.training.config import NgramConfig
from forewarn.training.model import distilled_loss
from forewarn.training.ngrams import PieceNgrams, pair_codes
from forewarn.training.tokenizer import SPECIAL_TOKENS
from tokenizers import Tokenizer
from tqdm.auto import tqdm

_BATCH = 256
_FIRST_PIECE = len(SPECIAL_TOKENS)
_LOAD = 0.88  # of the table's slots; nearly all pairs find a place up to nine tenths


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


@dataclass(frozen=True)
class View:
    """All messages once, end to end: `ids` (tokens,), `pairs` (tokens,), and where each message begins (messages + 1,).

    `pairs` holds the code of the pair that begins at a token; -1 at the last token of a message.
    """

    ids: np.ndarray
    pairs: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, messages: list[list[int]]) -> View:
        """Of the ids of every message."""
        starts = np.cumsum([0, *map(len, messages)])
        ids = np.concatenate([np.asarray(x, np.int64) for x in messages])
        pairs = np.append(pair_codes(ids[:-1], ids[1:]), -1)
        pairs[starts[1:] - 1] = -1
        return cls(ids, pairs, starts)

    def batch(self, messages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of the tokens of some messages, and for each the number of its message within the batch."""
        lengths = self.starts[messages + 1] - self.starts[messages]
        owner = np.repeat(np.arange(len(messages)), lengths)
        offset = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return np.repeat(self.starts[messages], lengths) + offset, owner


def pairs_of_two_messages(views: list[View]) -> np.ndarray:
    """Codes, sorted, of the pairs that occur in at least two messages, whatever the view."""
    owners = [np.repeat(np.arange(len(view.starts) - 1), np.diff(view.starts)) for view in views]
    codes, owner = np.concatenate([view.pairs for view in views]), np.concatenate(owners)
    order = np.lexsort((owner, codes))
    codes, owner = codes[order], owner[order]
    first = np.append(True, (codes[1:] != codes[:-1]) | (owner[1:] != owner[:-1])) & (codes >= 0)
    known, messages = np.unique(codes[first], return_counts=True)
    return np.asarray(known[messages > 1])


class _Learner(torch.nn.Module):
    """The branch while it learns: a row for every candidate pair, and the pieces' spelling beside their own rows."""

    def __init__(self, tokenizer: Tokenizer, candidates: int, leaves: int) -> None:
        super().__init__()
        self.pieces = torch.nn.Parameter(torch.zeros(tokenizer.get_vocab_size(), leaves))
        self.spelling = PieceSpelling(tokenizer, leaves)
        self.pairs = torch.nn.Parameter(torch.zeros(candidates + 1, leaves))
        self.bias = torch.nn.Parameter(torch.zeros(leaves))
        self.kept = torch.ones(candidates + 1)
        self.kept[0] = 0.0  # no candidate

    def forward(self, ids: torch.Tensor, pairs: torch.Tensor, owner: torch.Tensor, messages: int) -> torch.Tensor:
        """Logits (messages, leaves) of tokens' ids, their pairs' rows and the message that each belongs to."""
        distinct, place = torch.unique(ids, return_inverse=True)
        # A look-up, not an index: its gradient is added in a fixed order, so that runs repeat.
        rows = F.embedding(place, self.spelling(distinct) + F.embedding(distinct, self.pieces))
        kept = self.kept[pairs]
        rows = rows + F.embedding(pairs, self.pairs) * kept.unsqueeze(-1)
        count = torch.zeros(messages).index_add(0, owner, 1 + kept)
        total = torch.zeros(messages, rows.shape[1]).index_add(0, owner, rows)
        return total / count.sqrt().unsqueeze(-1) + self.bias

    def strongest(self, count: int) -> torch.Tensor:
        """Rows of the candidates with the largest weights, strongest first."""
        strength = self.pairs.detach().norm(dim=1) * self.kept
        return strength.topk(min(count, int(self.kept.sum()))).indices


def fit_ngrams(
    train: MessageDataset, weights: torch.Tensor, config: NgramConfig, seed: int, teacher_share: float = 0.0
) -> PieceNgrams:
    """Train a branch alone with the same loss, on views of the messages that are obfuscated and filled differently.

    Every pair that two messages share is a candidate; after three quarters of the epochs those with the largest weights
    stay, as many as the table holds. `weights` (rows,) are those of the draws.
    """
    leaves = train.allowed.shape[1]
    views = []
    for epoch in tqdm(range(config.views), desc="views for the n-grams", unit="view", disable=None):
        train.set_epoch(epoch)
        views.append(View.of([train[i]["input_ids"] for i in range(len(train))]))
    known = pairs_of_two_messages(views)
    torch.manual_seed(seed)
    learner = _Learner(train.tokenizer, len(known), leaves)
    optimizer = torch.optim.Adam(learner.parameters(), lr=config.learning_rate, fused=True)
    ngrams = PieceNgrams(train.tokenizer.get_vocab_size(), config.slots, leaves)
    generator = torch.Generator().manual_seed(seed)
    batches = -(-len(train) // _BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=config.epochs * batches)
    cut = max(1, 3 * config.epochs // 4)
    for epoch in tqdm(range(config.epochs), desc="n-grams", unit="epoch", disable=None):
        if epoch == cut:
            chosen = learner.strongest(int(_LOAD * len(ngrams.keys)))
            learner.kept = torch.zeros_like(learner.kept).index_fill(0, chosen, 1.0)
        view = views[epoch % len(views)]
        rows = np.searchsorted(known, view.pairs).clip(max=max(0, len(known) - 1))
        rows = np.where(known[rows] == view.pairs, rows + 1, 0) if len(known) else np.zeros_like(view.pairs)
        drawn = torch.multinomial(weights, len(train), replacement=True, generator=generator)
        for batch in drawn.split(_BATCH):
            places, owner = view.batch(batch.numpy())
            inputs = (torch.from_numpy(x) for x in (view.ids[places], rows[places], owner))
            logits = learner(*inputs, len(batch))
            teacher = None if train.teacher is None else train.teacher[batch]
            loss = distilled_loss(logits, train.allowed[batch], 0.0, teacher, teacher_share)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        for part in torch.arange(len(ngrams.pieces)).split(4096):
            ngrams.pieces[part] = learner.pieces[part] + learner.spelling(part)
        ngrams.bias.copy_(learner.bias)
        chosen = learner.strongest(int(_LOAD * len(ngrams.keys)))
        ngrams.keep(known[chosen.numpy() - 1].tolist() if len(known) else [], learner.pairs[chosen])
    return ngrams
