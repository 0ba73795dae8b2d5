"""Opening a bundle: the folder (or the same as one .zip) that export writes and every client runs.

A bundle is read into memory once and checked there, so that what runs is exactly what was checked.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from forewarn.inference import signature
from forewarn.inference.errors import BundleError, ForewarnError
from forewarn.inference.labels import Taxonomy

FORMAT = 1
MANIFEST = "manifest.json"
VECTORS = "vectors.jsonl"
REQUIRED = ("model.onnx", "tokenizer.json", "forewarnings.json")

# A shipped bundle is at most 20 MB; the limit only keeps a hostile zip from filling the memory of a server.
MAX_FILE_BYTES = 1 << 30


def default_bundle_path() -> Path:
    """The bundle that ships with the package."""
    return Path(str(files("forewarn.mobile_bundle"))) / "standard"


@dataclass(frozen=True)
class GoldenVector:
    """A text and the verdict that every client must give it."""

    text: str
    verdict: str


@dataclass(frozen=True)
class Bundle:
    """A checked bundle: its manifest and the bytes of its files."""

    path: Path
    manifest: dict[str, Any]
    taxonomy: Taxonomy
    _files: dict[str, bytes]

    @classmethod
    def open(cls, path: str | Path | None = None, public_key: str | None = None) -> Bundle:
        """Read and check a bundle.

        Args:
            path: a bundle folder or .zip; None is the bundle that ships with the package.
            public_key: the Ed25519 key, in base64, that must have signed it; None asks for no signature.

        Returns:
            The bundle, with every listed file present and matching its sha256.

        Raises:
            BundleError: there is none at this path, it is damaged, or it is not a bundle of a format we read.
        """
        where = default_bundle_path() if path is None else Path(path)
        try:
            if where.is_dir():
                return cls._check(where, lambda name: (where / name).read_bytes(), public_key)
            if where.is_file():
                return cls._open_zip(where, public_key)
        except OSError as error:
            raise BundleError(f"bundle {where}: cannot be read ({error.strerror or 'input error'})") from None
        what = "no bundle ships with this install" if path is None else "no bundle there"
        raise BundleError(f"{where}: {what}; pass --bundle DIR (in Python: ScamClassifier.load(path))")

    @classmethod
    def _open_zip(cls, where: Path, public_key: str | None) -> Bundle:
        try:
            with zipfile.ZipFile(where) as archive:
                # A zip made from outside the folder holds the folder's name before each file.
                inside = [name for name in archive.namelist() if name.rpartition("/")[2] == MANIFEST]
                prefix = min(inside, key=len)[: -len(MANIFEST)] if inside else ""

                def read(name: str) -> bytes:
                    try:
                        info = archive.getinfo(prefix + name)
                    except KeyError:
                        raise FileNotFoundError from None
                    if info.file_size > MAX_FILE_BYTES:
                        raise BundleError(f"bundle {where}: {name} is too large to be one of ours")
                    return archive.read(info)

                return cls._check(where, read, public_key)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError):
            raise BundleError(f"bundle {where}: not a readable .zip; copy or download it again") from None

    @classmethod
    def _check(cls, where: Path, read: Callable[[str], bytes], public_key: str | None) -> Bundle:
        try:
            raw = read(MANIFEST)
            if public_key is not None:
                _check_signature(where, raw, read, public_key)
            manifest = json.loads(raw.decode("utf-8"))
        except FileNotFoundError:
            raise BundleError(f"bundle {where}: has no {MANIFEST}; this is not a forewarn bundle") from None
        except (ValueError, RecursionError):
            raise BundleError(f"bundle {where}: {MANIFEST} is not JSON; copy or download the bundle again") from None
        taxonomy = _check_manifest(where, manifest)

        contents: dict[str, bytes] = {}
        for name, entry in manifest["files"].items():
            try:
                data = read(name)
            except FileNotFoundError:
                raise BundleError(f"bundle {where}: {name} is missing; copy or download the bundle again") from None
            if hashlib.sha256(data).hexdigest() != entry["sha256"]:
                raise BundleError(
                    f"bundle {where}: {name} is damaged (its sha256 differs from the manifest's); "
                    "copy or download the bundle again"
                )
            contents[name] = data
        return cls(where, manifest, taxonomy, contents)

    def read(self, name: str) -> bytes:
        """The checked bytes of one file of the bundle.

        Raises:
            BundleError: the manifest does not list this file.
        """
        try:
            return self._files[name]
        except KeyError:
            raise BundleError(f"bundle {self.path}: its manifest lists no {name}") from None

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which holds the checksums of all other files."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode("utf-8")).hexdigest()

    def golden_vectors(self) -> list[GoldenVector]:
        """The texts of vectors.jsonl with their verdicts, at least one.

        Raises:
            BundleError: the bundle has none, or they cannot be read.
        """
        vectors = []
        try:
            for line in self.read(VECTORS).splitlines():
                vector = json.loads(line)
                verdict = vector["verdict"]
                # Export writes the whole verdict object; its name alone is enough here.
                name = verdict["verdict"] if isinstance(verdict, dict) else verdict
                vectors.append(GoldenVector(str(vector["text"]), str(name)))
        except (ValueError, KeyError, TypeError):
            raise BundleError(f"bundle {self.path}: {VECTORS} is not golden vectors; export it again") from None
        if not vectors:
            raise BundleError(f"bundle {self.path}: {VECTORS} is empty; export it again")
        return vectors


def _check_signature(where: Path, manifest: bytes, read: Callable[[str], bytes], public_key: str) -> None:
    """Refuse a manifest that the key has not signed, before anything in it is believed."""
    try:
        signed = read(signature.SIGNATURE)
    except FileNotFoundError:
        raise BundleError(f"bundle {where}: is not signed (no {signature.SIGNATURE}); do not use it") from None
    signature.verify(manifest, signed, public_key)


def _check_manifest(where: Path, manifest: Any) -> Taxonomy:
    """Check every field that the runtime relies on; returns the bundle's own taxonomy."""

    def require(condition: bool, what: str) -> None:
        if not condition:
            raise BundleError(f"bundle {where}: {MANIFEST} {what}; use a bundle that `forewarn export` wrote")

    require(isinstance(manifest, dict), "is not an object")
    version = manifest.get("format")
    if version != FORMAT or isinstance(version, bool):
        advice = (
            "upgrade forewarn" if _is_number(version) and version > FORMAT else "use one that `forewarn export` wrote"
        )
        shown = version if _is_number(version) else "none that is known"
        raise BundleError(f"bundle {where}: bundle format is {shown}, this version reads format {FORMAT}; {advice}")

    require(isinstance(manifest.get("version"), str), "has no model version")
    require(_is_count(manifest.get("max_length")) and manifest["max_length"] >= 4, "has no usable max_length")
    require(_is_count(manifest.get("pad_id")), "has no pad_id")

    calibration = manifest.get("calibration")
    require(isinstance(calibration, dict), "has no calibration")
    require(_is_number(calibration.get("temperature")) and calibration["temperature"] > 0, "has no usable temperature")
    require(_is_number(calibration.get("scam_bias")), "has no scam_bias")

    points = manifest.get("operating_points")
    require(isinstance(points, dict), "has no operating points")
    for name in ("warn", "block"):
        point = points.get(name)
        require(isinstance(point, dict) and _is_number(point.get("threshold")), f"has no {name} threshold")

    listed = manifest.get("files")
    require(isinstance(listed, dict), "lists no files")
    for name, entry in listed.items():
        require(name not in ("", ".", "..") and not set(name) & set("/\\:\0"), "lists a file outside the bundle")
        require(isinstance(entry, dict) and isinstance(entry.get("sha256"), str), f"has no sha256 for {name}")
    for name in REQUIRED:
        require(name in listed, f"does not list {name}")

    try:
        taxonomy = Taxonomy.from_dict(manifest.get("labels"))  # type: ignore[arg-type]
    except ForewarnError as error:
        raise BundleError(f"bundle {where}: {error}") from None
    for verdict in ("scam", "legitimate"):
        require(bool(taxonomy.indices(verdict)), f"has no labels for {verdict}")
    return taxonomy


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
