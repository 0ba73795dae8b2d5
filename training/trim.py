"""Any encoder as a base: its vocabulary trimmed to the pieces that our texts use, under our explicit normaliser.

Embeddings are most of a multilingual encoder, and most of its pieces are for languages and words that no message here
holds (the idea of Abdaoui et al. 2020, https://aclanthology.org/2020.sustainlp-1.16/).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, cast

import torch
from forewarn.inference.errors import ForewarnError
from forewarn.training.text import chunks
from forewarn.training.tokenizer import new_tokenizer
from tokenizers import Tokenizer
from transformers import PreTrainedModel


def with_explicit_normaliser(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer with the normaliser of the bundle contract in place of its own (see `new_tokenizer`)."""
    state = json.loads(tokenizer.to_str())
    state["normalizer"] = json.loads(new_tokenizer().to_str())["normalizer"]
    return Tokenizer.from_str(json.dumps(state))


def trim(model: PreTrainedModel, tokenizer: Tokenizer, texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Cut embedding rows and pieces down to the `vocabulary` most used in `texts`; returns the new tokenizer.

    Special tokens and the single characters that occur stay in any case, so that an unseen word still has pieces.
    Pieces keep their order, and the model is changed in place: a text of kept pieces has the logits that it had.

    Raises:
        ForewarnError: the tokenizer is neither Unigram nor WordPiece (byte-pair merges cannot be cut one by one).
    """
    state = json.loads(tokenizer.to_str())
    kind = state["model"]["type"]
    if kind not in ("Unigram", "WordPiece"):
        raise ForewarnError(f"base model: a {kind} vocabulary cannot be trimmed; choose one with Unigram or WordPiece")
    counts: Counter[int] = Counter()
    characters: set[str] = set()
    for group in chunks(texts, 1000):
        for encoding in tokenizer.encode_batch(group):
            counts.update(encoding.ids)
            for token in encoding.tokens:
                characters.update(token)
    wanted = {token["id"] for token in state["added_tokens"]}
    wanted |= {
        i for piece, i in tokenizer.get_vocab().items() if piece.removeprefix("##").removeprefix("▁") in characters
    }
    wanted |= {i for piece, i in tokenizer.get_vocab().items() if piece == "▁"}
    for i, _ in counts.most_common():
        if len(wanted) >= vocabulary:
            break
        wanted.add(i)
    kept = sorted(wanted)
    new_id = {old: new for new, old in enumerate(kept)}
    if kind == "Unigram":
        pieces = state["model"]["vocab"]
        # Added tokens may lie beyond the model's own list (XLM-R's <mask>): only what lies inside has a score.
        state["model"]["vocab"] = [pieces[old] for old in kept if old < len(pieces)]
        state["model"]["unk_id"] = new_id[state["model"]["unk_id"]]
    else:
        state["model"]["vocab"] = {p: new_id[i] for p, i in state["model"]["vocab"].items() if i in new_id}
    for token in state["added_tokens"]:
        token["id"] = new_id[token["id"]]
    _renumber(state.get("post_processor"), new_id)
    _cut_embeddings(model, kept, new_id)
    return Tokenizer.from_str(json.dumps(state))


def _renumber(processor: dict[str, Any] | None, new_id: dict[int, int]) -> None:
    """Give the special tokens inside a post-processor their new ids."""
    if not processor:
        return
    if processor["type"] == "Sequence":
        for part in processor["processors"]:
            _renumber(part, new_id)
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [new_id[i] for i in token["ids"]]
    for key in ("sep", "cls"):
        if key in processor:
            processor[key] = [processor[key][0], new_id[processor[key][1]]]


def _cut_embeddings(model: PreTrainedModel, kept: list[int], new_id: dict[int, int]) -> None:
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
