"""`forewarn train CONFIG.yaml`: built data to a checkpoint folder and the record of how it came about."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training import lsa
from forewarn.training.batches import MessageDataset, row_weights
from forewarn.training.config import TrainConfig, load_config
from forewarn.training.data.dataset import build_info, read_split
from forewarn.training.data.rows import Row
from forewarn.training.encoders import encoder_fingerprint, encoder_name, pretraining_record
from forewarn.training.finetune import finetune, validation_metrics
from forewarn.training.model import corrected, lengthen, load_base, new_model, output_layer, save_checkpoint
from forewarn.training.ngram_fit import fit_ngrams
from forewarn.training.ngrams import PieceNgrams, all_logits, blend, load_classifier, save_ngrams
from forewarn.training.public_text import NAME as PUBLIC_TEXT
from forewarn.training.public_text import public_rows
from forewarn.training.run_folder import open_run, write_json
from forewarn.training.text import require_text, text_folder
from forewarn.training.tokenizer import check_scripts, make_tokenizer, tokenizer_texts
from forewarn.training.trim import trim, with_explicit_normaliser
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedModel, set_seed


def base_model(config: TrainConfig, rows: list[Row], taxonomy: Taxonomy) -> tuple[PreTrainedModel, Tokenizer]:
    """The encoder named by `config.base` and its tokenizer, under our normaliser and trimmed to `tokenizer.vocabulary`.

    Raises:
        ForewarnError: it cannot be loaded or trimmed.
    """
    name = encoder_name(config.base)
    assert name is not None
    model = load_base(name, taxonomy, config.model.dropout)
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions and config.model.max_length > positions:
        lengthen(model, config.model.max_length)
    try:
        loaded = AutoTokenizer.from_pretrained(name, use_fast=True).backend_tokenizer
    except (OSError, ValueError, AttributeError) as error:
        raise ForewarnError(
            f"base model {name}: no fast tokenizer ({type(error).__name__}); its folder needs a tokenizer.json"
        ) from None
    tokenizer = with_explicit_normaliser(loaded)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if tokenizer.get_vocab_size() > config.tokenizer.vocabulary:
        tokenizer = trim(
            model,
            tokenizer,
            tokenizer_texts(rows, text_folder(config.tokenizer.text), config.tokenizer.bytes_per_language),
            config.tokenizer.vocabulary,
        )
    if config.tokenizer.require_scripts:
        check_scripts(tokenizer)
    return model, tokenizer


def environment() -> dict[str, Any]:
    """What a person needs to repeat the run: versions and hardware."""
    packages = ("torch", "transformers", "tokenizers", "numpy", "accelerate")
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "cpus": os.cpu_count(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def combine(
    model: PreTrainedModel, ngrams: PieceNgrams, validation: MessageDataset, taxonomy: Taxonomy
) -> dict[str, Any]:
    """Weigh the encoder against its n-gram branch on the validation rows, and scale both in place.

    Returns the two weights, and the validation figures of each alone and of both.
    """
    deep, wide = all_logits(model.cpu(), validation), all_logits(ngrams, validation)
    scale_deep, scale_wide = blend(deep, wide, validation.allowed)
    with torch.no_grad():
        for part, scale in ((output_layer(model), scale_deep), (ngrams, scale_wide)):
            for parameter in part.parameters():
                parameter.mul_(scale)
    figures = {
        name: validation_metrics(logits.numpy(), validation.allowed.numpy(), taxonomy)
        for name, logits in (("encoder", deep), ("ngrams", wide), ("both", scale_deep * deep + scale_wide * wide))
    }
    return {"encoder_weight": scale_deep, "ngrams_weight": scale_wide, "validation": figures}


def require_needed_text(config: TrainConfig, folder: Path, pretrained: bool) -> None:
    """Refuse a config that needs public text where there is none, and name every setting that does.

    Raises:
        ForewarnError: the folder holds no public text.
    """
    needed = {"public_text_rows": config.public_text_rows}
    if not pretrained:
        needed["lsa_rows_per_corpus"] = config.lsa_rows_per_corpus
    without = " and ".join(f"{name}: 0" for name, count in needed.items() if count)
    if without:
        require_text(folder, f"train without: {without} in the config")


def require_teacher(folder: Path, taxonomy: Taxonomy) -> dict[str, Any]:
    """The record of a checkpoint that is to teach.

    Raises:
        ForewarnError: it is no checkpoint folder, or one of other labels.
    """
    record = folder / "forewarn.json"
    if not all((folder / name).is_file() for name in ("forewarn.json", "tokenizer.json", "model.safetensors")):
        raise ForewarnError(f"teacher {folder}: not a checkpoint folder; give one that `forewarn train` wrote")
    known: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    if Taxonomy.from_dict(known["labels"]).names != taxonomy.names:
        raise ForewarnError(f"teacher {folder}: it was trained with other labels; train it again")
    return known


def teacher_probabilities(folder: Path, rows: list[Row], taxonomy: Taxonomy) -> torch.Tensor:
    """What a checkpoint makes of the training rows as they are, (rows, leaves), but for what it is wrong about.

    Views of a row share its target.

    Raises:
        ForewarnError: it is no checkpoint folder, or one of other labels.
    """
    known = require_teacher(folder, taxonomy)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(known["max_length"])
    dataset = MessageDataset(rows, tokenizer, taxonomy)
    probabilities = torch.softmax(all_logits(load_classifier(folder), dataset), dim=-1)
    # Of public text the label knows more than a teacher that may never have seen any.
    doubted = torch.tensor([row.source == PUBLIC_TEXT for row in rows])
    return corrected(probabilities, dataset.allowed, torch.where(doubted, 1.0, 0.5))


def train(config: TrainConfig) -> dict[str, Any]:
    """Run one training; fills `out` (model/, config.yaml, metrics.json, environment.json); gives the metrics."""
    started = time.monotonic()
    taxonomy = Taxonomy.load()
    info = build_info(config.data)
    folder = text_folder(config.tokenizer.text)
    name = encoder_name(config.base)
    # What cannot be trained is refused before the run folder is touched, so that a mended config can use it.
    require_needed_text(config, folder, pretrained=bool(name))
    if config.teacher:
        require_teacher(config.teacher, taxonomy)
    train_rows, validation_rows = read_split(config.data, "train"), read_split(config.data, "validation")
    # A language of which nothing but public text is there would be learned as one that is honest.
    kinds = {(row.language, row.label) for row in train_rows}  # far fewer than rows, and a verdict takes a while
    with_scams = {language for language, label in kinds if taxonomy.verdict_of(label) == "scam"}
    public = public_rows(folder, config.public_text_rows, only=with_scams)
    with_slots = read_split(config.data, "train", keep_slots=True) + public
    set_seed(config.seed)
    if name:
        model, tokenizer = base_model(config, train_rows, taxonomy)
    teacher = encoder_fingerprint(str(config.teacher)) if config.teacher else None
    open_run(config.out, config, info["fingerprint"], encoder_fingerprint(name), teacher)
    if not name:
        tokenizer = make_tokenizer(config.tokenizer, config.out, train_rows, folder)
        model = new_model(config.model, tokenizer.get_vocab_size(), taxonomy)
        if config.lsa_rows_per_corpus:
            lsa.initialise(
                model,
                tokenizer,
                [row.text[:2000] for row in train_rows],
                folder,
                config.lsa_rows_per_corpus,
                config.tokenizer.bytes_per_language,
                config.seed,
            )
    tokenizer.enable_truncation(config.model.max_length)
    datasets = (
        MessageDataset(
            with_slots,
            tokenizer,
            taxonomy,
            config.augment_share,
            config.seed,
            config.padded_share,
            config.surrounded_share,
        ),
        MessageDataset(validation_rows, tokenizer, taxonomy),
    )
    if config.teacher:
        datasets[0].teacher = teacher_probabilities(config.teacher, train_rows + public, taxonomy)
    weights = row_weights(with_slots, taxonomy, config.balance, config.public_text_share)
    metrics = finetune(model, datasets[0], weights, datasets[1], config, taxonomy)
    ngrams = None
    if config.ngrams.slots:
        ngrams = fit_ngrams(datasets[0], weights, config.ngrams, config.seed, config.teacher_share)
        metrics["blend"] = combine(model, ngrams, datasets[1], taxonomy)
    tokenizer.no_truncation()
    extra = {
        "ngrams": ngrams is not None,
        "pretraining": pretraining_record(name),
        "taught": bool(config.teacher),
        "public_text_rows": len(public),
    }
    if ngrams is not None:
        save_ngrams(ngrams, config.out / "model")
    save_checkpoint(model, tokenizer, config.out / "model", taxonomy, config.model.max_length, info, extra)
    parts: list[torch.nn.Module] = [model] if ngrams is None else [model, ngrams]
    metrics |= {
        "seconds": time.monotonic() - started,
        "parameters": sum(p.numel() for part in parts for p in part.parameters()),
        "rows": {"train": len(train_rows), "public_text": len(public), "validation": len(validation_rows)},
        "data_fingerprint": info["fingerprint"],
    }
    write_json(config.out / "metrics.json", metrics)
    write_json(config.out / "environment.json", environment())
    return metrics


def main(argv: Sequence[str]) -> int:
    """Run `forewarn train`; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="forewarn train", description="Train a model; goes on where a killed run stopped."
    )
    parser.add_argument("config", type=Path, help="YAML config; see training/configs/default.yaml for every setting")
    parser.add_argument("--base", help="the encoder to fine-tune (same as `base` in the config)")
    args = parser.parse_args(argv)
    config = load_config(args.config, TrainConfig)
    if args.base:
        config = config.model_copy(update={"base": args.base})
    metrics = train(config)
    found = {name.removeprefix("eval_"): value for name, value in metrics["validation"].items()}
    if "blend" in metrics:
        found = metrics["blend"]["validation"]["both"]
    print(
        f"{config.out}/model: {metrics['parameters'] / 1e6:.1f} M parameters, {metrics['steps']} steps in "
        f"{metrics['seconds'] / 60:.1f} min; validation AUROC {found['auroc']:.4f}, recall at 1 % false alarms "
        f"{found['recall_at_1pct']:.3f}"
    )
    return 0
