"""The folder of a run: which settings and which data it belongs to, so that a resume goes on with the same ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from forewarn.inference.errors import ForewarnError
from forewarn.inference.files import write_at_once
from forewarn.training.config import Strict


def open_run(
    out: Path,
    config: Strict,
    data_fingerprint: str | None,
    encoder_fingerprint: str | None = None,
    teacher_fingerprint: str | None = None,
) -> None:
    """Make the folder and record settings, data, encoder and teacher; a run with the same ones is gone on with.

    Raises:
        ForewarnError: the folder holds a run with other settings, data, encoder or teacher.
    """
    settings = yaml.safe_dump(json.loads(config.model_dump_json()), sort_keys=False)
    settings += f"# data_fingerprint: {data_fingerprint}\n"
    settings += f"# encoder_fingerprint: {encoder_fingerprint}\n" if encoder_fingerprint else ""
    before_teachers = settings  # runs that began when no teacher was recorded are gone on with
    settings += f"# teacher_fingerprint: {teacher_fingerprint}\n" if teacher_fingerprint else ""
    recorded = out / "config.yaml"
    if recorded.is_file() and recorded.read_text(encoding="utf-8") not in (settings, before_teachers):
        raise ForewarnError(
            f"{out} holds a run with another config, encoder, teacher or other data; choose another `out` or remove "
            "the folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    recorded.write_text(settings, encoding="utf-8")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file at one stroke."""
    write_at_once(path, (json.dumps(content, indent=1) + "\n").encode("utf-8"))
