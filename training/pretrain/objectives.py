"""What an encoder learns from: hidden pieces, replaced pieces, and translations that must find each other."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from forewarn.training.model import attention
from forewarn.training.pretrain.batches import IGNORE
from transformers import AutoModelForMaskedLM, ElectraForMaskedLM
from transformers.models.electra.modeling_electra import ElectraDiscriminatorPredictions

_ROWS_AT_ONCE = 64  # sentences of like length


class Guess(NamedTuple):
    """Logits of the hidden pieces (n, vocabulary), their cross entropy, and whether each was guessed right (n,)."""

    logits: torch.Tensor
    loss: torch.Tensor
    right: torch.Tensor


def guess_hidden(model: ElectraForMaskedLM, ids: torch.Tensor, labels: torch.Tensor) -> Guess:
    """Predict the pieces whose label is not IGNORE (Devlin et al. 2019).

    The vocabulary is wide and few pieces are hidden, so logits are computed for those alone.
    """
    hidden = model.electra(input_ids=ids, attention_mask=(ids != 0).long()).last_hidden_state
    asked = labels != IGNORE
    logits = model.generator_lm_head(model.generator_predictions(hidden[asked])).float()
    return Guess(logits, F.cross_entropy(logits, labels[asked]), logits.argmax(-1) == labels[asked])


class MaskedTokens(torch.nn.Module):
    """The encoder itself predicts the hidden pieces."""

    def __init__(self, encoder: ElectraForMaskedLM) -> None:
        """Train `encoder` and nothing beside it."""
        super().__init__()
        self.encoder = encoder

    @property
    def guesser(self) -> ElectraForMaskedLM:
        """The model that predicts hidden pieces."""
        return self.encoder

    def forward(self, ids: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, Guess]:
        """Loss and guesses of blocks (blocks, length), with labels that are IGNORE where nothing is hidden."""
        guess = guess_hidden(self.encoder, ids, labels)
        return guess.loss, guess


class ReplacedTokens(torch.nn.Module):
    """A small generator fills the hidden pieces, and the encoder tells at every place whether it reads the original.

    ELECTRA (Clark et al. 2020, https://arxiv.org/abs/2003.10555): the encoder learns from all tokens and not from the
    hidden ones alone. The generator has half the encoder's width and the same embeddings; it is gone after training.
    """

    def __init__(self, encoder: ElectraForMaskedLM, weight: float) -> None:
        """Put a generator beside `encoder`; `weight` multiplies the encoder's loss (50 in the paper)."""
        super().__init__()
        self.encoder = encoder
        shape = copy.deepcopy(encoder.config)
        shape.hidden_size, shape.intermediate_size = max(8, shape.hidden_size // 2), shape.intermediate_size // 2
        shape.num_attention_heads = max(1, shape.num_attention_heads // 2)
        self.guesser: ElectraForMaskedLM = AutoModelForMaskedLM.from_config(shape, attn_implementation=attention())
        self.guesser.electra.embeddings = encoder.electra.embeddings
        self.guesser.generator_lm_head.weight = encoder.electra.embeddings.word_embeddings.weight
        self.detector = ElectraDiscriminatorPredictions(encoder.config)
        self.weight = weight

    def forward(self, ids: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, Guess]:
        """As `MaskedTokens.forward`; a filled-in piece that happens to be the original counts as original."""
        guess = guess_hidden(self.guesser, ids, labels)
        asked = labels != IGNORE
        filled = ids.clone()
        with torch.no_grad():
            filled[asked] = torch.multinomial(guess.logits.softmax(-1), 1).squeeze(-1)
        original = torch.where(asked, labels, ids)
        real = ids != 0
        hidden = self.encoder.electra(input_ids=filled, attention_mask=real.long()).last_hidden_state
        replaced = (filled != original).float()
        detection = F.binary_cross_entropy_with_logits(self.detector(hidden).float()[real], replaced[real])
        return guess.loss + self.weight * detection, guess


def token_objective(encoder: ElectraForMaskedLM, replaced_weight: float) -> MaskedTokens | ReplacedTokens:
    """What the blocks of text are for: hidden pieces, or with a weight above zero replaced ones."""
    return ReplacedTokens(encoder, replaced_weight) if replaced_weight else MaskedTokens(encoder)


def _first_vectors(model: ElectraForMaskedLM, ids: torch.Tensor) -> torch.Tensor:
    """The first token's vector of each row, (rows, hidden); rows of like length go together, since most are short."""
    lengths = (ids != 0).sum(dim=1)
    order = lengths.argsort()
    parts = []
    for chosen in order.split(_ROWS_AT_ONCE):
        part = ids[chosen, : int(lengths[chosen].max())]
        parts.append(model.electra(input_ids=part, attention_mask=(part != 0).long()).last_hidden_state[:, 0])
    return torch.cat(parts)[order.argsort()]


def contrastive_loss(model: ElectraForMaskedLM, pairs: torch.Tensor, temperature: float) -> torch.Tensor:
    """InfoNCE over translations (van den Oord et al. 2018; LaBSE, Feng et al. 2022): a sentence, by its first token's
    vector, must find its translation among all of the batch, in both directions.

    Args:
        model: the encoder.
        pairs: (2n, length) ids; rows 2i and 2i+1 say the same.
        temperature: divides the cosines.
    """
    vectors = F.normalize(_first_vectors(model, pairs).float(), dim=-1)
    scores = vectors[0::2] @ vectors[1::2].T / temperature
    targets = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, targets) + F.cross_entropy(scores.T, targets)) / 2
