"""`forewarn pretrain CONFIG.yaml`: public text to an encoder folder, with the record of how it came about."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training import lsa, text
from forewarn.training.cli_train import environment
from forewarn.training.config import load_config
from forewarn.training.data.dataset import build_info, read_split
from forewarn.training.data.rows import Row
from forewarn.training.encoders import encoder_fingerprint, encoder_folder, pretraining_record
from forewarn.training.model import attention, electra_config, write_tokenizer
from forewarn.training.pretrain.batches import BatchMaker
from forewarn.training.pretrain.config import PretrainConfig
from forewarn.training.pretrain.curves import draw_curves
from forewarn.training.pretrain.loop import pretrain
from forewarn.training.pretrain.probe import probe_pairs, retrieval
from forewarn.training.pretrain.shards import make_shards
from forewarn.training.run_folder import open_run, write_json
from forewarn.training.text import require_text, text_folder
from forewarn.training.tokenizer import make_tokenizer
from transformers import AutoModelForMaskedLM, ElectraConfig, ElectraForMaskedLM, set_seed


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _model(config: PretrainConfig, vocabulary: int) -> ElectraForMaskedLM:
    """The base to go on from, or the config's shape from random weights."""
    if config.base is None:
        shape = electra_config(config.model, vocabulary, Taxonomy.load())
        return cast(ElectraForMaskedLM, AutoModelForMaskedLM.from_config(shape, attn_implementation=attention()))
    try:
        shape = ElectraConfig.from_pretrained(config.base)
        shape.hidden_dropout_prob = shape.attention_probs_dropout_prob = config.model.dropout
        model = ElectraForMaskedLM.from_pretrained(
            config.base, config=shape, dtype=torch.float32, attn_implementation=attention()
        )
    except (OSError, ValueError) as error:
        raise ForewarnError(f"base {config.base}: not an encoder folder ({type(error).__name__})") from None
    return cast(ElectraForMaskedLM, model)


def run(config: PretrainConfig) -> dict[str, object]:
    """One pretraining; fills `out` (model/, config.yaml, metrics.json, log.jsonl); gives the metrics.

    Raises:
        ForewarnError: no text or data, or `out` holds a run with another config.
    """
    folder = text_folder(config.text or config.tokenizer.text)
    require_text(folder, "name one as `text` in the config")
    rows: list[Row] = read_split(config.data, "train") if config.data else []
    if config.base:  # looked for before the run folder is touched
        base = encoder_folder(str(config.base))
        settings = config.tokenizer.model_copy(update={"path": base / "tokenizer.json"})
        config = config.model_copy(update={"tokenizer": settings, "base": base})
    data_fingerprint = build_info(config.data)["fingerprint"] if config.data else None
    open_run(config.out, config, data_fingerprint, encoder_fingerprint(str(config.base)) if config.base else None)
    set_seed(config.seed)
    tokenizer = make_tokenizer(config.tokenizer, config.out, rows, folder)
    model = _model(config, tokenizer.get_vocab_size())
    streams = set(text.languages(folder))
    messages: dict[str, list[str]] = {}
    for row in rows:
        language = row.language.split("-")[0]
        # A regional tag joins the stream of its language, where it has none of its own.
        stream = row.language if row.language in streams or language not in streams else language
        messages.setdefault(stream, []).append(row.text[:2000])
    shards = make_shards(tokenizer, folder, messages, config.out.parent / "shards", _say)
    if config.lsa_rows_per_corpus and not config.base and not (config.out / "state.pt").is_file():
        _say("latent semantic analysis for the embeddings")
        lsa.initialise(
            model,
            tokenizer,
            [row.text[:2000] for row in rows],
            folder,
            config.lsa_rows_per_corpus,
            config.tokenizer.bytes_per_language,
            config.seed,
        )
    maker = BatchMaker(shards, tokenizer, config, model.config.max_position_embeddings)
    metrics = pretrain(model, maker, config, _say)
    found = retrieval(model.electra, tokenizer, probe_pairs(folder))
    metrics |= {
        "parameters": sum(p.numel() for p in model.electra.parameters()),
        "retrieval": found,
        "retrieval_mean": sum(found.values()) / max(1, len(found)),
        "environment": environment(),
    }
    target = config.out / "model"
    model.half().save_pretrained(target)  # type: ignore[no-untyped-call]
    write_tokenizer(tokenizer, target, model.config.max_position_embeddings)
    # A run that goes on from an encoder adds to what that one has seen.
    record: dict[str, Any] = {name: metrics[name] for name in ("tokens", "steps", "seconds")}
    before = pretraining_record(str(config.base)) if config.base else None
    if before:
        record = {name: value + before[name] for name, value in record.items()}
    record |= {"retrieval_mean": metrics["retrieval_mean"], "retrieval_languages": len(found)}
    record |= {"languages": shards.languages, "masked_accuracy": metrics["masked_accuracy"]}
    write_json(target / "pretraining.json", record)
    write_json(config.out / "metrics.json", metrics)
    if config.steps:
        draw_curves(config.out / "log.jsonl", config.out / "curves.png")
    return metrics


def main(argv: Sequence[str]) -> int:
    """Run `forewarn pretrain`; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="forewarn pretrain", description="Pretrain the compact encoder on public text."
    )
    parser.add_argument("config", type=Path, help="YAML config, for example training/configs/pretrain.yaml")
    config = load_config(parser.parse_args(argv).config, PretrainConfig)
    metrics = run(config)
    print(
        f"{config.out}/model: {metrics['tokens']:,} tokens in {metrics['seconds']:,} s; a sentence finds its "
        f"translation among up to 1,000 in {metrics['retrieval_mean']:.0%} of cases (mean over languages)"
    )
    return 0
