from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from forewarn.inference import ScamClassifier, bundle
from forewarn.inference.bundle import Bundle
from forewarn.inference.errors import BundleError
from tinybundle import VERSION, seal


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))


def zipped(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, prefix + path.name)
    return target


def change_manifest(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


def test_a_folder_opens(tiny_bundle: Path) -> None:
    opened = Bundle.open(tiny_bundle)
    assert opened.manifest["version"] == VERSION
    assert opened.path == tiny_bundle
    assert opened.read("MODEL_CARD.md").startswith(b"# Tiny")
    assert len(opened.taxonomy.leaves) == 21


@pytest.mark.parametrize("prefix", ["", "standard/"])
def test_a_zip_scores_like_its_folder(tiny_bundle: Path, tmp_path: Path, prefix: str) -> None:
    archive = zipped(tiny_bundle, tmp_path / "b.zip", prefix)
    texts = ["Claim your tax rebate", "see you at dinner"]
    assert ScamClassifier.load(archive).score(texts) == ScamClassifier.load(tiny_bundle).score(texts)
    assert [x.name for x in tmp_path.iterdir()] == ["b.zip"]  # nothing was unpacked beside it


@pytest.mark.parametrize(
    "name", ["model.onnx", "tokenizer.json", "forewarnings.json", "vectors.jsonl", "MODEL_CARD.md"]
)
def test_one_flipped_bit_is_refused(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} is damaged"):
        Bundle.open(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "vectors.jsonl").unlink()
    with pytest.raises(BundleError, match=r"vectors\.jsonl is missing"):
        Bundle.open(copy)


def test_a_file_that_the_manifest_forgets_is_named(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]["tokenizer.json"]
    change_manifest(copy, files=manifest["files"])
    with pytest.raises(BundleError, match=r"does not list tokenizer\.json"):
        Bundle.open(copy)


def test_a_newer_format_says_upgrade(copy: Path) -> None:
    change_manifest(copy, format=2)
    with pytest.raises(BundleError, match=r"format is 2.*upgrade forewarn"):
        Bundle.open(copy)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": None},
        {"version": 3},
        {"max_length": 0},
        {"pad_id": "0"},
        {"calibration": {"temperature": 0, "scam_bias": 0}},
        {"calibration": {"temperature": float("nan"), "scam_bias": 0}},
        {"operating_points": {"warn": {"threshold": 0.5}}},
        {"labels": {"verdicts": []}},
        {"labels": None},
        {"files": {"../secret": {"sha256": "0"}}},
        {"files": []},
    ],
)
def test_a_foreign_manifest_is_refused(copy: Path, changes: dict[str, object]) -> None:
    change_manifest(copy, **changes)
    with pytest.raises(BundleError) as error:
        Bundle.open(copy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_broken_manifest_is_refused(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError):
        Bundle.open(copy)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "forewarnings.json"])
def test_checksummed_nonsense_is_refused_too(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"nonsense")
    seal(copy)
    with pytest.raises(BundleError, match=name):
        ScamClassifier.load(copy)


def test_a_cut_zip_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    archive = zipped(tiny_bundle, tmp_path / "b.zip")
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(BundleError, match=r"not a readable \.zip"):
        Bundle.open(archive)


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"has no manifest\.json"):
        Bundle.open(tmp_path)


def test_no_bundle_says_how_to_pass_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match="no bundle there; pass --bundle DIR"):
        ScamClassifier.load(tmp_path / "absent")
    monkeypatch.setattr(bundle, "default_bundle_path", lambda: tmp_path / "standard")
    with pytest.raises(BundleError, match="no bundle ships with this install; pass --bundle DIR"):
        ScamClassifier.load()
