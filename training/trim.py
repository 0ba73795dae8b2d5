"""Any encoder as a base: its vocabulary trimmed to the pieces that our texts use, under our explicit normaliser.

Embeddings are most of a multilingual encoder, and most of its pieces are for languages and words that no message here
holds (the idea of Abdaoui et al. 2020, https://aclanthology.org/2020.sustainlp-1.16/).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast

import torch
from forewarn.inference.errors import ForewarnError
from forewarn.training.tokenizer import keep_pieces, new_tokenizer
from tokenizers import Tokenizer
from transformers import PreTrainedModel


def with_explicit_normaliser(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer with the normaliser of the bundle contract in place of its own (see `new_tokenizer`)."""
    state = json.loads(tokenizer.to_str())
    state["normalizer"] = json.loads(new_tokenizer().to_str())["normalizer"]
    return Tokenizer.from_str(json.dumps(state))


def trim(model: PreTrainedModel, tokenizer: Tokenizer, texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Cut embedding rows and pieces down to the `vocabulary` most used in `texts`; returns the new tokenizer.

    The model is changed in place: a text of kept pieces has the logits that it had.

    Raises:
        ForewarnError: the tokenizer is neither Unigram nor WordPiece (byte-pair merges cannot be cut one by one).
    """
    trimmed, kept = keep_pieces(tokenizer, texts, vocabulary)
    _cut_embeddings(model, kept)
    return trimmed


def _cut_embeddings(model: PreTrainedModel, kept: list[int]) -> None:
    new_id = {old: new for new, old in enumerate(kept)}
    old = cast(torch.nn.Embedding, model.get_input_embeddings())  # type: ignore[operator]
    if kept[-1] >= old.num_embeddings:
        raise ForewarnError("base model: its tokenizer has more pieces than its embeddings; give a consistent folder")
    pad = model.config.pad_token_id
    cut = torch.nn.Embedding(len(kept), old.embedding_dim, padding_idx=None if pad is None else new_id[pad])
    with torch.no_grad():
        cut.weight.copy_(old.weight[torch.tensor(kept)])
    model.set_input_embeddings(cut)  # type: ignore[operator]
    model.config.vocab_size = len(kept)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"):
        token = getattr(model.config, name, None)
        if token is not None:
            setattr(model.config, name, new_id.get(token))
