"""Does what is learned in some languages carry over to another, and from ten examples to a new trick?

Short fine-tunings of one encoder, alike for every encoder and seed, on the training and validation splits alone, so
that recipes can be chosen by them. Zero-shot: nothing in the tested language is trained on. Few-shot: ten rows of the
tested leaf are.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.batches import BalancedBatchSampler, MessageDataset, collate, row_weights
from forewarn.training.data.rows import Row
from forewarn.training.evaluation.baseline import truths
from forewarn.training.evaluation.metrics import auroc, recall_at_fpr
from forewarn.training.finetune import has_fast_bf16, scam_probability
from forewarn.training.model import coarse_loss
from forewarn.training.ngrams import all_logits
from tokenizers import Tokenizer
from transformers import PreTrainedModel

LANGUAGES = ("zh-Hans", "th", "hi", "ar", "sw")  # five writing systems, one language with little text
LEAF = "tax_rebate"
SHOTS = 10
_BATCH = 64
_LEARNING_RATE = 4e-4


@dataclass(frozen=True)
class Task:
    """One short fine-tuning: rows to learn from, rows to measure on."""

    name: str
    train: list[Row]
    test: list[Row]


def tasks(rows: list[Row], taxonomy: Taxonomy, languages: tuple[str, ...] = LANGUAGES, seed: int = 7) -> list[Task]:
    """Zero-shot tasks, a language each, and a few-shot one.

    The few-shot test is the leaf's other rows against a tenth of the honest groups, which are not trained on. Rows that
    are only known to be some scam stay in its training: a few of them may be that very trick.

    Raises:
        ForewarnError: the data lacks the leaf or a language.
    """
    made = []
    for language in languages:
        base = language.split("-")[0]
        made.append(
            Task(
                language,
                [row for row in rows if row.language.split("-")[0] != base],
                [row for row in rows if row.language == language],
            )
        )
    examples = [row for row in rows if row.label == LEAF]
    if len(examples) < SHOTS or any(not task.train or not task.test for task in made):
        empty = [task.name for task in made if not task.train or not task.test]
        raise ForewarnError(
            f"probe: the data holds {len(examples)} rows of {LEAF} ({SHOTS} and more are needed)"
            + (f" and nothing to test {', '.join(empty)} on" if empty else "")
            + "; build it with our own scripts"
        )
    chosen = random.Random(seed).sample(examples, SHOTS)
    shots, near = {id(row) for row in chosen}, {row.group for row in chosen}
    is_scam = truths([row.label for row in rows], taxonomy)[0]
    honest = {row.group for row, scam in zip(rows, is_scam, strict=True) if scam == 0}
    honest_test = {group for group in honest if random.Random(group).random() < 0.1}
    made.append(
        Task(
            f"ten rows of {LEAF}",
            [row for row in rows if (row.label != LEAF or id(row) in shots) and row.group not in honest_test],
            [row for row in rows if (row.label == LEAF and row.group not in near) or row.group in honest_test],
        )
    )
    return made


def short_finetune(
    model: PreTrainedModel, tokenizer: Tokenizer, rows: list[Row], steps: int, seed: int, taxonomy: Taxonomy
) -> None:
    """Train a classifier in place for some steps: linear warm-up over a tenth of them, then a cosine to nothing."""
    torch.manual_seed(seed)
    data = MessageDataset(rows, tokenizer, taxonomy, 0.0, seed)
    sampler = BalancedBatchSampler(data, row_weights(rows, 0.5), _BATCH, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()  # type: ignore[arg-type]
    step = epoch = 0
    while step < steps:
        sampler.set_epoch(epoch)
        for chosen in sampler:
            warmup = max(1, steps // 10)
            share = (step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * step / steps))
            for group in optimizer.param_groups:
                group["lr"] = _LEARNING_RATE * share
            batch = collate([data[i] for i in chosen])
            labels = batch.pop("labels").to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16()):
                logits = model(**{name: tensor.to(device) for name, tensor in batch.items()}).logits
            coarse_loss(logits, labels).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            if step >= steps:
                break
        epoch += 1
    model.eval()


def scores(model: PreTrainedModel, tokenizer: Tokenizer, rows: list[Row], taxonomy: Taxonomy) -> np.ndarray:
    """Probability of scam, (rows,)."""
    with torch.autocast(model.device.type, torch.bfloat16, enabled=has_fast_bf16()):
        logits = all_logits(model, MessageDataset(rows, tokenizer, taxonomy))
    return scam_probability(logits.numpy(), taxonomy)


def transfer(
    fresh: Callable[[int], PreTrainedModel],
    tokenizer: Tokenizer,
    rows: list[Row],
    taxonomy: Taxonomy,
    seeds: tuple[int, ...],
    steps: int,
    languages: tuple[str, ...] = LANGUAGES,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Run every task with every seed.

    Args:
        fresh: a seed to a classifier that has not been fine-tuned (its head, or all of it, random under that seed).
        tokenizer: truncates to what the model reads.
        rows: training and validation rows.
        taxonomy: the labels.
        seeds: one fine-tuning a task each.
        steps: batches of 64 a fine-tuning.
        languages: tested without being trained on.
        log: told each figure as it is there.

    Returns:
        Task -> {"recall_at_1pct": [a seed], "auroc": [a seed], "rows": n}, and "mean_recall_at_1pct" over the
        zero-shot tasks, a seed.
    """
    result: dict[str, Any] = {}
    for task in tasks(rows, taxonomy, languages):
        is_scam = truths([row.label for row in task.test], taxonomy)[0]
        test = [row for row, scam in zip(task.test, is_scam, strict=True) if scam >= 0]
        truth = is_scam[is_scam >= 0] == 1
        found: dict[str, Any] = {"recall_at_1pct": [], "auroc": [], "rows": len(test)}
        for seed in seeds:
            model = fresh(seed)
            short_finetune(model, tokenizer, task.train, steps, seed, taxonomy)
            risk = scores(model, tokenizer, test, taxonomy)
            found["recall_at_1pct"].append(float(recall_at_fpr(risk, truth, 0.01)))
            found["auroc"].append(float(auroc(risk, truth)))
        log(f"{task.name}: recall at 1 % {np.mean(found['recall_at_1pct']):.3f}, AUROC {np.mean(found['auroc']):.3f}")
        result[task.name] = found
    zero_shot = [result[language]["recall_at_1pct"] for language in languages]
    result["mean_recall_at_1pct"] = [float(np.mean(column)) for column in zip(*zero_shot, strict=True)]
    return result
