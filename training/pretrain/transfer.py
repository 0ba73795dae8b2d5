"""Does what is learned carry over: to another language, from a few examples to a new trick, to another hand's messages?

Short fine-tunings of one encoder, alike for every encoder and seed, on the training and validation splits alone, so
that recipes can be chosen by them. Zero-shot: nothing in the tested languages is trained on. Few-shot: none, ten or
twenty rows of the tested leaf are. Sources: nothing of the tested data set is.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.batches import BalancedBatchSampler, MessageDataset, collate, row_weights
from forewarn.training.data.rows import Row
from forewarn.training.evaluation.baseline import truths
from forewarn.training.evaluation.metrics import auroc, recall_at_fpr, recall_near_1pct, threshold_at_fpr
from forewarn.training.finetune import has_fast_bf16, scam_probability
from forewarn.training.model import coarse_loss
from forewarn.training.ngrams import all_logits
from forewarn.training.scripts.corpus import NAME as SCRIPTS
from tokenizers import Tokenizer
from transformers import PreTrainedModel

LANGUAGES = ("zh-Hans", "th", "hi", "ar", "sw")  # five writing systems, one language with little text
LEAF = "tax_rebate"
SHOTS = (0, 10, 20)
SOURCE_ROWS = 100  # scams, and honest messages, that a data set needs to be left out and tested
_BATCH = 64
_LEARNING_RATE = 4e-4


@dataclass(frozen=True)
class Task:
    """One short fine-tuning: rows to learn from, rows to measure on."""

    name: str
    train: list[Row]
    test: list[Row]


@dataclass(frozen=True)
class Trial:
    """How each short fine-tuning of a comparison is made, alike for all of its tasks.

    Attributes:
        fresh: a seed to a classifier that has not been fine-tuned (its head, or all of it, random under that seed).
        tokenizer: truncates to what the model reads.
        taxonomy: the labels.
        seeds: one fine-tuning each.
        steps: batches of 64 a fine-tuning.
        log: told each figure as it is there.
    """

    fresh: Callable[[int], PreTrainedModel]
    tokenizer: Tokenizer
    taxonomy: Taxonomy
    seeds: tuple[int, ...]
    steps: int
    log: Callable[[str], None] = lambda line: None


def zero_shot_task(rows: list[Row], languages: tuple[str, ...] = LANGUAGES) -> Task:
    """Train on all languages but these, in any of their writing systems; test on these.

    Raises:
        ForewarnError: a language has no rows, or there are no others.
    """
    bases = {language.split("-")[0] for language in languages}
    train = [row for row in rows if row.language.split("-")[0] not in bases]
    test = [row for row in rows if row.language in languages]
    if missing := sorted(set(languages) - {row.language for row in test}):
        raise ForewarnError(
            f"probe: the data holds no rows in {', '.join(missing)} to test on; build it with our own scripts"
        )
    if not train:
        raise ForewarnError("probe: the data holds no other language to train on; build it with our own scripts")
    return Task("zero-shot", train, test)


def few_shot_task(rows: list[Row], taxonomy: Taxonomy, shots: int, seed: int = 7) -> Task:
    """Train on `shots` rows of a leaf and everything else; test on a tenth of all groups, and on all else of the leaf.

    Rows that are only known to be some scam stay in its training: a few of them may be that very trick.

    Raises:
        ForewarnError: the data lacks the leaf.
    """
    examples = [row for row in rows if row.label == LEAF]
    if len(examples) < max(SHOTS):
        raise ForewarnError(
            f"probe: the data holds {len(examples)} rows of {LEAF} ({max(SHOTS)} and more are needed); build it with "
            "our own scripts"
        )
    # More shots are the fewer ones and others besides, and what is tested is the same for all.
    drawn = random.Random(seed).sample(examples, max(SHOTS))
    given, near = {id(row) for row in drawn[:shots]}, {row.group for row in drawn}
    held_out = _tenth_of_groups([row for row in rows if row.label != LEAF])
    return Task(
        f"{shots} rows of {LEAF}",
        [row for row in rows if (row.label != LEAF or id(row) in given) and row.group not in held_out],
        [row for row in rows if row.group in held_out or (row.label == LEAF and row.group not in near)],
    )


def sources_to_leave_out(rows: list[Row], taxonomy: Taxonomy) -> list[str]:
    """Names of the public data sets with enough scams and enough honest messages to be tested by themselves, sorted.

    Our own scripts are never left out: most languages have nothing else to learn from.

    Raises:
        ForewarnError: there is none, or no second data set to learn from.
    """
    counts = Counter(
        (row.source, scam) for row, scam in zip(rows, truths([row.label for row in rows], taxonomy)[0], strict=True)
    )
    names = {row.source for row in rows}
    tested = names - {SCRIPTS}
    enough = sorted(name for name in tested if min(counts[name, 0], counts[name, 1]) >= SOURCE_ROWS)
    if not enough or len(names) < 2:
        raise ForewarnError(
            f"probe: no public data set has {SOURCE_ROWS} scams and as many honest messages, with others beside it; "
            "build the data with the public sets"
        )
    return enough


def source_task(rows: list[Row], sources: Sequence[str]) -> Task:
    """Train on the other data sets; test on all rows of these, and on a tenth of the groups of the others."""
    left_out = {row.group for row in rows if row.source in sources}
    held_out = _tenth_of_groups(rows) - left_out
    return Task(
        "without " + ", ".join(sources),
        [row for row in rows if row.group not in held_out and row.group not in left_out],
        [row for row in rows if row.source in sources or row.group in held_out],
    )


def _tenth_of_groups(rows: list[Row]) -> set[str]:
    return {row.group for row in rows if random.Random(row.group).random() < 0.1}


def short_finetune(
    model: PreTrainedModel, tokenizer: Tokenizer, rows: list[Row], steps: int, seed: int, taxonomy: Taxonomy
) -> None:
    """Train a classifier in place for some steps: linear warm-up over a tenth of them, then a cosine to nothing."""
    torch.manual_seed(seed)
    data = MessageDataset(rows, tokenizer, taxonomy, 0.0, seed)
    sampler = BalancedBatchSampler(data, row_weights(rows, taxonomy, 0.5), _BATCH, seed)
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


def read(model: PreTrainedModel, tokenizer: Tokenizer, rows: list[Row], taxonomy: Taxonomy) -> np.ndarray:
    """Logits of rows as they are, (rows, leaves)."""
    with torch.autocast(model.device.type, torch.bfloat16, enabled=has_fast_bf16()):
        return all_logits(model, MessageDataset(rows, tokenizer, taxonomy)).float().numpy()


def zero_shot(trial: Trial, rows: list[Row], languages: tuple[str, ...] = LANGUAGES) -> dict[str, Any]:
    """What carries over to languages of which nothing is trained on, all left out of one fine-tuning a seed.

    Args:
        trial: how to fine-tune.
        rows: training and validation rows.
        languages: what is tested.

    Returns:
        A language -> {"rows": n, and a seed each: "recall_at_1pct", "recall_near_1pct" (the mean at 0.5 to 2 %, which
        jumps less), "auroc", and "leaf_accuracy" (scams whose likeliest scam leaf is theirs) where leaves are known};
        and the mean of the first three over the languages, a seed, as "mean_recall_at_1pct" and so on.
    """
    task = zero_shot_task(rows, languages)
    result = _run(trial, task, languages, lambda row, scam: [row.language])
    for figure in ("recall_at_1pct", "recall_near_1pct", "auroc"):
        columns = zip(*(result[name][figure] for name in languages), strict=True)
        result[f"mean_{figure}"] = [float(np.mean(column)) for column in columns]
    return result


def few_shot(trial: Trial, rows: list[Row]) -> dict[str, Any]:
    """What some rows of a new trick bring, and what they cost elsewhere.

    Returns:
        "N rows of LEAF" -> {"leaf": figures of that leaf against honest rows, "elsewhere": of all other scams}, each
        with "rows" and a seed each "recall_at_1pct", "recall_near_1pct", "auroc", "leaf_accuracy" (scams whose
        likeliest scam leaf is theirs), and "recall" and "false_alarms" at the threshold of 1 % false alarms elsewhere.
    """
    result: dict[str, Any] = {}
    for shots in SHOTS:
        task = few_shot_task(rows, trial.taxonomy, shots)
        result[task.name] = _run(trial, task, ("leaf", "elsewhere"), _sides)
    return result


def leave_sources_out(trial: Trial, rows: list[Row]) -> dict[str, Any]:
    """How much is left on messages of another hand: every second public data set is left out, then the others.

    A model that only learned a corpus' habits falls apart here. The threshold is of other rows, as in use: it is set to
    1 % false alarms on honest rows held out of the data sets that were trained on.

    Returns:
        A data set -> its figures: "rows" and a seed each "recall_at_1pct", "recall_near_1pct", "auroc", "recall" and
        "false_alarms" at that threshold, and "leaf_accuracy" where leaves are known. The same of the rows held out of
        the others, as "fold 1" and "fold 2".
    """
    result: dict[str, Any] = {}
    names = sources_to_leave_out(rows, trial.taxonomy)
    for number, fold in enumerate((names[::2], names[1::2]), start=1):
        if not fold:
            continue

        def side(row: Row, scam: bool, fold: Sequence[str] = fold) -> list[str]:
            return [row.source if row.source in fold else "elsewhere"]

        found = _run(trial, source_task(rows, fold), (*fold, "elsewhere"), side)
        result |= {name: found[name] for name in fold} | {f"fold {number}": found["elsewhere"]}
    return result


def _sides(row: Row, scam: bool) -> list[str]:
    """Which figures of a few-shot task a row is in: honest ones are held against both kinds of scams."""
    if row.label == LEAF:
        return ["leaf"]
    return ["elsewhere"] if scam else ["leaf", "elsewhere"]


def _run(trial: Trial, task: Task, parts: Sequence[str], parts_of: Callable[[Row, bool], list[str]]) -> dict[str, Any]:
    """Fine-tune for a task once a seed; part -> "rows" and a seed each of every figure, over its test rows.

    `parts_of` says which parts a row belongs to, once it is known whether it is a scam.
    """
    is_scam, _, leaf = truths([row.label for row in task.test], trial.taxonomy)
    test = [row for row, scam in zip(task.test, is_scam, strict=True) if scam >= 0]
    truth, leaf = is_scam[is_scam >= 0] == 1, leaf[is_scam >= 0]
    known = truth & (leaf >= 0)
    tricks = np.array(trial.taxonomy.indices("scam"))
    belongs = [parts_of(row, bool(scam)) for row, scam in zip(test, truth, strict=True)]
    masks = {name: np.array([name in names for names in belongs], dtype=bool) for name in parts}
    result: dict[str, Any] = {name: {"rows": int(mask.sum())} for name, mask in masks.items()}
    for seed in trial.seeds:
        model = trial.fresh(seed)
        short_finetune(model, trial.tokenizer, task.train, trial.steps, seed, trial.taxonomy)
        logits = read(model, trial.tokenizer, test, trial.taxonomy)
        risk = scam_probability(logits, trial.taxonomy)
        named = tricks[logits[:, tricks].argmax(axis=1)] == leaf
        elsewhere = masks.get("elsewhere")
        threshold = None if elsewhere is None else threshold_at_fpr(risk[elsewhere], truth[elsewhere], 0.01)
        for name, mask in masks.items():
            figures = _figures(risk[mask], truth[mask], threshold)
            if (mask & known).any():
                figures["leaf_accuracy"] = float(named[mask & known].mean())
            for figure, value in figures.items():
                result[name].setdefault(figure, []).append(value)
            trial.log(f"{task.name}, {name}, seed {seed}: {_in_words(figures)}")
    return result


def _figures(risk: np.ndarray, truth: np.ndarray, threshold: float | None) -> dict[str, float]:
    figures = {
        "recall_at_1pct": float(recall_at_fpr(risk, truth, 0.01)),
        "recall_near_1pct": recall_near_1pct(risk, truth),
        "auroc": float(auroc(risk, truth)),
    }
    if threshold is not None:
        alarm = risk > threshold
        figures |= {"recall": float(alarm[truth].mean()), "false_alarms": float(alarm[~truth].mean())}
    return figures


def _in_words(figures: dict[str, float]) -> str:
    words = (
        f"recall at 1 % {figures['recall_at_1pct']:.3f}, near it {figures['recall_near_1pct']:.3f}, "
        f"AUROC {figures['auroc']:.3f}"
    )
    if "leaf_accuracy" in figures:
        words += f", right leaf {figures['leaf_accuracy']:.3f}"
    if "recall" in figures:
        words += f"; at the others' threshold {figures['recall']:.3f}, false alarms {figures['false_alarms']:.3f}"
    return words
