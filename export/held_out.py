"""What the finished int8 model does on the test rows, on which nothing was chosen: its actions and its calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from forewarn.export.calibrate import allowed_leaves
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.rows import Row
from forewarn.training.evaluation.metrics import certain, ece, interval

_RESAMPLES = 500
_LEAST = 20  # rows of a side behind a share
_LEAST_CALIBRATED = 100  # rows of a language behind an expected calibration error


def held_out(
    probabilities: np.ndarray, rows: Sequence[Row], points: dict[str, dict[str, Any]], taxonomy: Taxonomy
) -> dict[str, Any]:
    """Figures for the model card.

    Args:
        probabilities: calibrated leaf probabilities of the int8 model, (rows, leaves).
        rows: the test rows.
        points: the manifest's operating points.
        taxonomy: the labels.

    Returns:
        {"rows", "actions": {action: {"recall", "false_alarms", "honest": {leaf: share}}}, "languages": [{"language",
        "rows", "ece", and of each action how many of its honest messages}], "calibration": {verdict: {"rows", "ece"}}}.
        A share is {"value", "low", "high", "count", "rows"}, the interval over clusters of near-copies, or None where
        fewer than 20 rows decide it.
    """
    allowed = allowed_leaves([row.label for row in rows], taxonomy)
    groups = np.unique([row.group or f"row {number}" for number, row in enumerate(rows)], return_inverse=True)[1]
    language = np.array([row.language for row in rows])
    truth, known = certain(allowed, taxonomy.indices("scam"))
    risk = probabilities[:, taxonomy.indices("scam")].sum(axis=1)
    honest_leaves = [leaf.name for leaf in taxonomy.leaves if leaf.verdict != "scam"]
    only = {name: allowed[:, taxonomy.names.index(name)] & (allowed.sum(axis=1) == 1) for name in honest_leaves}
    actions: dict[str, Any] = {}
    for action, point in points.items():
        flagged = risk >= point["threshold"]
        actions[action] = {
            "recall": _share(flagged, known & truth, groups),
            "false_alarms": _share(flagged, known & ~truth, groups),
            "honest": {name: _share(flagged, mask, groups) for name, mask in only.items()},
        }
    languages = []
    for name in sorted(set(language.tolist())):
        mine = known & (language == name)
        honest = mine & ~truth
        if honest.sum() < _LEAST:
            continue
        counts = {action: int((risk[honest] >= point["threshold"]).sum()) for action, point in points.items()}
        enough = mine.sum() >= _LEAST_CALIBRATED
        languages.append(
            {
                "language": name,
                "honest": int(honest.sum()),
                "flagged": counts,
                "rows": int(mine.sum()),
                "ece": ece(risk[mine], truth[mine]) if enough else None,
            }
        )
    calibration = {}
    for verdict in taxonomy.verdicts:
        truth, known = certain(allowed, taxonomy.indices(verdict))
        p = probabilities[:, taxonomy.indices(verdict)].sum(axis=1)
        calibration[verdict] = {"rows": int(known.sum()), "ece": ece(p[known], truth[known])}
    return {"rows": len(rows), "actions": actions, "languages": languages, "calibration": calibration}


def on_public_text(
    probabilities: np.ndarray, rows: Sequence[Row], points: dict[str, dict[str, Any]], taxonomy: Taxonomy
) -> dict[str, Any]:
    """How often the model is afraid of sentences that are no messages, and no scams, and were never trained on.

    Args:
        probabilities: as of `held_out`.
        rows: held-out `public_rows`.
        points: the manifest's operating points.
        taxonomy: the labels.

    Returns:
        {"rows", "mean": {action: mean over languages}, "languages": [{"language", "rows", "flagged": {action: share}}]}
        with the languages in the order of how often `warn` is wrong.
    """
    language = np.array([row.language for row in rows])
    risk = probabilities[:, taxonomy.indices("scam")].sum(axis=1)
    found = []
    for name in sorted(set(language.tolist())):
        mine = risk[language == name]
        shares = {action: float((mine >= point["threshold"]).mean()) for action, point in points.items()}
        found.append({"language": name, "rows": len(mine), "flagged": shares})
    mean = {action: float(np.mean([x["flagged"][action] for x in found])) for action in points}
    found.sort(key=lambda x: -x["flagged"]["warn"])
    return {"rows": len(rows), "mean": mean, "languages": found}


def _share(flagged: np.ndarray, mask: np.ndarray, groups: np.ndarray) -> dict[str, Any] | None:
    values = flagged[mask].astype(np.float64)
    if len(values) < _LEAST:
        return None
    estimate = interval(lambda rows: values[rows].mean(keepdims=True), len(values), _RESAMPLES, 0, groups=groups[mask])[
        0
    ]
    return dict(estimate) | {"count": int(values.sum()), "rows": len(values)}
