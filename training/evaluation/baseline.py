"""The yardstick: TF-IDF over character n-grams and logistic regression, trained on the same rows as the model."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import joblib
import numpy as np
import sklearn
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.rows import Row
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

_VERSION = 1  # part of the cache's key: raise it when a setting below changes
_MAX_FEATURES = 300_000


class Baseline:
    """Three linear models over one set of n-grams: scam or not, unwanted or ham, and the leaf.

    Each is trained on the rows whose label decides its question; a coarse row that does not is left out.
    """

    def __init__(self, taxonomy: Taxonomy | None = None) -> None:
        """Prepare an untrained baseline."""
        self._taxonomy = taxonomy or Taxonomy.load()
        self._vectorizer = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, max_features=_MAX_FEATURES, dtype=np.float32
        )
        self._scam = LogisticRegression(C=10.0, solver="liblinear", random_state=0)
        self._unwanted = LogisticRegression(C=10.0, solver="liblinear", random_state=0)
        self._leaf = LogisticRegression(C=10.0, solver="lbfgs", max_iter=100, tol=1e-3)

    def fit(self, rows: Sequence[Row]) -> Baseline:
        """Train on rows; returns itself.

        Raises:
            ForewarnError: the rows lack one side of a question, so there is nothing to learn.
        """
        scam, unwanted, leaf = truths([row.label for row in rows], self._taxonomy)
        questions = (("scam", self._scam, scam), ("unwanted", self._unwanted, unwanted), ("leaf", self._leaf, leaf))
        for name, _, truth in questions:
            if len(np.unique(truth[truth >= 0])) < 2:
                raise ForewarnError(f"baseline: the training rows hold fewer than two answers for {name!r}")
        features = self._vectorizer.fit_transform([row.text for row in rows])
        for _, model, truth in questions:
            with warnings.catch_warnings():
                # The leaf model is stopped after a fixed number of steps, on purpose: later ones move no figure.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(features[truth >= 0], truth[truth >= 0])
        return self

    def answers(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """All three answers at once; counting the n-grams costs more than the models."""
        features = self._vectorizer.transform(texts)
        scam, unwanted = (model.predict_proba(features)[:, 1] for model in (self._scam, self._unwanted))
        return scam.astype(np.float64), unwanted.astype(np.float64), self._leaf.predict(features).astype(np.int64)


def truths(labels: Sequence[str], taxonomy: Taxonomy) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """What each label decides: scam (1) or not (0), unwanted (1) or ham (0), the leaf's position; -1 is undecided."""
    wanted = {"scam": {"scam"}, "unwanted": {"scam", "promotion"}}
    sides = {key: {x.name for x in taxonomy.leaves if x.verdict in verdicts} for key, verdicts in wanted.items()}

    def decide(label: str) -> tuple[int, int, int]:
        allowed = taxonomy.resolve(label)
        scam, unwanted = (1 if allowed <= side else -1 if allowed & side else 0 for side in sides.values())
        return scam, unwanted, taxonomy.names.index(next(iter(allowed))) if len(allowed) == 1 else -1

    known = {label: decide(label) for label in set(labels)}
    table = np.asarray([known[label] for label in labels], dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def fit_or_load(
    rows: Sequence[Row], cache: Path | None = None, log: Callable[[str], None] = lambda line: None
) -> Baseline:
    """A trained baseline; kept in the folder `cache` under the fingerprint of the rows, so that it is trained once.

    The cache is a pickle: keep it in your own build folder and take it from nobody.
    """
    if cache is None:
        return Baseline().fit(rows)
    path = cache / f"baseline-{_fingerprint(rows)}.joblib"
    if path.is_file():
        try:
            loaded = joblib.load(path)
        except Exception as error:  # a damaged pickle can raise anything, and training again always helps
            log(f"{path.name} is unreadable ({type(error).__name__}); training the baseline again")
        else:
            if isinstance(loaded, Baseline):
                return loaded
    log(f"training the baseline on {len(rows)} rows")
    baseline = Baseline().fit(rows)
    part = path.with_suffix(f".{os.getpid()}.part")
    joblib.dump(baseline, part, compress=1)
    os.replace(part, path)
    return baseline


def _fingerprint(rows: Sequence[Row]) -> str:
    digest = hashlib.sha256(f"{_VERSION} {_MAX_FEATURES} {sklearn.__version__}".encode())
    digest.update(repr(Taxonomy.load().to_dict()).encode())
    for row in rows:
        digest.update(f"\0{row.label}\0{row.text}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]
