from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
# Tests run side by side: threads of tiny models would wait for one another. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from forewarn.inference import ScamClassifier
from tinybundle import build_bundle, retrain


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete bundle with a model of a few hundred weights. Copy it before changing anything in it."""
    return build_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="session")
def tiny_classifier(tiny_bundle: Path) -> ScamClassifier:
    return ScamClassifier.load(tiny_bundle, threads=1)


@pytest.fixture
def bundles(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A folder of bundles: `old`, and `new` with other weights."""
    folder = tmp_path / "bundles"
    shutil.copytree(tiny_bundle, folder / "old")
    retrain(shutil.copytree(tiny_bundle, folder / "new"))
    return folder
