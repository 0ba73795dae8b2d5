"""Does a bundle's model give its golden vectors here, on this machine with this runtime?"""

from __future__ import annotations

import json

import numpy as np
from forewarn.inference.bundle import VECTORS, Bundle
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.errors import BundleError

_EXACT = {"verdict", "action", "type"}
LOGIT_TOLERANCE = 0.05  # int8 kernels of other processors round other halves


def check_vectors(bundle: Bundle, classifier: ScamClassifier) -> tuple[int, list[str]]:
    """Score every golden vector.

    Returns:
        How many there are, and what differs, by line: ids and verdict must be equal, logits within `LOGIT_TOLERANCE`.

    Raises:
        BundleError: there are none, or they cannot be read.
    """
    faults = []
    lines = bundle.read(VECTORS).decode("utf-8").rstrip("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            vector = json.loads(line)
            text, ids, logits, verdict = (vector[key] for key in ("text", "ids", "logits", "verdict"))
        except (ValueError, KeyError, TypeError):
            raise BundleError(f"bundle {bundle.path}: {VECTORS} is not golden vectors; export it again") from None
        difference = float(np.abs(classifier.logits([text])[0] - np.asarray(logits)).max())
        given = classifier.score([text])[0].to_dict()
        expected = verdict if isinstance(verdict, dict) else {"verdict": verdict}
        if classifier.ids(text) != ids:
            faults.append(f"line {number}: other ids")
        elif difference > LOGIT_TOLERANCE:
            faults.append(f"line {number}: logits differ by {difference:.3f}")
        elif any(given[key] != expected[key] for key in _EXACT & expected.keys()):
            faults.append(f"line {number}: another verdict")
    return len(lines), faults
