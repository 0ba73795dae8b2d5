"""`forewarn probe ENCODER`: the figures by which recipes are compared, in minutes.

Sentence retrieval against English, zero-shot transfer to five languages, a new trick from a few rows, and messages of
data sets that were left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.dataset import read_split
from forewarn.training.encoders import encoder_folder, pretraining_record
from forewarn.training.model import load_base, random_weights
from forewarn.training.pretrain.probe import probe_pairs, retrieval
from forewarn.training.pretrain.transfer import Trial, few_shot, leave_sources_out, zero_shot
from forewarn.training.run_folder import write_json
from forewarn.training.text import text_folder
from tokenizers import Tokenizer
from transformers import PreTrainedModel, set_seed

_DROPOUT = 0.1
_TASKS = ("zero-shot", "few-shot", "sources")


def _say(line: str) -> None:
    print(line, flush=True)


def main(argv: Sequence[str]) -> int:
    """Run `forewarn probe`; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="forewarn probe",
        description="Compare encoders: retrieval, zero-shot transfer, few-shot, sources left out.",
    )
    parser.add_argument("encoder", help="an encoder folder, as forewarn pretrain writes it; default: the shipped one")
    parser.add_argument("--random", action="store_true", help="the same shape and tokenizer, random weights")
    parser.add_argument("--data", type=Path, default=Path("build/data"), help="built data (default: build/data)")
    parser.add_argument("--text", type=Path, help="folder of public text (default: FOREWARN_TEXT)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7], help="one fine-tuning a task each (default: 7)")
    parser.add_argument("--steps", type=int, default=500, help="batches of 64 a fine-tuning (default: 500)")
    parser.add_argument(
        "--tasks", nargs="+", choices=_TASKS, default=list(_TASKS[:2]), help="default: zero-shot and few-shot"
    )
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    args = parser.parse_args(argv)
    encoder = encoder_folder(args.encoder)
    taxonomy = Taxonomy.load()
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    figures: dict[str, object] = {"encoder": args.encoder, "random_weights": args.random, "steps": args.steps}
    record = pretraining_record(str(encoder))
    if record and not args.random:
        figures["pretraining"] = record
    base = load_base(str(encoder), taxonomy, _DROPOUT)
    pairs = probe_pairs(text_folder(str(args.text) if args.text else None))
    if args.random or not pairs:
        _say("retrieval is left out" + ("" if args.random else ": no probe sentences; set FOREWARN_TEXT or --text"))
    else:
        translated = retrieval(base.base_model, tokenizer, pairs)
        figures["retrieval"] = translated
        _say(f"retrieval: mean {np.mean(list(translated.values())):.3f} over {len(translated)} languages")

    def fresh(seed: int) -> PreTrainedModel:
        set_seed(seed)
        model = load_base(str(encoder), taxonomy, _DROPOUT)
        return random_weights(model) if args.random else model

    tokenizer.enable_truncation(min(128, base.config.max_position_embeddings))
    rows = [*read_split(args.data, "train"), *read_split(args.data, "validation")]
    trial = Trial(fresh, tokenizer, taxonomy, tuple(args.seeds), args.steps, log=_say)
    if "zero-shot" in args.tasks:
        found = zero_shot(trial, rows)
        figures["zero_shot"] = found
        for name, words in (("recall_at_1pct", "recall at 1 % false alarms"), ("auroc", "AUROC")):
            means = found[f"mean_{name}"]
            by_seed = ", ".join(f"{mean:.3f}" for mean in means)
            _say(f"zero-shot {words}, mean over languages: {np.mean(means):.3f} (by seed: {by_seed})")
    if "few-shot" in args.tasks:
        figures["few_shot"] = few_shot(trial, rows)
    if "sources" in args.tasks:
        figures["sources"] = leave_sources_out(trial, rows)
    if args.out:
        write_json(args.out, figures)
    return 0
