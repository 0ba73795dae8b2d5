"""The pretraining config: every default visible, unknown keys refused."""

from __future__ import annotations

from pathlib import Path

from forewarn.training.config import ModelConfig, Strict, TokenizerConfig
from pydantic import Field


class EncoderConfig(ModelConfig):
    """The encoder's shape; a short pretraining underfits, so nothing is dropped out, and most sentences are short."""

    dropout: float = Field(0.0, ge=0, lt=1)
    max_length: int = Field(128, ge=8, le=512, description="tokens of a block")


class PretrainConfig(Strict):
    """Everything that decides a pretraining run."""

    out: Path = Path("runs/encoder")
    text: Path | None = Field(
        None, description="folder of public text; default: FOREWARN_TEXT or ../shared/corpora/text"
    )
    data: Path | None = Field(Path("build/data"), description="built data whose training texts join, without labels")
    base: Path | None = Field(
        None, description="an encoder folder to go on from, with its tokenizer and shape; null: from the start"
    )
    seed: int = 7
    tokenizer: TokenizerConfig = Field(default_factory=lambda: TokenizerConfig())  # type: ignore[call-arg]
    model: EncoderConfig = Field(default_factory=lambda: EncoderConfig())  # type: ignore[call-arg]
    lsa_rows_per_corpus: int = Field(5000, ge=0, description="parallel rows for the start of the embeddings; 0: random")
    steps: int = Field(6000, ge=0, description="0 writes the start as it is")
    accumulate: int = Field(1, ge=1, description="batches a step, their gradients averaged")
    learning_rate: float = Field(7e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warmup_share: float = Field(0.05, ge=0, lt=1)
    blocks: int = Field(16, ge=1, description="blocks of max_length tokens a batch")
    translation_share: float = Field(0.25, ge=0, le=1, description="share of blocks that hold a translation pair (TLM)")
    pairs: int = Field(256, ge=0, description="translation pairs a batch for the contrastive loss; 0 turns it off")
    contrastive_weight: float = Field(1.0, ge=0)
    temperature: float = Field(0.05, gt=0)
    replaced_weight: float = Field(
        0.0, ge=0, description="weight of replaced-token detection (ELECTRA); 0: the encoder predicts hidden pieces"
    )
    mask_share: float = Field(0.15, gt=0, lt=1)
    language_power: float = Field(0.5, ge=0, le=1)
    evaluate_every: int = Field(250, ge=1)
