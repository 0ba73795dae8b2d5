"""The compact encoder, the coarse-label loss, and the checkpoint folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.config import ModelConfig
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, ElectraConfig, PreTrainedModel
from transformers.models.electra.modeling_electra import ElectraEmbeddings
from transformers.utils import logging

# The names of special tokens: ours and BERT's, or RoBERTa's.
_SPECIAL = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}


def attention() -> str:
    """The fastest attention to train with: written out on CPUs (half as fast again in bf16 as the fused one)."""
    return "sdpa" if torch.cuda.is_available() else "eager"


def electra_config(config: ModelConfig, vocabulary: int, taxonomy: Taxonomy) -> ElectraConfig:
    """Our encoder's shape, in ELECTRA's layout (Clark et al. 2020, https://arxiv.org/abs/2003.10555).

    It is a standard one with a factorised embedding, which keeps a 48k vocabulary small.
    """
    names = dict(enumerate(taxonomy.names))
    return ElectraConfig(
        vocab_size=vocabulary,
        embedding_size=config.embedding,
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.intermediate,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
        max_position_embeddings=config.max_length,
        type_vocab_size=1,
        pad_token_id=0,
        id2label=names,
        label2id={name: i for i, name in names.items()},
    )


def new_model(config: ModelConfig, vocabulary: int, taxonomy: Taxonomy) -> PreTrainedModel:
    """Our encoder from random weights: `ElectraForSequenceClassification`, one logit a leaf."""
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(
        electra_config(config, vocabulary, taxonomy), attn_implementation=attention()
    )
    return model


def load_base(name: str, taxonomy: Taxonomy, dropout: float) -> PreTrainedModel:
    """Any encoder from a folder or the hub, with a fresh head of one logit a leaf, in float32.

    Raises:
        ForewarnError: it cannot be loaded.
    """
    names = dict(enumerate(taxonomy.names))
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # that the head is new is what this function is for, and no news
    try:
        config = AutoConfig.from_pretrained(name, num_labels=len(names), id2label=names)
        for setting in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if hasattr(config, setting):
                setattr(config, setting, dropout)
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
            name, config=config, dtype=torch.float32, attn_implementation=attention()
        )
    except (OSError, ValueError) as error:
        raise ForewarnError(f"base model {name}: cannot be loaded ({type(error).__name__}); give a folder") from None
    finally:
        logging.set_verbosity(verbosity)
    return model


def lengthen(model: PreTrainedModel, positions: int) -> None:
    """Let an encoder of our layout read `positions` tokens, more than it was pretrained on.

    The new positions begin as copies of the old ones, as in Longformer (Beltagy et al. 2020,
    https://arxiv.org/abs/2004.05150): what is near what stays as it was, and short texts are read as before.

    Raises:
        ForewarnError: it is an encoder of another layout.
    """
    known = model.config.max_position_embeddings
    if not isinstance(model.config, ElectraConfig):
        raise ForewarnError(f"the base model reads {known} tokens; set model.max_length to at most that in the config")
    encoder: Any = model.base_model
    before = encoder.embeddings.state_dict()
    model.config.max_position_embeddings = positions
    longer = ElectraEmbeddings(model.config)
    old = before["position_embeddings.weight"]
    # From the second one on: [CLS] alone stands at the first.
    again = 1 + torch.arange(positions - known) % (known - 1)
    longer.load_state_dict(before | {"position_embeddings.weight": torch.cat([old, old[again]])})
    encoder.embeddings = longer


def random_weights(model: PreTrainedModel) -> PreTrainedModel:
    """The same architecture from random weights (torch's seed decides them): what a pretraining is compared with."""
    fresh: PreTrainedModel = AutoModelForSequenceClassification.from_config(
        model.config, attn_implementation=attention()
    )
    return fresh


def output_layer(model: PreTrainedModel) -> torch.nn.Linear:
    """The last layer of a classifier, whatever its head is called: the one with an output a leaf.

    Raises:
        ForewarnError: there is none.
    """
    linear = [x for x in model.modules() if isinstance(x, torch.nn.Linear)]
    layers = [x for x in linear if x.out_features == model.config.num_labels]
    if not layers:
        raise ForewarnError(f"{type(model).__name__}: no linear output layer; set ngrams.slots: 0 in the config")
    return layers[-1]


def coarse_loss(logits: torch.Tensor, allowed: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Minus the log of the summed probability of the leaves that each label allows, averaged over rows.

    Args:
        logits: (batch, leaves).
        allowed: (batch, leaves) bool; at least one true a row.
        smoothing: share of the target spread evenly over all leaves, against overconfidence.
    """
    log_p = torch.log_softmax(logits.float(), dim=-1)
    inside = torch.logsumexp(log_p.masked_fill(~allowed, float("-inf")), dim=-1)
    return -((1 - smoothing) * inside + smoothing * log_p.mean(dim=-1)).mean()


def distilled_loss(
    logits: torch.Tensor, allowed: torch.Tensor, smoothing: float, teacher: torch.Tensor | None, share: float
) -> torch.Tensor:
    """The coarse-label loss, mixed with the cross entropy against a teacher's probabilities (Hinton et al. 2015).

    Args:
        logits: (batch, leaves).
        allowed: (batch, leaves) bool.
        smoothing: as of `coarse_loss`.
        teacher: (batch, leaves) probabilities; None leaves it out.
        share: weight of the teacher, 0 to 1.
    """
    loss = coarse_loss(logits, allowed, smoothing)
    if teacher is None:
        return loss
    log_p = torch.log_softmax(logits.float(), dim=-1)
    return (1 - share) * loss - share * (teacher * log_p).sum(dim=-1).mean()


def corrected(teacher: torch.Tensor, allowed: torch.Tensor, least: torch.Tensor) -> torch.Tensor:
    """A teacher's probabilities without its mistakes: where it gives the allowed leaves too little, they share all.

    A row that the teacher never saw and is wrong about would otherwise pull against its label.

    Args:
        teacher: (rows, leaves) probabilities.
        allowed: (rows, leaves) bool.
        least: (rows,) probability of the allowed leaves below which a row is a mistake; 1 trusts the label alone.
    """
    right = teacher * allowed
    mass = right.sum(dim=-1, keepdim=True)
    return torch.where(mass < least.unsqueeze(-1), right / mass.clamp(min=1e-12), teacher)


def disagreement(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Symmetric Kullback-Leibler divergence between two readings of the same rows, averaged over rows.

    With two dropout masks this is what R-Drop adds to the loss (Liang et al. 2021, https://arxiv.org/abs/2106.14448).

    Args:
        first: logits (batch, leaves).
        second: logits of the same rows, (batch, leaves).
    """
    log_p, log_q = torch.log_softmax(first.float(), dim=-1), torch.log_softmax(second.float(), dim=-1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=-1).mean() / 2


def allowed_leaves(labels: list[str], taxonomy: Taxonomy) -> torch.Tensor:
    """Labels to a (rows, leaves) bool tensor of allowed leaves."""
    cache: dict[str, list[bool]] = {}
    for label in set(labels):
        leaves = taxonomy.resolve(label)
        cache[label] = [name in leaves for name in taxonomy.names]
    return torch.tensor([cache[label] for label in labels], dtype=torch.bool).reshape(len(labels), len(taxonomy.names))


def write_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    """Write `tokenizer.json` and the settings with which transformers loads it."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    special = {
        role: name for role, names in _SPECIAL.items() for name in names if tokenizer.token_to_id(name) is not None
    }
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_length, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def save_checkpoint(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    folder: Path,
    taxonomy: Taxonomy,
    max_length: int,
    info: dict[str, Any],
    more: dict[str, Any] | None = None,
) -> None:
    """Write a standard Hugging Face folder, with `forewarn.json` for what the standard has no place for.

    `info` is the built data's `build.json`: its fingerprint and source names go along, and `more` as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    write_tokenizer(tokenizer, folder, max_length)
    extra: dict[str, Any] = {
        "max_length": max_length,
        "labels": taxonomy.to_dict(),
        "data_fingerprint": info["fingerprint"],
    }
    extra["sources"] = sorted(info["sources"])
    extra |= more or {}
    (folder / "forewarn.json").write_text(json.dumps(extra, indent=1) + "\n", encoding="utf-8")
