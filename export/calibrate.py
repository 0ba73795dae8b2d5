"""Calibration of the probabilities, and the risk thresholds that an app acts on, from validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from forewarn.export.gate import scam_rows
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.rows import Row
from forewarn.training.evaluation.metrics import threshold_at_fpr
from scipy.optimize import minimize
from scipy.special import logsumexp


@dataclass(frozen=True)
class Calibration:
    """p = softmax((logits + scam_bias on the scam leaves) / temperature)."""

    temperature: float = 1.0
    scam_bias: float = 0.0

    def log_probabilities(self, logits: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
        """Log probability of each leaf."""
        moved = logits.astype(np.float64)
        moved[:, taxonomy.indices("scam")] += self.scam_bias
        moved /= self.temperature
        return moved - logsumexp(moved, axis=1, keepdims=True)

    def risk(self, logits: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
        """Probability of the verdict scam, one a row."""
        return np.exp(self.log_probabilities(logits, taxonomy))[:, taxonomy.indices("scam")].sum(axis=1)

    def to_dict(self) -> dict[str, float]:
        """The manifest's form."""
        return {"temperature": self.temperature, "scam_bias": self.scam_bias}


def allowed_leaves(labels: Sequence[str], taxonomy: Taxonomy) -> np.ndarray:
    """Boolean (rows, leaves): the leaves that each label allows."""
    masks = {x: np.isin(taxonomy.names, list(taxonomy.resolve(x))) for x in set(labels)}
    return np.array([masks[x] for x in labels])


def coarse_loss(log_probabilities: np.ndarray, allowed: np.ndarray) -> float:
    """Mean of minus the log of the probability that the allowed leaves have together."""
    return float(-logsumexp(np.where(allowed, log_probabilities, -np.inf), axis=1).mean())


def fit_calibration(logits: np.ndarray, labels: Sequence[str], taxonomy: Taxonomy) -> Calibration:
    """The temperature and scam bias that make the labels of the validation rows most likely."""
    allowed = allowed_leaves(labels, taxonomy)

    def loss(parameters: np.ndarray) -> float:
        calibration = Calibration(float(np.exp(parameters[0])), float(parameters[1]))
        return coarse_loss(calibration.log_probabilities(logits, taxonomy), allowed)

    # The bounds keep a tiny or perfectly separated validation set from driving the probabilities to exactly 0 and 1.
    bounds = [(np.log(0.2), np.log(10.0)), (-6.0, 6.0)]
    found = minimize(loss, x0=np.zeros(2), method="Nelder-Mead", bounds=bounds, options={"xatol": 1e-4, "fatol": 1e-7})
    return Calibration(round(float(np.exp(found.x[0])), 6), round(float(found.x[1]), 6))


def operating_points(risk: np.ndarray, rows: Sequence[Row], taxonomy: Taxonomy) -> dict[str, dict[str, float | str]]:
    """Thresholds of `warn` (1 % false alarms) and `block` (0.1 %), in the manifest's form.

    Raises:
        ForewarnError: no row is known not to be a scam.
    """
    positive, counted = scam_rows(rows, taxonomy)
    negatives = risk[counted & ~positive]
    if not len(negatives):
        raise ForewarnError("no honest messages in the validation rows; operating points need them")
    points: dict[str, dict[str, float | str]] = {}
    for name, rate in (("warn", 0.01), ("block", 0.001)):
        # One step above the cut: clients compare with >= and in single precision.
        threshold = min(1.0, (np.floor(threshold_at_fpr(risk[counted], positive[counted], rate) * 1e6) + 1) / 1e6)
        alarms, caught = int((negatives >= threshold).sum()), int((risk[positive] >= threshold).sum())
        points[name] = {
            "threshold": float(threshold),
            "false_alarm_rate": rate,
            "measured_on": f"validation split: {alarms} of {len(negatives)} messages that are no scam, "
            f"{caught} of {int(positive.sum())} scams",
        }
    return points
