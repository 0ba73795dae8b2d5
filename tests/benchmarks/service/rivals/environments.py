"""The rivals as running servers; those from PyPI in virtual environments of their own."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.service.messages import Dialect, forewarn_dialect
from benchmarks.service.servers import Cores, Server, ServerFailed, free_port, running, script
from forewarn.inference.bundle import default_bundle_path

REPOSITORY = Path(__file__).parents[4]
ENVIRONMENTS = REPOSITORY / "build" / "rivals"


def _pinned(*packages: str) -> list[str]:
    constraints = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    return re.findall(rf"^(?:{'|'.join(packages)})==.*$", constraints, re.MULTILINE)


# infinity-emb needs an older transformers than ours, so that not all of constraints.txt fits it.
_PACKAGES = {
    "litserve": ["-c", "constraints.txt", "litserve", "-e", "."],
    "granian": ["-c", "constraints.txt", "granian[uvloop]", "-e", ".[serve]"],
    "infinity": ["infinity-emb[torch,server,optimum]", *_pinned("torch", "onnxruntime")],
}

_PIPELINE = Dialect("/classify", lambda texts: b'{"text":' + texts[0] + b"}")
_LITSERVE = Dialect("/predict", lambda texts: b'{"text":' + texts[0] + b"}")
_INFINITY = Dialect("/classify", lambda texts: b'{"model":"forewarn","input":[' + b",".join(texts) + b"]}")


def environment(name: str) -> Path:
    """The virtual environment of a rival, made on the first call; gives its folder.

    Raises:
        ServerFailed: the packages cannot be installed.
    """
    folder = ENVIRONMENTS / name
    done = folder / "installed"
    if not done.exists():
        print(f"bench-service: installing {name} into {folder.relative_to(REPOSITORY)}", file=sys.stderr, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "install.log").open("wb") as log:
            for command in (
                [sys.executable, "-m", "venv", str(folder)],
                [str(folder / "bin" / "python"), "-m", "pip", "install", *_PACKAGES[name]],
            ):
                if subprocess.run(command, stdout=log, stderr=log, cwd=REPOSITORY).returncode:
                    raise ServerFailed(f"{name} could not be installed; see {folder / 'install.log'}")
        done.touch()
    return folder


def version(name: str, package: str) -> str:
    """The installed version of a rival's package."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    asked = [str(environment(name) / "bin" / "python"), "-c", code]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def pipeline(checkpoint: Path, cores: Cores, folder: Path) -> Iterator[Server]:
    """FastAPI and a transformers pipeline in PyTorch, in the project's own environment; one worker a core."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "pipeline_server:app", "--app-dir", str(Path(__file__).parent)]
    command += ["--port", str(port), "--workers", str(len(cores.server)), "--no-access-log", "--log-level", "warning"]
    given = {"CHECKPOINT": str(checkpoint.absolute())}
    name = "FastAPI + transformers pipeline, PyTorch fp32"
    with running(name, command, port, _PIPELINE, cores, folder / "pipeline.log", environment=given) as server:
        yield server


@contextlib.contextmanager
def litserve(bundle: Path | None, cores: Cores, folder: Path) -> Iterator[Server]:
    """LitServe with the same bundle, batches of 64 and 2 ms, as the service has them."""
    port = free_port()
    python = environment("litserve") / "bin" / "python"
    arguments = [str(port), str(len(cores.server)), *([str(bundle.absolute())] if bundle else [])]
    command = script("rivals/litserve_server.py", *arguments, python=python)
    name = f"LitServe {version('litserve', 'litserve')}, the same bundle"
    with running(name, command, port, _LITSERVE, cores, folder / "litserve.log") as server:
        yield server


@contextlib.contextmanager
def granian(bundle: Path | None, cores: Cores, folder: Path) -> Iterator[Server]:
    """The service's application under granian in place of uvicorn, one worker a core, as the service has them."""
    port = free_port()
    python = environment("granian") / "bin" / "python"
    command = script("rivals/granian_server.py", str(port), str(len(cores.server)), python=python)
    given = {"FOREWARN_THREADS": "1"} | ({"FOREWARN_BUNDLE": str(bundle.absolute())} if bundle else {})
    name = f"granian {version('granian', 'granian')}, the same application"
    log = folder / "granian.log"
    with running(name, command, port, forewarn_dialect(), cores, log, "/readyz", given) as server:
        yield server


@contextlib.contextmanager
def infinity(checkpoint: Path, cores: Cores, folder: Path, onnx: Path | None = None) -> Iterator[Server]:
    """infinity-emb's classify endpoint, one process.

    Args:
        checkpoint: what it serves with PyTorch.
        cores: those for servers are its own.
        folder: for its log.
        onnx: the model file of a bundle, that it serves instead, with ONNX Runtime.
    """
    port = free_port()
    program = environment("infinity") / "bin" / "infinity_emb"
    engine, model = "torch", checkpoint
    if onnx:
        engine, model = "optimum", folder / "infinity-onnx"
        shutil.rmtree(model, ignore_errors=True)
        shutil.copytree(checkpoint, model, ignore=shutil.ignore_patterns("*.safetensors"))
        shutil.copy(onnx, model / "model.onnx")
    # It runs in the folder: it finds no ONNX file in one with a longer name (0.0.78 with optimum 2.1).
    command = [str(program), "v2", "--model-id", ".", "--served-model-name", "forewarn", "--engine", engine]
    command += ["--device", "cpu", "--host", "127.0.0.1", "--port", str(port), "--batch-size", "64"]
    command += ["--no-bettertransformer", "--no-model-warmup", "--onnx-disable-optimize", "--log-level", "error"]
    what = "ONNX Runtime, the bundle's model" if onnx else "PyTorch"
    name = f"infinity-emb {version('infinity', 'infinity_emb')}, {what}"
    with running(name, command, port, _INFINITY, cores, folder / f"infinity-{engine}.log", folder=model) as server:
        yield server


def onnx_of(bundle: Path | None) -> Path:
    """The model file of a bundle folder."""
    return (bundle or default_bundle_path()) / "model.onnx"
