"""The training config: every default visible, unknown keys refused."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from forewarn.inference.errors import ForewarnError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

C = TypeVar("C", bound="Strict")


class Strict(BaseModel):
    """A part of a config: a key that it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


class TokenizerConfig(Strict):
    """How the tokenizer is learned, when no base model brings one."""

    vocabulary: int = Field(48_000, ge=200, description="Unigram pieces")
    text: str | None = Field(
        None, description="folder of public text; default: FOREWARN_TEXT or ../shared/corpora/text"
    )
    bytes_per_language: int = Field(700_000, ge=0, description="UTF-8 bytes of public text a language")
    path: Path | None = Field(
        None, description="an existing tokenizer.json to take instead, trimmed where it has more pieces"
    )
    require_scripts: bool = Field(True, description="refuse a tokenizer without pieces for all scripts")


class ModelConfig(Strict):
    """The shape of the compact encoder (ELECTRA layout: narrow embeddings projected to the hidden width)."""

    layers: int = Field(4, ge=1)
    hidden: int = Field(256, ge=16)
    heads: int = Field(4, ge=1)
    intermediate: int = Field(1024, ge=16)
    embedding: int = Field(128, ge=8)
    dropout: float = Field(0.1, ge=0, lt=1)
    max_length: int = Field(256, ge=8, le=512, description="tokens, with [CLS] and [SEP]")


class NgramConfig(Strict):
    """The linear branch on pieces and pairs of pieces beside the encoder."""

    slots: int = Field(75_000, ge=0, description="places for pairs of pieces, from 21 on; 0 leaves the branch out")
    views: int = Field(3, ge=1, description="obfuscations and fillings of every message to learn from")
    epochs: int = Field(10, ge=1)
    learning_rate: float = Field(0.01, gt=0)


class TrainConfig(Strict):
    """Everything that decides a training run."""

    data: Path = Path("build/data")
    out: Path = Path("runs/default")
    base: str | None = Field(
        "default",
        description="the encoder to fine-tune: default (the repository's own), a folder or a hub name; "
        "null: our own shape, its embeddings from latent semantic analysis",
    )
    seed: int = 7
    tokenizer: TokenizerConfig = Field(default_factory=lambda: TokenizerConfig())  # type: ignore[call-arg]
    model: ModelConfig = Field(default_factory=lambda: ModelConfig())  # type: ignore[call-arg]
    lsa_rows_per_corpus: int = Field(
        5000, ge=0, description="parallel rows a corpus for the latent-semantic start of the embeddings; 0 turns it off"
    )
    epochs: float = Field(5, gt=0)
    batch: int = Field(64, ge=1)
    learning_rate: float = Field(4e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warmup_share: float = Field(0.1, ge=0, lt=1)
    label_smoothing: float = Field(0.02, ge=0, lt=0.5, description="share of the target spread over all leaves")
    balance: float = Field(
        0.5, ge=0, le=1, description="0 samples rows as they come, 1 gives every language+source the same share"
    )
    augment_share: float = Field(0.4, ge=0, le=1, description="share of training views that are obfuscated")
    padded_share: float = Field(
        0.08, ge=0, le=1, description="share of scams and of honest messages that stand beside other honest ones"
    )
    surrounded_share: float = Field(
        0.25,
        ge=0,
        le=1,
        description="share of training views with a greeting, footer, quote or white space around them",
    )
    public_text_rows: int = Field(
        400, ge=0, description="sentences of public text a language, as rows that are no scam; 0 leaves them out"
    )
    public_text_share: float = Field(0.03, ge=0, le=0.5, description="share of the draws that such sentences get")
    teacher: Path | None = Field(
        None, description="a checkpoint folder whose probabilities are learned beside the labels; null: labels alone"
    )
    teacher_share: float = Field(0.5, ge=0, le=1, description="weight of the teacher against the labels")
    rdrop: float = Field(0.0, ge=0, description="weight of R-Drop, which reads every batch twice; 0 turns it off")
    patience: int = Field(4, ge=1, description="evaluations without a better recall before stopping")
    evaluations_per_epoch: int = Field(1, ge=1)
    ngrams: NgramConfig = Field(default_factory=lambda: NgramConfig())  # type: ignore[call-arg]


def load_config(path: Path, kind: type[C]) -> C:
    """Read and check a YAML config of a kind.

    Raises:
        ForewarnError: unreadable, unknown keys, or values out of range; says which.
    """
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return kind.model_validate(data)
    except OSError as error:
        raise ForewarnError(f"config {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ForewarnError(f"config {path}: not YAML{f' (line {mark.line + 1})' if mark else ''}") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'top level'}: {_fault(kind, e)}" for e in error.errors())
        raise ForewarnError(f"config {path}: {faults}") from None


def _fault(kind: type[Strict], error: ErrorDetails) -> str:
    """What is wrong, in words; an unknown key gets the nearest known one."""
    if error["type"] != "extra_forbidden":
        return error["msg"]
    *parts, key = map(str, error["loc"])
    for part in parts:
        kind = cast(type[Strict], kind.model_fields[part].annotation)
    nearest = get_close_matches(key, kind.model_fields, n=1)
    return "no such key" + (f"; did you mean {'.'.join([*parts, *nearest])}?" if nearest else "")
