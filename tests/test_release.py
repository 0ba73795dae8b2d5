"""A bundle from the one who makes it to the one who runs it: signed, released, updated, rolled back."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
import zlib
from base64 import b64decode
from pathlib import Path

import pytest
from forewarn.export.release import convert_to_ort, new_key, pack, sign
from forewarn.inference import ScamClassifier
from forewarn.inference import update as update_module
from forewarn.inference.bundle import Bundle
from forewarn.inference.cli import main
from forewarn.inference.errors import BundleError, ForewarnError
from forewarn.inference.update import apply_difference, difference, inflate, rollback, source, update
from hypothesis import given
from hypothesis import strategies as st
from tinybundle import seal


@pytest.fixture
def first(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "first"))


@pytest.fixture
def second(first: Path, tmp_path: Path) -> Path:
    """The next version: one weight moved, another forewarning, the same tokenizer."""
    folder = Path(shutil.copytree(first, tmp_path / "second"))
    model = bytearray((folder / "model.onnx").read_bytes())
    model[-1500] ^= 1
    (folder / "model.onnx").write_bytes(model)
    forewarnings = (folder / "forewarnings.json").read_text(encoding="utf-8").replace("own app", "own web page")
    (folder / "forewarnings.json").write_text(forewarnings, encoding="utf-8")
    seal(folder, version="2026.12.0")
    return folder


@pytest.fixture
def release(first: Path, second: Path, tmp_path: Path) -> Path:
    for folder in (first, second):
        pack(folder, tmp_path / "release")
    return tmp_path / "release"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_difference_gives_the_new_content_back(old: bytes, new: bytes) -> None:
    assert apply_difference(old, difference(old, new), len(new)) == new


@given(st.binary(max_size=200), st.integers(0, 300))
def test_only_the_right_size_is_inflated(content: bytes, size: int) -> None:
    packed = zlib.compress(content)
    if size == len(content):
        assert inflate(packed, size) == content
    else:
        with pytest.raises(BundleError):
            inflate(packed, size)


def test_an_update_fetches_what_changed_and_gives_the_same_bytes(first, second, release, tmp_path) -> None:
    installed = tmp_path / "app" / "bundle"
    done = update(installed, source(str(release)), "2026.11.0")
    assert (done.before, done.after) == ("", "2026.11.0") and contents(installed) == contents(first)
    fetched: list[str] = []

    def fetch(name: str) -> bytes:
        fetched.append(name)
        return (release / name).read_bytes()

    done = update(installed, fetch)
    assert contents(installed) == contents(second) and done.before == "2026.11.0"
    assert not any("tokenizer" in name for name in fetched)
    names = json.loads((release / "index.json").read_text())["versions"]["2026.12.0"]["files"]
    changed = {name for name in contents(first) if contents(first)[name] != contents(second)[name]}
    assert len(fetched) == 1 + len(changed)  # the index, and one for each
    assert any(name.startswith("deltas/") for name in fetched)
    assert done.fetched < names["model.onnx"]["packed"] < done.size
    ScamClassifier.load(installed)


def test_the_version_that_is_there_is_not_fetched_and_leaves_the_one_before(release, tmp_path) -> None:
    installed = tmp_path / "bundle"
    update(installed, source(str(release)), "2026.11.0")
    update(installed, source(str(release)))
    assert update(installed, source(str(release))).fetched == 0
    assert rollback(installed) == "2026.11.0"


def test_a_damaged_bundle_is_mended_from_the_release(second, release, tmp_path) -> None:
    installed = tmp_path / "bundle"
    update(installed, source(str(release)))
    (installed / "MODEL_CARD.md").write_text("cut short")
    assert update(installed, source(str(release))).fetched > 0
    assert contents(installed) == contents(second)


def test_an_old_version_under_a_new_name_is_refused(release, tmp_path) -> None:
    index = json.loads((release / "index.json").read_text())
    index["versions"]["2027.1.0"] = index["versions"]["2026.11.0"]
    (release / "index.json").write_text(json.dumps(index | {"latest": "2027.1.0"}))
    with pytest.raises(BundleError, match="calls version 2026.11.0 2027.1.0"):
        update(tmp_path / "bundle", source(str(release)))


def test_rollback_puts_the_old_version_back_and_forth(first, second, release, tmp_path) -> None:
    installed = tmp_path / "bundle"
    with pytest.raises(ForewarnError, match="no previous version"):
        rollback(installed)
    update(installed, source(str(release)), "2026.11.0")
    update(installed, source(str(release)))
    assert rollback(installed) == "2026.11.0" and contents(installed) == contents(first)
    assert rollback(installed) == "2026.12.0" and contents(installed) == contents(second)


@pytest.mark.parametrize("kind", ["objects", "deltas"])
def test_a_flipped_byte_on_the_way_replaces_nothing(first, second, release, tmp_path, kind) -> None:
    installed = tmp_path / "bundle"
    update(installed, source(str(release)), "2026.11.0")
    for path in (release / kind).iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x10
        path.write_bytes(data)
    if kind == "deltas":  # the whole file is there to fall back on
        update(installed, source(str(release)))
        assert contents(installed) == contents(second)
        return
    shutil.rmtree(release / "deltas")
    with pytest.raises(ForewarnError):
        update(installed, source(str(release)))
    assert contents(installed) == contents(first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "first", "release", "second"]


def test_an_update_that_is_killed_leaves_the_old_version(first, release, tmp_path, monkeypatch) -> None:
    installed = tmp_path / "bundle"
    update(installed, source(str(release)), "2026.11.0")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(update_module, "_swap", killed)
    with pytest.raises(KeyboardInterrupt):
        update(installed, source(str(release)))
    assert contents(installed) == contents(first)


def test_a_folder_of_something_else_is_left_alone(release, tmp_path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(ForewarnError, match="not a bundle"):
        update(tmp_path / "thesis", source(str(release)))
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "mine"


def test_updates_come_over_http(first, release, tmp_path) -> None:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(release))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        update(tmp_path / "bundle", source(address), "2026.11.0")
        with pytest.raises(ForewarnError, match="missing.json cannot be fetched"):
            source(address)("missing.json")
        server.shutdown()
    assert contents(tmp_path / "bundle") == contents(first)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.update(format=2),
        lambda index: index.update(latest="1"),
        lambda index: index["versions"]["2026.12.0"]["files"].pop("manifest.json"),
        lambda index: index["versions"]["2026.12.0"]["files"]["model.onnx"].update(sha256="../x"),
        lambda index: next(iter(index["versions"]["2026.12.0"]["files"]["model.onnx"]["deltas"].values())).update(
            path="../secret"
        ),
        lambda index: index["versions"]["2026.12.0"]["files"].update(
            {"../x": {"sha256": "0" * 64, "bytes": 1, "deltas": {}}}
        ),
        lambda index: index["versions"]["2026.12.0"]["files"]["model.onnx"].update(bytes=1 << 40, sha256="0" * 64),
    ],
)  # fmt: skip
def test_a_strange_index_is_refused(release, tmp_path, change) -> None:
    index = json.loads((release / "index.json").read_text())
    change(index)
    (release / "index.json").write_text(json.dumps(index))
    with pytest.raises(ForewarnError):
        update(tmp_path / "bundle", source(str(release)))
    assert not (tmp_path / "bundle").exists()


def test_a_version_never_changes(first, second, release) -> None:
    with pytest.raises(ForewarnError, match="holds 2026.11.0 already"):
        pack(first, release)
    (second / "MODEL_CARD.md").write_text("# another card")
    seal(second)
    with pytest.raises(ForewarnError, match="holds another 2026.12.0"):
        pack(second, release)


def test_a_signed_bundle_opens_with_its_key_alone(first, tmp_path) -> None:
    public = new_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    other = new_key(tmp_path / "other")
    with pytest.raises(BundleError, match="is not signed"):
        Bundle.open(first, public)
    assert sign(first, tmp_path / "key") == public
    Bundle.open(first, public), ScamClassifier.load(first, public_key=public)
    with pytest.raises(BundleError, match="not signed with this key"):
        Bundle.open(first, other)
    with pytest.raises(ForewarnError, match="32 bytes"):
        Bundle.open(first, "abc")
    # A manifest that is valid and changed: without a signature nobody would see it.
    manifest = json.loads((first / "manifest.json").read_text())
    manifest["operating_points"]["warn"]["threshold"] = 0.99
    (first / "manifest.json").write_text(json.dumps(manifest))
    Bundle.open(first)
    with pytest.raises(BundleError, match="not signed with this key"):
        Bundle.open(first, public)


def test_a_key_is_never_overwritten_and_a_damaged_bundle_never_signed(first, tmp_path) -> None:
    new_key(tmp_path / "key")
    with pytest.raises(ForewarnError, match="never overwritten"):
        new_key(tmp_path / "key")
    with pytest.raises(ForewarnError, match="not a private key"):
        sign(first, first / "manifest.json")
    (first / "MODEL_CARD.md").write_text("changed")
    with pytest.raises(BundleError, match="damaged"):
        sign(first, tmp_path / "key")


def test_an_unsigned_update_is_refused_where_a_key_is_pinned(first, second, tmp_path) -> None:
    public = new_key(tmp_path / "key")
    sign(first, tmp_path / "key")
    for folder in (first, second):
        pack(folder, tmp_path / "release")
    fetch = source(str(tmp_path / "release"))
    update(tmp_path / "bundle", fetch, "2026.11.0", public)
    with pytest.raises(BundleError, match="is not signed"):
        update(tmp_path / "bundle", fetch, public_key=public)
    assert contents(tmp_path / "bundle") == contents(first)


def test_the_commands_from_key_to_rollback(first, second, tmp_path, capsys) -> None:
    key, release, installed = (str(tmp_path / name) for name in ("key", "release", "bundle"))
    assert main(["bundle", "keygen", key]) == 0
    out, told = capsys.readouterr()
    public = out.removesuffix("\n")
    assert len(b64decode(public, validate=True)) == 32  # nothing else is on standard output
    assert f"private key: {key}" in told
    for folder in (first, second):
        assert main(["bundle", "sign", str(folder), "--key", key]) == 0
        assert main(["bundle", "pack", str(folder), "--to", release]) == 0
    assert "an update from the version before" in capsys.readouterr().out
    assert main(["bundle", "update", installed, "--from", release, "--version", "2026.11.0", "--key", public]) == 0
    assert main(["bundle", "verify", installed, "--key", public]) == 0
    assert "3 golden vectors right" in capsys.readouterr().out
    assert main(["bundle", "update", installed, "--from", release, "--key", public]) == 0
    assert main(["bundle", "rollback", installed]) == 0
    assert "back to 2026.11.0" in capsys.readouterr().out
    assert main(["bundle", "update", installed, "--from", release, "--version", "1"]) == 2
    assert main(["bundle", "verify", str(tmp_path / "release")]) == 3


def test_a_model_that_does_not_give_its_vectors_fails_the_gate(first, capsys) -> None:
    lines = [json.loads(line) for line in (first / "vectors.jsonl").read_text(encoding="utf-8").splitlines()]
    lines[0]["ids"][1] += 1
    lines[1]["logits"][0] += 1.0
    lines[2]["verdict"] = "promotion"
    (first / "vectors.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    seal(first)
    assert main(["bundle", "verify", str(first)]) == 4
    error = capsys.readouterr().err
    assert "line 1: other ids" in error and "line 2: logits differ by 1.000" in error
    assert "line 3: another verdict" in error


def test_the_ort_form_runs_and_names_its_operators(first, tmp_path) -> None:
    import numpy as np
    import onnxruntime as ort

    model, operators = convert_to_ort(first, tmp_path / "ort")
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    ids = ScamClassifier.load(first).ids("Claim your tax rebate")
    feed = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
    np.testing.assert_allclose(
        session.run(["logits"], feed)[0], ScamClassifier.load(first).logits(["Claim your tax rebate"]), atol=1e-4
    )
    assert "ai.onnx" in operators.read_text()
    assert sorted(path.name for path in (tmp_path / "ort").iterdir()) == ["model.ort", "required_operators.config"]
