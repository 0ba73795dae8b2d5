"""The figures: against values worked out by hand, against scikit-learn, and as properties."""

import math

import numpy as np
import pytest
from forewarn.training.evaluation import metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score


def scored_rows(min_size=4):
    """Scores on a coarse grid, so that ties are common, with at least one row of each class."""
    row = st.tuples(st.integers(0, 20).map(lambda x: x / 20), st.booleans())
    return (
        st.lists(row, min_size=min_size, max_size=60)
        .map(lambda rows: (np.array([s for s, _ in rows]), np.array([p for _, p in rows])))
        .filter(lambda pair: pair[1].any() and not pair[1].all())
    )


def test_recall_at_fpr_by_hand():
    negatives = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9]
    positives = [0.05, 0.86, 0.9, 0.95]
    scores, truth = negatives + positives, [False] * 10 + [True] * 4
    # No alarm allowed: only 0.95 is strictly above the highest negative; the tie at 0.9 does not count.
    assert metrics.recall_at_fpr(scores, truth, 0.01) == 0.25
    # One of ten allowed: the threshold is the second highest negative, 0.85.
    assert metrics.threshold_at_fpr(scores, truth, 0.1) == 0.85
    assert metrics.recall_at_fpr(scores, truth, 0.1) == 0.75
    assert metrics.recall_at_fpr(scores, truth, 1.0) == 1.0


def test_allowed_alarms_do_not_suffer_from_floating_point():
    scores = np.arange(100) / 100
    assert (scores > metrics.threshold_at_fpr(scores, np.zeros(100), 0.29)).sum() == 29


@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_a_missing_class_gives_nan_and_no_invented_value(truth):
    assert math.isnan(metrics.recall_at_fpr([0.1, 0.2], truth, 0.01))
    assert math.isnan(metrics.auroc([0.1, 0.2], truth))
    assert math.isnan(metrics.average_precision([0.1, 0.2], truth))
    recalls, area, precision = metrics.ranking_estimates([0.1, 0.2], truth, resamples=10)
    assert [*recalls, area, precision] == [{"value": None, "low": None, "high": None}] * 4


@given(scored_rows())
def test_recall_never_falls_when_more_false_alarms_are_allowed(rows):
    recalls = [metrics.recall_at_fpr(*rows, fpr) for fpr in (0, 0.001, 0.01, 0.1, 0.3, 0.7, 1)]
    assert recalls == sorted(recalls) and recalls[-1] == 1


@given(scored_rows(), st.sampled_from([0, 0.01, 0.1, 0.25, 0.5]))
def test_the_threshold_keeps_its_promise(rows, fpr):
    scores, truth = rows
    alarms = scores[~truth] > metrics.threshold_at_fpr(scores, truth, fpr)
    assert alarms.mean() <= fpr + 1e-9


@given(scored_rows())
def test_perfect_scores_give_one(rows):
    _, truth = rows
    assert metrics.recall_at_fpr(truth * 0.5, truth, 0) == 1
    assert metrics.auroc(truth * 0.5, truth) == metrics.average_precision(truth * 0.5, truth) == 1
    assert metrics.ece(truth.astype(float), truth) == 0


@given(scored_rows())
def test_ranking_figures_depend_on_the_order_alone(rows):
    scores, truth = rows
    stretched = np.exp(3 * scores) - 7
    for figure in (metrics.auroc, metrics.average_precision, lambda s, t: metrics.recall_at_fpr(s, t, 0.1)):
        assert figure(stretched, truth) == pytest.approx(figure(scores, truth))


@settings(max_examples=50)
@given(scored_rows(), st.integers(0, 2**32 - 1))
def test_a_resample_measures_what_scikit_learn_would(rows, seed):
    scores, truth = rows
    drawn = np.random.default_rng(seed).integers(0, len(scores), len(scores))
    s, t = scores[drawn], truth[drawn]
    levels, level_of = np.unique(-scores, return_inverse=True)
    counts = np.bincount((level_of * 2 + truth)[drawn], minlength=2 * len(levels)).reshape(-1, 2)
    figures = metrics._from_counts(counts[:, 1], counts[:, 0], [0.01, 0.3])
    if not t.any() or t.all():
        assert np.isnan(figures).all()
    else:
        expected = [metrics.recall_at_fpr(s, t, 0.01), metrics.recall_at_fpr(s, t, 0.3)]
        assert figures == pytest.approx([*expected, roc_auc_score(t, s), average_precision_score(t, s)])


def test_intervals_hold_the_value_narrow_with_rows_and_repeat_with_the_seed():
    rng = np.random.default_rng(1)

    def estimate(n, seed=0):
        truth = rng.random(n) < 0.4
        scores = truth + rng.normal(size=n)
        return scores, truth, metrics.ranking_estimates(scores, truth, resamples=200, seed=seed)

    _, _, (_, small, _) = estimate(100)
    scores, truth, (recalls, large, precision) = estimate(2500)
    for e in (small, large, precision, *recalls):
        assert e["low"] <= e["value"] <= e["high"]
    assert large["high"] - large["low"] < small["high"] - small["low"]
    again = metrics.ranking_estimates(scores, truth, resamples=200, seed=0)
    assert again == (recalls, large, precision)
    assert metrics.ranking_estimates(scores, truth, resamples=200, seed=5)[1] != large


def test_a_bootstrap_of_a_mean_is_as_wide_as_theory_says():
    values = (np.arange(400) % 4 == 0).astype(float)
    (e,) = metrics.interval(lambda rows: values[rows].mean(keepdims=True), 400, 2000, 0)
    standard_error = math.sqrt(0.25 * 0.75 / 400)
    assert e["value"] == 0.25
    assert (e["high"] - e["low"]) / 2 == pytest.approx(1.96 * standard_error, rel=0.1)


def test_ece_and_reliability_by_hand():
    # Bin of 0.1 holds one scam in four (gap 0.15), that of 0.9 three in four (gap 0.15); 1.0 belongs to the last bin.
    probabilities, truth = [0.1] * 4 + [0.9] * 4, [1, 0, 0, 0, 1, 1, 1, 0]
    assert metrics.ece(probabilities, truth) == pytest.approx(0.15)
    curve = metrics.reliability_curve(probabilities, truth)
    assert [(b["rows"], b["positives"]) for b in curve] == [(4, 0.25), (4, 0.75)]
    assert metrics.reliability_curve([1.0], [1]) == [{"probability": 1.0, "positives": 1.0, "rows": 1}]
    assert math.isnan(metrics.ece([], []))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_leaf_figures_agree_with_scikit_learn(pairs):
    truth, predicted = np.array(pairs).T
    accuracy, macro, by_class = metrics.leaf_scores(truth, predicted, 4)
    present = sorted(set(truth.tolist()))
    assert accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert macro == pytest.approx(f1_score(truth, predicted, labels=present, average="macro", zero_division=0))
    assert by_class[present] == pytest.approx(f1_score(truth, predicted, labels=present, average=None, zero_division=0))
    assert np.isnan(np.delete(by_class, present)).all()


def test_roc_rises_to_one():
    scores, truth = np.arange(50) / 50, np.arange(50) % 3 == 0
    points = metrics.roc_points(scores, truth)
    assert points["recall"] == sorted(points["recall"]) and points["recall"][-1] == 1
    assert points["fpr"][-1] == 1


def test_rows_of_one_group_count_as_one_piece_of_evidence():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.random(40), 10)
    groups = np.repeat(np.arange(40), 10)

    def width(groups):
        (e,) = metrics.interval(lambda rows: values[rows].mean(keepdims=True), 400, 500, 0, groups=groups)
        return e["high"] - e["low"]

    assert width(groups) > 2.5 * width(None)
