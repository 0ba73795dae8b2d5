"""Measures a model and the baseline on test rows: overall, by source, language and leaf, clean and obfuscated."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.rows import Row
from forewarn.training.evaluation import metrics
from forewarn.training.evaluation.baseline import Baseline, fit_or_load, truths
from forewarn.training.evaluation.scorers import Scorer
from numpy.typing import NDArray

FPRS = (0.001, 0.01)
MIN_POSITIVES = 5
MIN_NEGATIVES = 20
OPERATING_FPR = 0.01

Obfuscate = Callable[[str, random.Random], str]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Predictions:
    """What one system says of the test rows."""

    scam: NDArray[np.float64]
    unwanted: NDArray[np.float64]
    leaf: NDArray[np.int64]


def evaluate(
    rows_test: Sequence[Row],
    rows_train: Sequence[Row] | None,
    scorer: Scorer,
    obfuscate: Obfuscate | None,
    seed: int = 0,
    *,
    resamples: int = metrics.RESAMPLES,
    cache: Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """All figures of one evaluation, ready for JSON.

    Args:
        rows_test: the rows to measure on.
        rows_train: the rows to train the baseline on; None leaves the baseline out.
        scorer: the model.
        obfuscate: disguises one text; None leaves the obfuscated copy out.
        seed: of the obfuscation and of the bootstrap.
        resamples: bootstrap resamples behind each interval.
        cache: folder in which to keep the trained baseline.
        log: receives a line for each step.

    Returns:
        {"format", "rows", "seed", "resamples", "minimum", "systems", "conditions": {"clean" | "obfuscated":
        {"model" | "baseline": {"overall", "by_language", "by_source", "by_leaf", "honest_by_language", "threshold",
        "roc", "reliability"}}}}.
        A figure is {"value", "low", "high"}, or None where too few rows decide it.

    Raises:
        ForewarnError: there are no rows, or the model gives something that is not a probability.
    """
    if not rows_test:
        raise ForewarnError("evaluate: the test split holds no rows; run `forewarn data build`")
    taxonomy = Taxonomy.load()
    baseline = None if rows_train is None else fit_or_load(rows_train, cache, log)
    copies = {"clean": [row.text for row in rows_test]}
    if obfuscate is not None:
        copies["obfuscated"] = [
            obfuscate(text, random.Random(f"{seed}:{number}")) for number, text in enumerate(copies["clean"])
        ]
    slicer = _Slicer(rows_test, taxonomy, resamples, seed)
    thresholds: dict[str, float] = {}
    conditions: dict[str, dict[str, Any]] = {}
    for condition, texts in copies.items():
        conditions[condition] = {}
        systems: dict[str, Callable[[], Predictions]] = {"model": partial(predict, scorer, texts, taxonomy)}
        if baseline is not None:
            systems["baseline"] = partial(_predict_baseline, baseline, texts)
        for system, run in systems.items():
            log(f"measuring the {system} on the {condition} test rows")
            predictions = run()
            # The threshold comes from the clean rows: nobody can set it on messages disguised in ways not yet seen.
            if condition == "clean":
                thresholds[system] = slicer.threshold(predictions)
            conditions[condition][system] = slicer.measure(predictions, thresholds[system])
    return {
        "format": 1,
        "rows": len(rows_test),
        "training_rows": None if rows_train is None else len(rows_train),
        "seed": seed,
        "resamples": resamples,
        "minimum": {"positives": MIN_POSITIVES, "negatives": MIN_NEGATIVES},
        "systems": list(conditions["clean"]),
        "conditions": conditions,
    }


def predict(scorer: Scorer, texts: Sequence[str], taxonomy: Taxonomy) -> Predictions:
    """Verdict probabilities and leaf of a model.

    The leaf is the best one under the most probable verdict, as users see it.

    Raises:
        ForewarnError: the model gives another shape, or values that are not finite.
    """
    p = np.asarray(scorer.probabilities(texts), dtype=np.float64)
    if p.shape != (len(texts), len(taxonomy.names)):
        raise ForewarnError(f"evaluate: the model gave shape {p.shape}, not ({len(texts)}, {len(taxonomy.names)})")
    if not np.isfinite(p).all():
        raise ForewarnError("evaluate: the model gives values that are not finite; it did not train, train it again")
    by_verdict = np.stack([p[:, taxonomy.indices(verdict)].sum(axis=1) for verdict in taxonomy.verdicts], axis=1)
    verdict_of_leaf = np.asarray([taxonomy.verdicts.index(leaf.verdict) for leaf in taxonomy.leaves])
    inside = verdict_of_leaf[None, :] == by_verdict.argmax(axis=1)[:, None]
    scam, promotion = (by_verdict[:, taxonomy.verdicts.index(name)] for name in ("scam", "promotion"))
    return Predictions(scam, scam + promotion, np.where(inside, p, -1.0).argmax(axis=1))


def _predict_baseline(baseline: Baseline, texts: Sequence[str]) -> Predictions:
    return Predictions(*baseline.answers(texts))


class _Slicer:
    """The truth of the test rows, and the figures of a system on any slice of them."""

    def __init__(self, rows: Sequence[Row], taxonomy: Taxonomy, resamples: int, seed: int) -> None:
        self._taxonomy = taxonomy
        self._scam, self._unwanted, self._leaf = truths([row.label for row in rows], taxonomy)
        self._columns = {
            "by_language": np.asarray([row.language for row in rows]),
            "by_source": np.asarray([row.source for row in rows]),
        }
        # Rows without a group stand for themselves.
        names = [row.group or f"row {number}" for number, row in enumerate(rows)]
        self._groups = np.unique(names, return_inverse=True)[1]
        self._resamples, self._seed = resamples, seed

    def threshold(self, predictions: Predictions) -> float:
        """The scam threshold for the operating false alarm rate over all rows; NaN where there are no negatives."""
        known = self._scam >= 0
        return metrics.threshold_at_fpr(predictions.scam[known], self._scam[known] == 1, OPERATING_FPR)

    def measure(self, predictions: Predictions, threshold: float) -> dict[str, Any]:
        """All figures of one system on one copy of the rows."""
        everything = np.ones(len(self._scam), dtype=bool)
        known = self._scam >= 0
        scores, positive = predictions.scam[known], self._scam[known] == 1
        report: dict[str, Any] = {"overall": self._slice(everything, predictions, threshold)}
        for name, column in self._columns.items():
            report[name] = {
                value: self._slice(column == value, predictions, threshold) for value in sorted(set(column.tolist()))
            }
        report["by_leaf"] = self._leaves(predictions, threshold)
        report["honest_by_language"] = self._honest(predictions, threshold)
        report["threshold"] = threshold if np.isfinite(threshold) else None
        report["roc"] = metrics.roc_points(scores, positive)
        report["reliability"] = metrics.reliability_curve(scores, positive)
        return report

    def _slice(self, mask: Mask, predictions: Predictions, threshold: float) -> dict[str, Any]:
        scam = self._ranked(mask, self._scam, predictions.scam)
        known = mask & (self._scam >= 0)
        scam["ece"] = None
        if _enough(scam):
            scam["ece"] = round(metrics.ece(predictions.scam[known], self._scam[known] == 1), 6)
        flagged = predictions.scam > threshold
        # At the one threshold of all rows a slice needs only positives for recall, only negatives for alarms.
        scam["at_overall_threshold"] = {
            "recall": self._share(flagged, mask & (self._scam == 1), MIN_POSITIVES, threshold),
            "false_alarm_rate": self._share(flagged, mask & (self._scam == 0), MIN_NEGATIVES, threshold),
        }
        return {
            "rows": int(mask.sum()),
            "scam": scam,
            "unwanted": self._ranked(mask, self._unwanted, predictions.unwanted),
            "leaf": self._leaf_figures(mask, predictions),
        }

    def _ranked(self, mask: Mask, truth: NDArray[np.int64], scores: NDArray[np.float64]) -> dict[str, Any]:
        known = mask & (truth >= 0)
        positive = truth[known] == 1
        figures: dict[str, Any] = {"positives": int(positive.sum()), "negatives": int((~positive).sum())}
        keys = [f"{fpr:g}" for fpr in FPRS]
        if not _enough(figures):
            return figures | {"recall_at_fpr": dict.fromkeys(keys), "auroc": None, "average_precision": None}
        recalls, area, precision = metrics.ranking_estimates(
            scores[known], positive, FPRS, self._resamples, self._seed, self._groups[known]
        )
        return figures | {
            "recall_at_fpr": dict(zip(keys, recalls, strict=True)),
            "auroc": area,
            "average_precision": precision,
        }

    def _leaf_figures(self, mask: Mask, predictions: Predictions) -> dict[str, Any]:
        known = mask & (self._leaf >= 0)
        truth, predicted = self._leaf[known], predictions.leaf[known]
        classes = len(self._taxonomy.names)
        # As many rows as a figure with two sides needs at least.
        if len(truth) < MIN_POSITIVES + MIN_NEGATIVES:
            return {"rows": len(truth), "accuracy": None, "macro_f1": None}
        accuracy, f1 = metrics.interval(
            lambda rows: np.asarray(metrics.leaf_scores(truth[rows], predicted[rows], classes)[:2]),
            len(truth),
            self._resamples,
            self._seed,
            groups=self._groups[known],
        )
        return {"rows": len(truth), "accuracy": accuracy, "macro_f1": f1}

    def _leaves(self, predictions: Predictions, threshold: float) -> dict[str, Any]:
        known = self._leaf >= 0
        truth, predicted = self._leaf[known], predictions.leaf[known]
        flagged = predictions.scam > threshold
        classes = len(self._taxonomy.names)
        f1 = metrics.interval(
            lambda rows: metrics.leaf_scores(truth[rows], predicted[rows], classes)[2],
            len(truth),
            self._resamples,
            self._seed,
            groups=self._groups[known],
        )
        report: dict[str, Any] = {}
        for place, leaf in enumerate(self._taxonomy.leaves):
            mine = truth == place
            positives, negatives = int(mine.sum()), int((~mine).sum())
            is_scam = leaf.verdict == "scam"
            least = MIN_POSITIVES if is_scam else MIN_NEGATIVES
            share = self._share(flagged, self._leaf == place, least, threshold)
            report[leaf.name] = {
                "verdict": leaf.verdict,
                "positives": positives,
                "negatives": negatives,
                "recall": share if is_scam else None,
                "false_alarm_rate": None if is_scam else share,
                "f1": f1[place] if positives >= MIN_POSITIVES and negatives >= MIN_NEGATIVES else None,
            }
        return report

    def _honest(self, predictions: Predictions, threshold: float) -> dict[str, dict[str, dict[str, int]]]:
        """Language -> honest leaf -> how many of its rows are flagged: counts, since most cells hold few rows."""
        flagged = predictions.scam > threshold
        report: dict[str, dict[str, dict[str, int]]] = {}
        for language in sorted(set(self._columns["by_language"].tolist())):
            mine = self._columns["by_language"] == language
            cells = {}
            for place, leaf in enumerate(self._taxonomy.leaves):
                rows = mine & (self._leaf == place)
                if leaf.verdict != "scam" and rows.any():
                    cells[leaf.name] = {"rows": int(rows.sum()), "flagged": int((flagged & rows).sum())}
            if cells:
                report[language] = cells
        return report

    def _share(self, flagged: Mask, mask: Mask, least: int, threshold: float) -> metrics.Estimate | None:
        """The share of flagged rows among those of `mask`."""
        values = flagged[mask].astype(np.float64)
        if len(values) < least or np.isnan(threshold):
            return None
        return metrics.interval(
            lambda rows: values[rows].mean(keepdims=True),
            len(values),
            self._resamples,
            self._seed,
            groups=self._groups[mask],
        )[0]


def _enough(figures: dict[str, Any]) -> bool:
    return figures["positives"] >= MIN_POSITIVES and figures["negatives"] >= MIN_NEGATIVES
