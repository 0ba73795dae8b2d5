"""Making releases of bundles: keys, signatures, the folder that updates come from, and the .ort form."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any

from forewarn.inference.bundle import MANIFEST, Bundle
from forewarn.inference.errors import ForewarnError, MissingExtraError
from forewarn.inference.files import write_at_once
from forewarn.inference.signature import SIGNATURE, verify
from forewarn.inference.update import INDEX, INDEX_FORMAT, difference, inflate, read_index, source

# Versions back to which differences are made; whoever is further behind fetches whole files.
_DELTAS_TO = 3


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError:
        raise MissingExtraError("signing", "bundle") from None
    return ed25519


def new_key(path: Path) -> str:
    """Write a new private key (32 bytes in base64, readable by its owner alone); returns the public one in base64.

    Raises:
        ForewarnError: something is there already: a lost key cannot be had again.
    """
    key = _ed25519().Ed25519PrivateKey.generate()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ForewarnError(f"{path}: exists; a key is never overwritten, choose another file") from None
    except OSError as error:
        raise ForewarnError(f"{path}: cannot be written ({error.strerror})") from None
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(base64.b64encode(key.private_bytes_raw()).decode("ascii") + "\n")
    return base64.b64encode(key.public_key().public_bytes_raw()).decode("ascii")


def sign(folder: Path, key_file: Path) -> str:
    """Sign a bundle's manifest as it is; returns the public key.

    Raises:
        BundleError: the bundle is damaged: nobody should sign it.
        ForewarnError: the key cannot be read.
    """
    Bundle.open(folder)
    ed25519 = _ed25519()
    try:
        key = ed25519.Ed25519PrivateKey.from_private_bytes(
            base64.b64decode(key_file.read_text("ascii").strip(), validate=True)
        )
    except (OSError, ValueError):
        raise ForewarnError(
            f"{key_file}: not a private key; give the file that `forewarn bundle keygen` wrote"
        ) from None
    manifest = (folder / MANIFEST).read_bytes()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode("ascii")
    signature = key.sign(manifest)
    verify(manifest, signature, public)
    _write(folder / SIGNATURE, signature)
    return public


def pack(folder: Path, release: Path) -> dict[str, int]:
    """Add a bundle to a release folder, with the differences to the last versions in it.

    Returns:
        {"bytes": of all files, "objects": what a first download costs, "delta": what an update from the version before
        costs, or -1 for the first}.

    Raises:
        BundleError: the bundle is damaged.
        ForewarnError: the release has this version with other content; versions never change.
    """
    files = _files(folder)
    version = str(json.loads(files[MANIFEST])["version"])
    index: dict[str, Any] = {"format": INDEX_FORMAT, "latest": version, "versions": {}}
    if (release / INDEX).is_file():
        index = read_index(source(str(release)))
    versions = index["versions"]
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    if version in versions:
        if {name: file["sha256"] for name, file in versions[version]["files"].items()} != sums:
            raise ForewarnError(f"{release} holds another {version}; give the bundle a new version")
        raise ForewarnError(f"{release} holds {version} already")
    earlier = list(versions)[-_DELTAS_TO:]
    entries: dict[str, dict[str, Any]] = {}
    whole = step = 0
    for name, content in files.items():
        packed = zlib.compress(content, 9)
        _write(release / "objects" / f"{sums[name]}.z", packed)
        deltas = {}
        cost = len(packed)
        for number, known in enumerate(reversed(earlier)):
            old = versions[known]["files"].get(name)
            if old is None or old["sha256"] in deltas:
                continue
            if old["sha256"] == sums[name]:
                cost = 0 if number == 0 else cost
                continue
            before = inflate((release / "objects" / f"{old['sha256']}.z").read_bytes(), int(old["bytes"]))
            change = difference(before, content)
            if len(change) < len(packed):
                path = f"deltas/{old['sha256'][:16]}-{sums[name][:16]}.z"
                _write(release / path, change)
                deltas[old["sha256"]] = {"path": path, "bytes": len(change)}
                cost = len(change) if number == 0 else cost
        entries[name] = {"sha256": sums[name], "bytes": len(content), "packed": len(packed), "deltas": deltas}
        whole, step = whole + len(packed), step + cost
    versions[version] = {"files": entries}
    index["latest"] = version
    # Last, so that nobody is sent to a file that is not there yet.
    _write(release / INDEX, (json.dumps(index, indent=1) + "\n").encode("utf-8"))
    return {"bytes": sum(map(len, files.values())), "objects": whole, "delta": step if earlier else -1}


def convert_to_ort(folder: Path, out: Path) -> list[Path]:
    """Write `model.ort` and `required_operators.config`, from which a runtime of reduced size is built.

    Raises:
        BundleError: the bundle is damaged.
        MissingExtraError: onnx, which the converter reads models with, is not installed.
    """
    bundle = Bundle.open(folder)
    try:
        from onnxruntime.tools.convert_onnx_models_to_ort import OptimizationStyle, convert_onnx_models_to_ort
    except ModuleNotFoundError:
        raise MissingExtraError("the .ort form", "export") from None
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as name:
        work = Path(name)
        (work / "model.onnx").write_bytes(bundle.read("model.onnx"))
        # Fixed: optimised for any processor; the other style suits only the machine that converts.
        with contextlib.redirect_stdout(io.StringIO()):  # it tells its steps, with the paths of its temporary files
            convert_onnx_models_to_ort(work / "model.onnx", optimization_styles=[OptimizationStyle.Fixed])
        made = []
        for pattern, target in (("*.ort", "model.ort"), ("*required_operators*.config", "required_operators.config")):
            [found] = work.glob(pattern)
            shutil.move(found, out / target)
            made.append(out / target)
    return made


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_at_once(path, content)


def _files(folder: Path) -> dict[str, bytes]:
    """Every file of a checked bundle, with its manifest and signature: what a release holds of it."""
    bundle = Bundle.open(folder)
    found = {MANIFEST: (folder / MANIFEST).read_bytes()}
    if (folder / SIGNATURE).is_file():
        found[SIGNATURE] = (folder / SIGNATURE).read_bytes()
    return found | {name: bundle.read(name) for name in bundle.manifest["files"]}
