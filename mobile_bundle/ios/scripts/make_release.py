"""A release of two signed versions of the nano bundle, for the tests of the Swift client.

    python mobile_bundle/ios/scripts/make_release.py

Writes Tests/Release, which is not committed: `first` and `second` (one weight of its model has moved, and one
forewarning says it otherwise), `release`, which `forewarn bundle pack` made of both, and `public_key`, which signed
them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from forewarn.export.release import new_key
from forewarn.inference.cli import main as forewarn

IOS = Path(__file__).resolve().parents[1]
NANO = IOS.parent / "nano"
OUT = IOS / "Tests" / "Release"
SECOND = "9999.1.0"


def main() -> None:
    """Make the release anew."""
    shutil.rmtree(OUT, ignore_errors=True)
    first = Path(shutil.copytree(NANO, OUT / "first"))
    second = Path(shutil.copytree(NANO, OUT / "second"))
    model = bytearray((second / "model.onnx").read_bytes())
    model[len(model) // 2] ^= 1  # nearly all of the file is weights
    (second / "model.onnx").write_bytes(model)
    forewarnings = (second / "forewarnings.json").read_text(encoding="utf-8")
    assert "Fake couriers" in forewarnings
    (second / "forewarnings.json").write_text(forewarnings.replace("Fake couriers", "Sham couriers"), encoding="utf-8")
    seal(second, SECOND)
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        (OUT / "public_key").write_text(new_key(key), encoding="ascii")
        for bundle in (first, second):
            run("sign", str(bundle), "--key", str(key))
            run("pack", str(bundle), "--to", str(OUT / "release"))


def seal(bundle: Path, version: str) -> None:
    """Write a version and the true checksums into a bundle's manifest."""
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["version"] = version
    for name, entry in manifest["files"].items():
        content = (bundle / name).read_bytes()
        entry.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    path.write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")


def run(*args: str) -> None:
    """Run `forewarn bundle` as a developer does."""
    if forewarn(["bundle", *args]) != 0:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
