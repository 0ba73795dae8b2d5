"""ONNX Runtime's Java library for the tests, on the C library that is installed with the Python package.

    python mobile_bundle/android/scripts/onnxruntime_java.py CACHE NATIVE

Puts the Java classes into CACHE/classes, once, and into NATIVE what `-Donnxruntime.native.path` needs. The Python
Package Index has the classes of ONNX Runtime 1.17.0, those of the Android package, inside the jar of pyserini. The C
library beside them is too old to read our model; but the interface between the two is one that later C libraries still
have, so the library that joins them is made to ask for the installed one.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "pyserini==1.6.0"
SHA256 = "e34761d700b33613c26bc61113effc6d65598dee6ada28a33214f79350f833f4"
JAR = "pyserini-1.6.0/pyserini/resources/jars/anserini-1.7.1-fatjar.jar"
JAVA_VERSION = "1.17.0"
PREFIX = "ai/onnxruntime/"
JOINT = "libonnxruntime4j_jni.so"
MACHINES = {"x86_64": "linux-x64", "aarch64": "linux-aarch64"}


def download(folder: Path) -> Path:
    """The package's archive, downloaded into a folder and checked.

    Raises:
        subprocess.CalledProcessError: pip cannot get it.
        ValueError: it is another one.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(pip, check=True, capture_output=True)
    [archive] = folder.iterdir()
    with archive.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            raise ValueError("pyserini's archive is not the one that was checked")
    return archive


def unpack(archive: Path, cache: Path, machine: str) -> None:
    """Takes the classes and the joining library of one kind of machine out of the package's archive."""
    fresh = cache.with_name(cache.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    with tempfile.TemporaryFile() as jar:
        with tarfile.open(archive) as outer:
            content = outer.extractfile(JAR)
            assert content is not None
            shutil.copyfileobj(content, jar)
        with zipfile.ZipFile(jar) as inner:
            for name in inner.namelist():
                if name.startswith(PREFIX) and name.endswith(".class"):
                    inner.extract(name, fresh / "classes")
            fresh.joinpath(JOINT).write_bytes(inner.read(f"{PREFIX}native/{machine}/{JOINT}"))
    shutil.rmtree(cache, ignore_errors=True)
    fresh.rename(cache)


def elf_hash(name: bytes) -> bytes:
    """The hash by which an ELF file names a version of symbols (System V ABI), as four bytes."""
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high
    return struct.pack("<I", value)


def join(joint: bytes, installed: str) -> bytes:
    """The joining library, made to ask for the installed C library in place of the one that it was built with.

    Raises:
        ValueError: the names of the two differ in length, or do not stand where they should.
    """
    old, new = f"VERS_{JAVA_VERSION}".encode(), f"VERS_{installed}".encode()
    file, wanted = f"libonnxruntime.so.{JAVA_VERSION}".encode(), b"libonnxruntime.so.1"
    pairs = [(old, new), (elf_hash(old), elf_hash(new)), (file, wanted.ljust(len(file), b"\0"))]
    for before, after in pairs:
        if joint.count(before) != 1 or len(before) != len(after):
            raise ValueError(f"ONNX Runtime {installed} cannot be put under the Java classes of {JAVA_VERSION}")
        joint = joint.replace(before, after)
    return joint


def main(cache: Path, native: Path) -> None:
    """Does both; ends with a line that says why where it cannot.

    Args:
        cache: kept from run to run.
        native: made anew.
    """
    try:
        machine = MACHINES[platform.machine()]
        if not cache.is_dir():
            cache.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache.parent) as folder:
                unpack(download(Path(folder)), cache, machine)
        spec = find_spec("onnxruntime")
        if spec is None or spec.origin is None:
            sys.exit("the Python package onnxruntime is not installed")
        installed = version("onnxruntime")
        [library] = Path(spec.origin).parent.glob(f"capi/libonnxruntime.so.{installed}")
        shutil.rmtree(native, ignore_errors=True)
        native.mkdir(parents=True)
        native.joinpath("libonnxruntime.so").symlink_to(library)
        native.joinpath(JOINT).write_bytes(join(cache.joinpath(JOINT).read_bytes(), installed))
    except KeyError:
        sys.exit("ONNX Runtime's Java library is not there for this kind of machine")
    except subprocess.CalledProcessError:
        sys.exit("pip cannot download the package that ONNX Runtime's Java library is in")
    except (ValueError, OSError) as error:
        sys.exit(f"ONNX Runtime's Java library cannot be made: {error}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python onnxruntime_java.py CACHE NATIVE")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
