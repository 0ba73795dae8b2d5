"""Our classifier written out for inference: the same logits as transformers' ELECTRA from a shorter graph.

The mask is one subtraction, query, key and value are one product, GELU is spelled in the form that onnxruntime fuses,
and the last layer works on the first token alone, which is all that the head reads.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F
from transformers import ElectraForSequenceClassification

_HIDDEN = -1e4  # added to the scores of padding: its share rounds to nothing, and int8 kernels never see it


def _joined(*parts: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of several linear layers as one."""
    return torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])


def gelu(x: torch.Tensor) -> torch.Tensor:
    """Exact GELU (Hendrycks and Gimpel 2016), the operators in the order that onnxruntime's fusion looks for."""
    return x * (torch.erf(x / math.sqrt(2.0)) + 1.0) * 0.5


class LeanLayer(torch.nn.Module):
    """One transformer layer after BERT; with `first_only` it gives the first token's output, (batch, 1, hidden)."""

    def __init__(self, layer: Any, heads: int, first_only: bool) -> None:
        """Take the weights of a transformers layer."""
        super().__init__()
        attention = layer.attention.self
        self.query_key_value = _joined(attention.query, attention.key, attention.value)
        self.query = _joined(attention.query)
        self.key_value = _joined(attention.key, attention.value)
        self.project, self.norm = layer.attention.output.dense, layer.attention.output.LayerNorm
        self.widen, self.narrow = layer.intermediate.dense, layer.output.dense
        self.last_norm = layer.output.LayerNorm
        self.heads, self.first_only = heads, first_only

    def _apart(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, length, hidden) to (batch, heads, length, hidden / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`x` is (batch, length, hidden); `mask` (batch, 1, 1, length) is added to the scores."""
        width = x.shape[-1]
        if self.first_only:
            query = F.linear(x[:, :1], *self.query)
            key, value = F.linear(x, *self.key_value).split(width, dim=-1)
            x = x[:, :1]
        else:
            query, key, value = F.linear(x, *self.query_key_value).split(width, dim=-1)
        scores = self._apart(query) @ self._apart(key).transpose(2, 3) * (width // self.heads) ** -0.5
        seen = (scores + mask).softmax(dim=-1) @ self._apart(value)
        x = self.norm(self.project(seen.transpose(1, 2).flatten(2)) + x)
        return self.last_norm(self.narrow(gelu(self.widen(x))) + x)


class LeanElectra(torch.nn.Module):
    """`ElectraForSequenceClassification` from ids and mask, (batch, length), to logits, (batch, leaves)."""

    def __init__(self, model: ElectraForSequenceClassification) -> None:
        """Take the weights of `model`."""
        super().__init__()
        electra: Any = model.electra
        embeddings = electra.embeddings
        self.words = embeddings.word_embeddings.weight
        # All tokens are of type 0.
        self.positions = (embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]).detach()
        self.norm = embeddings.LayerNorm
        self.project = getattr(electra, "embeddings_project", torch.nn.Identity())
        layers = electra.encoder.layer
        heads = model.config.num_attention_heads
        last = len(layers) - 1
        self.layers = torch.nn.ModuleList(LeanLayer(layer, heads, i == last) for i, layer in enumerate(layers))
        self.head: Any = model.classifier

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Logits; a row of the mask has at least one 1."""
        x = self.norm(F.embedding(input_ids, self.words) + self.positions[: input_ids.shape[1]])
        x = self.project(x)
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * _HIDDEN
        for layer in self.layers:
            x = layer(x, mask)
        logits: torch.Tensor = self.head.out_proj(gelu(self.head.dense(x[:, 0])))
        return logits


def lean(model: Any) -> torch.nn.Module | None:
    """The short form of a classifier whose layers and head are ELECTRA's with exact GELU; None for any other."""
    if isinstance(model, ElectraForSequenceClassification) and model.config.hidden_act == "gelu":
        return LeanElectra(model)
    return None
