"""The gate: a changed model (int8, or retrained) must not be worse than its reference where it matters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from forewarn.inference.errors import ForewarnError, GateError
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.rows import Row
from forewarn.training.evaluation.baseline import truths
from forewarn.training.evaluation.metrics import auroc, recall_at_fpr, recall_near_1pct

MAX_AUROC_MOVE = 0.003
MAX_RECALL_MOVE = 0.02  # in a language, around 1 % false alarms
MAX_OVERALL_RECALL_MOVE = 0.005  # over all rows together, at 1 % false alarms
FALSE_ALARM_RATE = 0.01
# With fewer messages a single one moves the recall by more than the gate allows, and 1 % of the negatives is none.
MIN_POSITIVES = 50
MIN_NEGATIVES = 100
MIN_OVERALL = 1000  # scams, and others: with fewer the recall over all rows is shown and not gated


@dataclass(frozen=True)
class LanguageChange:
    """Recall of one language, or of all, before and after; `gated` where enough rows tell.

    Over all rows it is that at 1 % false alarms. In one language one or two honest messages decide that, and it jumps
    by points when nothing else changes; so there it is the mean around 1 % (0.5 to 2).
    """

    language: str
    positives: int
    negatives: int
    before: float
    after: float
    gated: bool

    @property
    def move(self) -> float:
        """Change of the recall, in parts of one."""
        return self.after - self.before


@dataclass(frozen=True)
class GateReport:
    """AUROC and recall of a reference and a changed model on the same rows, over all of them and by language."""

    auroc_before: float
    auroc_after: float
    overall: LanguageChange
    languages: tuple[LanguageChange, ...]

    @property
    def auroc_move(self) -> float:
        """Change of the AUROC."""
        return self.auroc_after - self.auroc_before

    @property
    def worst_recall_move(self) -> float:
        """The largest change of recall, with its sign, among the languages that are gated (0 when there is none)."""
        return max((x.move for x in self.languages if x.gated), key=abs, default=0.0)

    @property
    def failures(self) -> list[str]:
        """What is out of bounds, in words."""
        found = []
        if not abs(self.auroc_move) <= MAX_AUROC_MOVE + 1e-9:
            found.append(f"AUROC {self.auroc_before:.4f} -> {self.auroc_after:.4f} (limit {MAX_AUROC_MOVE})")
        if self.overall.gated and not abs(self.overall.move) <= MAX_OVERALL_RECALL_MOVE + 1e-9:
            found.append(
                f"recall at 1 % false alarms over all rows {100 * self.overall.before:.1f} % -> "
                f"{100 * self.overall.after:.1f} % (limit {100 * MAX_OVERALL_RECALL_MOVE:.1f} points)"
            )
        found += [
            f"recall around 1 % false alarms in {x.language} {100 * x.before:.1f} % -> {100 * x.after:.1f} % "
            f"(limit {100 * MAX_RECALL_MOVE:.0f} points)"
            for x in self.languages
            if x.gated and not abs(x.move) <= MAX_RECALL_MOVE + 1e-9
        ]
        return found

    def require(self, what: str) -> None:
        """Pass silently, or raise.

        Raises:
            GateError: naming every measure that is out of bounds.
        """
        if self.failures:
            raise GateError(f"{what} does not pass the gate: {'; '.join(self.failures)}")


def scam_rows(rows: Sequence[Row], taxonomy: Taxonomy) -> tuple[np.ndarray, np.ndarray]:
    """Which rows are scams, and which count in scam metrics at all (a label that straddles scam and not, does not)."""
    is_scam = truths([row.label for row in rows], taxonomy)[0]
    return is_scam == 1, is_scam >= 0


def compare(rows: Sequence[Row], before: np.ndarray, after: np.ndarray, taxonomy: Taxonomy) -> GateReport:
    """Compare two models' risks (one a row) on the same rows.

    Raises:
        ForewarnError: the rows hold no scams or no honest messages.
    """
    positive, counted = scam_rows(rows, taxonomy)
    if not positive.any() or not (counted & ~positive).any():
        raise ForewarnError("the gate needs scams and honest messages in the validation rows; build the data again")
    languages = np.array([row.language for row in rows])

    def change(
        name: str, here: np.ndarray, scams: int, others: int, recall: Callable[[np.ndarray, np.ndarray], float]
    ) -> LanguageChange | None:
        positives, negatives = int(positive[here].sum()), int((~positive[here]).sum())
        if not positives or not negatives:
            return None
        recalls = [recall(x[here], positive[here]) for x in (before, after)]
        gated = positives >= scams and negatives >= others
        return LanguageChange(name, positives, negatives, recalls[0], recalls[1], gated)

    overall = change(
        "all", counted, MIN_OVERALL, MIN_OVERALL, lambda scores, truth: recall_at_fpr(scores, truth, FALSE_ALARM_RATE)
    )
    assert overall is not None
    each = (
        change(name, counted & (languages == name), MIN_POSITIVES, MIN_NEGATIVES, recall_near_1pct)
        for name in sorted(set(languages[counted].tolist()))
    )
    aurocs = [auroc(x[counted], positive[counted]) for x in (before, after)]
    return GateReport(aurocs[0], aurocs[1], overall, tuple(x for x in each if x))
