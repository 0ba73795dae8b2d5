"""The bundles in this repository: golden vectors, verdicts, size, and an install that stays light."""

import json
import subprocess
import sys

import numpy as np
import pytest
from forewarn.inference import ScamClassifier
from forewarn.inference.bundle import default_bundle_path
from tokenizers import Tokenizer

# int8 sums differ in the last places between processors (with and without VNNI); the card states the same tolerance.
LOGITS_TOLERANCE = 0.25


# What a bundle may weigh, in bytes.
BUNDLES = {"standard": 16_000_000, "nano": 3_000_000}


@pytest.fixture(scope="module", params=BUNDLES)
def folder(request):
    return default_bundle_path().parent / request.param


@pytest.fixture(scope="module")
def classifier(folder):
    return ScamClassifier.load(folder)


@pytest.fixture(scope="module")
def vectors(folder):
    lines = (folder / "vectors.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    return [json.loads(line) for line in lines]


def test_ids_and_normalised_texts_are_exact(vectors, classifier, folder):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(classifier.max_length)
    assert len(vectors) >= 60
    for vector in vectors:
        assert tokenizer.normalizer.normalize_str(vector["text"]) == vector["normalised"]
        assert tokenizer.encode(vector["text"]).ids == vector["ids"]


def test_logits_and_verdicts_are_reproduced(vectors, classifier):
    # One by one, as the vectors were made: dynamic int8 shares its scales within a batch.
    for vector in vectors:
        logits = classifier.logits([vector["text"]])[0]
        assert np.abs(logits - np.asarray(vector["logits"])).max() < LOGITS_TOLERANCE
        assert classifier.score([vector["text"]])[0].verdict == vector["verdict"]["verdict"]


def test_the_bundle_is_small_and_complete(folder):
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    wanted = {"manifest.json", "model.onnx", "tokenizer.json", "forewarnings.json", "vectors.jsonl", "MODEL_CARD.md"}
    assert wanted <= set(files)
    assert sum(files.values()) <= BUNDLES[folder.name]


def test_one_line_in_one_verdict_out():
    run = subprocess.run(
        [sys.executable, "-m", "forewarn.inference.cli", "score", "--input", "-", "--format", "jsonl"],
        input="Your parcel is held, pay the customs fee at post-redeliver.example\n",
        capture_output=True,
        text=True,
        check=True,
    )
    [verdict] = map(json.loads, run.stdout.splitlines())
    assert verdict["verdict"] in {"scam", "promotion", "legitimate"} and 0 <= verdict["risk"] <= 1
