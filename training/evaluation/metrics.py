"""Figures for a classifier that must not cry wolf: recall at a fixed false alarm rate, ranking, calibration, leaves.

Every function takes plain arrays. Where a figure is not defined (no positives, no negatives) it is NaN here; `interval`
and the callers turn that into None, so that no report ever shows an invented value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Estimate = dict[str, float | None]

RESAMPLES = 500


def threshold_at_fpr(scores: ArrayLike, positive: ArrayLike, fpr: float) -> float:
    """The score that a message must strictly exceed so that at most `fpr` of the negatives do.

    With n negatives, k = floor(fpr * n) may raise the alarm, and the threshold is the (k+1)-th highest negative score.
    With fewer than 1 / fpr negatives k is 0: the figure is then recall without any false alarm, which is stricter than
    asked, never looser. Ties at the threshold stay below it, for the same reason. NaN without negatives.
    """
    negatives = np.asarray(scores, dtype=np.float64)[~np.asarray(positive, dtype=bool)]
    if not len(negatives):
        return math.nan
    allowed = _allowed(fpr, len(negatives))
    if allowed >= len(negatives):
        return -math.inf
    return float(-np.partition(-negatives, allowed)[allowed])


def recall_at_fpr(scores: ArrayLike, positive: ArrayLike, fpr: float) -> float:
    """Share of positives strictly above `threshold_at_fpr`; NaN without positives or without negatives."""
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    threshold = threshold_at_fpr(values, truth, fpr)
    if math.isnan(threshold) or not truth.any():
        return math.nan
    return float((values[truth] > threshold).mean())


def certain(allowed: NDArray[np.bool_], leaves: Sequence[int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows are certainly of some leaves, and which are certainly of them or certainly not.

    Args:
        allowed: the leaves that each row's label allows, (rows, leaves).
        leaves: positions, as of `Taxonomy.indices`.
    """
    inside = np.zeros(allowed.shape[1], dtype=bool)
    inside[list(leaves)] = True
    yes = np.asarray(~(allowed & ~inside).any(axis=1))
    return yes, np.asarray(yes | ~(allowed & inside).any(axis=1))


_NEAR_1PCT = (0.005, 0.007, 0.01, 0.014, 0.02)


def recall_near_1pct(scores: ArrayLike, positive: ArrayLike) -> float:
    """Mean recall at false-alarm rates around 1 % (0.5 to 2); NaN without positives or without negatives.

    At exactly 1 % a handful of honest rows decides, and the figure jumps by points between equally good models.
    """
    return float(np.mean([recall_at_fpr(scores, positive, rate) for rate in _NEAR_1PCT]))


def auroc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC curve; NaN where one of the classes is missing or a score is not a number."""
    truth = np.asarray(positive, dtype=bool)
    if np.isnan(scores).any():
        return math.nan
    return float(roc_auc_score(truth, np.asarray(scores))) if truth.any() and not truth.all() else math.nan


def average_precision(scores: ArrayLike, positive: ArrayLike) -> float:
    """Average precision; NaN where one of the classes is missing."""
    truth = np.asarray(positive, dtype=bool)
    return float(average_precision_score(truth, np.asarray(scores))) if truth.any() and not truth.all() else math.nan


def ranking_estimates(
    scores: ArrayLike,
    positive: ArrayLike,
    fprs: Sequence[float] = (0.001, 0.01),
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: IntArray | None = None,
) -> tuple[list[Estimate], Estimate, Estimate]:
    """Recall at each false alarm rate, AUROC and average precision, each with its bootstrap interval.

    The threshold is taken anew in every resample, so the interval holds its uncertainty too.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    # Ranked once: a resample then only counts rows per (score level, class), instead of sorting again.
    levels, level_of = np.unique(-values, return_inverse=True)
    cell = level_of * 2 + truth

    def measure(rows: IntArray) -> FloatArray:
        counts = np.bincount(cell[rows], minlength=2 * len(levels)).reshape(-1, 2)
        return _from_counts(counts[:, 1], counts[:, 0], fprs)

    point = [recall_at_fpr(values, truth, fpr) for fpr in fprs] + [
        auroc(values, truth),
        average_precision(values, truth),
    ]
    estimates = interval(measure, len(values), resamples, seed, np.asarray(point), groups)
    return estimates[: len(fprs)], estimates[-2], estimates[-1]


def interval(
    measure: Callable[[IntArray], FloatArray],
    n: int,
    resamples: int,
    seed: int,
    point: FloatArray | None = None,
    groups: IntArray | None = None,
) -> list[Estimate]:
    """95 % percentile bootstrap intervals, resampling rows, or whole groups of rows.

    Near-duplicates are no independent evidence: a cluster of them is drawn or left out as one (Field and Welsh 2007).

    Args:
        measure: gives the figures for an array of row numbers; NaN where one is not defined for them.
        n: number of rows.
        resamples: how many times to resample; 0 gives no interval.
        seed: of the resampling.
        point: the figures over all rows, where they were computed another way.
        groups: the group of each row, numbered; None takes each row for itself.

    Returns:
        One {"value", "low", "high"} for each figure, with None for what is not defined.
    """
    value = measure(np.arange(n)) if point is None else point
    low = high = np.full(len(value), math.nan)
    if resamples and n:
        rng = np.random.default_rng(seed)
        _, group_of = np.unique(np.arange(n) if groups is None else groups, return_inverse=True)
        count = int(group_of.max()) + 1
        times = (np.bincount(rng.integers(0, count, count), minlength=count)[group_of] for _ in range(resamples))
        drawn = np.stack([measure(np.repeat(np.arange(n), each)) for each in times])
        low, high = low.copy(), high.copy()
        for column in range(len(value)):
            defined = drawn[~np.isnan(drawn[:, column]), column]
            if len(defined):
                low[column], high[column] = np.percentile(defined, [2.5, 97.5])
    return [{"value": _json(v), "low": _json(a), "high": _json(b)} for v, a, b in zip(value, low, high, strict=True)]


def reliability_curve(probabilities: ArrayLike, positive: ArrayLike, bins: int = 15) -> list[dict[str, float]]:
    """Mean probability and share of positives in equal-width bins; empty bins are left out."""
    values, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(positive, dtype=np.float64)
    place = np.clip((values * bins).astype(int), 0, bins - 1)
    return [
        {
            "probability": float(values[place == b].mean()),
            "positives": float(truth[place == b].mean()),
            "rows": int((place == b).sum()),
        }
        for b in np.unique(place).tolist()
    ]


def ece(probabilities: ArrayLike, positive: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error: the gap of `reliability_curve`, weighted by rows; NaN without rows."""
    curve = reliability_curve(probabilities, positive, bins)
    rows = sum(b["rows"] for b in curve)
    return sum(abs(b["probability"] - b["positives"]) * b["rows"] for b in curve) / rows if rows else math.nan


def roc_points(scores: ArrayLike, positive: ArrayLike, points: int = 200) -> dict[str, list[float]]:
    """Recall at false alarm rates evenly spaced in the logarithm, from one alarm in all negatives up to 1."""
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    if not truth.any() or truth.all():
        return {"fpr": [], "recall": []}
    rates = np.geomspace(1 / (~truth).sum(), 1, points)
    levels, level_of = np.unique(-values, return_inverse=True)
    counts = np.bincount(level_of * 2 + truth, minlength=2 * len(levels)).reshape(-1, 2)
    recall = _from_counts(counts[:, 1], counts[:, 0], rates.tolist())[:points]
    return {"fpr": [round(float(x), 7) for x in rates], "recall": [round(float(x), 6) for x in recall]}


def leaf_scores(truth: IntArray, predicted: IntArray, classes: int) -> tuple[float, float, FloatArray]:
    """Accuracy, macro F1 and the F1 of each class, over rows whose leaf is known.

    The macro average runs over the classes that occur in `truth`; F1 of a class that does not is NaN.
    """
    if not len(truth):
        return math.nan, math.nan, np.full(classes, math.nan)
    matrix = np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    support = matrix.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(support > 0, 2 * np.diag(matrix) / (support + matrix.sum(axis=0)), math.nan)
    return float(np.trace(matrix) / len(truth)), float(f1[support > 0].mean()), f1


def _allowed(fpr: float, negatives: int) -> int:
    # The small addition keeps 0.29 * 100 = 28.999999999999996 from losing an alarm.
    return math.floor(fpr * negatives + 1e-9)


def _from_counts(positives: IntArray, negatives: IntArray, fprs: Sequence[float]) -> FloatArray:
    """Recalls, AUROC and average precision from the counts at each score level, highest score first."""
    caught, alarms = np.cumsum(positives), np.cumsum(negatives)
    n_pos, n_neg = int(caught[-1]), int(alarms[-1])
    if not n_pos or not n_neg:
        return np.full(len(fprs) + 2, math.nan)
    figures = []
    for fpr in fprs:
        above = int(np.searchsorted(alarms, _allowed(fpr, n_neg), side="right"))
        figures.append(caught[above - 1] / n_pos if above else 0.0)
    figures.append(float((negatives * (caught - positives / 2)).sum()) / (n_pos * n_neg))
    seen = caught + alarms
    precision = np.divide(caught, seen, out=np.zeros(len(seen)), where=seen > 0)
    figures.append(float((positives * precision).sum()) / n_pos)
    return np.asarray(figures)


def _json(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)
