"""From the place of a bundle to a model that has shown that it works here, or a refusal that names no place."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from forewarn.inference.bundle import Bundle, GoldenVector, default_bundle_path
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.errors import ForewarnError
from forewarn.inference.golden import check_vectors
from forewarn.inference.service.errors import Refusal, place
from forewarn.inference.service.logs import LOGGER
from forewarn.inference.service.settings import Settings

_OUTSIDE = "the bundle is not in the folder that the setting `bundles` names; put it there and name it from there"
_NOT_THERE = "there is no bundle of this name in the folder that the setting `bundles` names"

logger = logging.getLogger(LOGGER)


@dataclass(frozen=True)
class Place:
    """Which bundle a model comes from.

    Attributes:
        bundle: its folder or .zip, as an absolute path.
        digest: of its manifest, which holds the checksums of all other files: what lies in a folder may change.
        version: the model's.
    """

    bundle: str
    digest: str
    version: str

    @property
    def short_digest(self) -> str:
        """Enough of the digest to tell apart two models of one version, for a person."""
        return self.digest[:12]


@dataclass(frozen=True)
class Loaded:
    """A classifier that gave its golden vectors on this machine."""

    classifier: ScamClassifier
    golden: GoldenVector
    place: Place


class Loader:
    """Finds, checks and loads bundles for a running service."""

    def __init__(self, settings: Settings) -> None:
        # Links are followed at each loading: one that names the newest version may point elsewhere by then.
        self._start = (settings.bundle or default_bundle_path()).absolute()
        self._root = settings.bundles.absolute() if settings.bundles else None
        self._public_key = settings.public_key
        self._threads = settings.threads

    @property
    def start(self) -> Path:
        """The bundle that the service was started with."""
        return self._start

    def find(self, asked: str | None) -> Path:
        """Where the bundle is that a caller names, from within the setting `bundles`; None is the one of the start.

        Raises:
            Refusal: 422 where that setting names no folder.
        """
        if asked is None:
            return self._start
        if self._root is None:
            what = "this service loads no other bundles: the setting `bundles` names no folder"
            raise Refusal("model_refused", what)
        return self._root / asked

    def _resolved(self, path: Path) -> Path:
        """The path without links; raises a Refusal for one that is not there, or leaves the setting `bundles`."""
        if path == self._start:
            return path.resolve()
        assert self._root is not None
        root = self._root.resolve()
        try:
            resolved = path.resolve()
            # Links within a bundle count too.
            parts = [x.resolve() for x in resolved.iterdir()] if resolved.is_dir() else []
            there = resolved.exists()
        except (OSError, ValueError, RuntimeError):  # no name of a file, or links in a circle
            raise Refusal("model_refused", _NOT_THERE) from None
        if resolved == root or not all(x.is_relative_to(root) for x in (resolved, *parts)):
            raise Refusal("model_refused", _OUTSIDE)
        if not there:
            raise Refusal("model_refused", _NOT_THERE)
        return resolved

    def load(self, path: Path, digest: str | None = None, threads: int | None = None) -> Loaded:
        """Open a bundle, check it and let it score its golden vectors. Blocks.

        Args:
            path: what `find` gave.
            digest: what its content must be; None is whatever lies there.
            threads: cores a batch; None is the setting.

        Raises:
            Refusal: 422 that says what is wrong, without any path.
        """
        where = self._resolved(path)
        try:
            bundle = Bundle.open(where, self._public_key)
            found = digest_of(bundle.manifest)
            if digest is not None and digest != found:
                raise Refusal("model_refused", "another bundle lies there by now; ask for it again")
            classifier = ScamClassifier(bundle, threads or self._threads)
            number, faults = check_vectors(bundle, classifier)
            golden = bundle.golden_vectors()[0]
        except ForewarnError as error:
            told = str(error).replace(f"bundle {where}", "the bundle").replace(str(where), "the bundle")
            raise Refusal("model_refused", " ".join(told.split())) from None
        except Refusal:
            raise
        except Exception as error:
            logger.error("a bundle could not be loaded", extra={"fields": {"error": place(error)}})
            raise Refusal("model_refused", "the bundle cannot be loaded; export it again") from None
        if faults:
            what = (
                f"the model does not give its golden vectors on this machine ({len(faults)} of {number}: {faults[0]})"
            )
            raise Refusal("model_refused", f"{what}; export it again")
        return Loaded(classifier, golden, Place(str(path), found, classifier.version))


def digest_of(manifest: dict[str, object]) -> str:
    """SHA-256 of a manifest, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode("utf-8")).hexdigest()
