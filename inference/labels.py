"""The label taxonomy: 21 leaves under three verdicts, and the coarse labels that public data sets use.

Training, export, inference and the bundle all read `labels.json` through this module: there is no second list.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

from forewarn.inference.errors import ForewarnError


@dataclass(frozen=True)
class Leaf:
    """One class of the softmax: its name, the verdict that it counts towards, and the human levers it pulls."""

    name: str
    verdict: str
    levers: tuple[str, ...]
    about: str


@dataclass(frozen=True)
class Taxonomy:
    """Leaves in the order of the model's logits, and the coarse labels with the verdicts that each allows."""

    verdicts: tuple[str, ...]
    leaves: tuple[Leaf, ...]
    coarse: dict[str, tuple[str, ...]]

    @classmethod
    def load(cls) -> Taxonomy:
        """Read the taxonomy that comes with this package."""
        return cls.from_dict(json.loads((files("forewarn.inference") / "labels.json").read_text(encoding="utf-8")))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Taxonomy:
        """Build from the content of `labels.json` (also stored under `labels` in a bundle's manifest).

        Raises:
            ForewarnError: the content is not a taxonomy.
        """
        try:
            leaves = tuple(Leaf(x["name"], x["verdict"], tuple(x["levers"]), x["about"]) for x in data["leaves"])
            taxonomy = cls(tuple(data["verdicts"]), leaves, {k: tuple(v) for k, v in data["coarse"].items()})
        except (KeyError, TypeError, AttributeError) as error:
            raise ForewarnError(
                f"labels: not a label taxonomy ({error!r}); take labels.json from the package"
            ) from None
        unknown = {leaf.verdict for leaf in leaves} - set(taxonomy.verdicts)
        if unknown:
            raise ForewarnError(f"labels: leaves name unknown verdicts {sorted(unknown)}")
        return taxonomy

    def to_dict(self) -> dict[str, Any]:
        """The inverse of `from_dict`."""
        return {
            "verdicts": list(self.verdicts),
            "leaves": [
                {"name": x.name, "verdict": x.verdict, "levers": list(x.levers), "about": x.about} for x in self.leaves
            ],
            "coarse": {k: list(v) for k, v in self.coarse.items()},
        }

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Leaf names in logit order."""
        return tuple(leaf.name for leaf in self.leaves)

    def indices(self, verdict: str) -> list[int]:
        """Logit positions of the leaves of one verdict."""
        return [i for i, leaf in enumerate(self.leaves) if leaf.verdict == verdict]

    def resolve(self, label: str) -> frozenset[str]:
        """The set of leaves that a label allows.

        A label is a leaf, a verdict, a coarse name, or several of them joined with `|` ("bank_alert|parcel_delivery").

        Raises:
            ForewarnError: a part of the label is unknown.
        """
        allowed: set[str] = set()
        for part in label.split("|"):
            if part in self.names:
                allowed.add(part)
            elif part in self.verdicts or part in self.coarse:
                verdicts = self.coarse.get(part, (part,))
                allowed.update(leaf.name for leaf in self.leaves if leaf.verdict in verdicts)
            else:
                raise ForewarnError(f"unknown label {part!r}; use a leaf, a verdict or one of {sorted(self.coarse)}")
        return frozenset(allowed)

    def verdict_of(self, label: str) -> str | None:
        """The one verdict that a label allows, or None where it allows several ("unwanted")."""
        verdicts = {leaf.verdict for leaf in self.leaves if leaf.name in self.resolve(label)}
        return verdicts.pop() if len(verdicts) == 1 else None
