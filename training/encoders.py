"""Encoder folders, as `forewarn pretrain` writes them: finding one, telling it apart, and what it has seen."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from forewarn.inference.errors import ForewarnError

_DEFAULT = Path(__file__).parent / "encoder"
_FILES = ("config.json", "model.safetensors", "tokenizer.json")


def encoder_name(base: str | None) -> str | None:
    """`base` of a config as something that can be loaded: `default` is the encoder that lies beside this module.

    Raises:
        ForewarnError: it is the default one, and this is an install without it.
    """
    if base != "default":
        return base
    if not all((_DEFAULT / name).is_file() for name in _FILES):
        raise ForewarnError(
            "the default encoder comes with the repository, not with an installed package; work in a clone, make one "
            "with `forewarn pretrain`, or set `base` in the config (null: start without one)"
        )
    return str(_DEFAULT)


def encoder_folder(base: str) -> Path:
    """The folder of an encoder of ours.

    Raises:
        ForewarnError: something that such a folder has is not there.
    """
    folder = Path(encoder_name(base) or base)
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ForewarnError(
            f"{folder} holds no encoder ({', '.join(missing)} missing); give a folder that `forewarn pretrain` wrote"
        )
    return folder


def encoder_fingerprint(name: str | None) -> str | None:
    """A short hash of an encoder's weights, for the record of a run; None for one that is no folder."""
    path = Path(name) / "model.safetensors" if name else None
    if path is None or not path.is_file():
        return None
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]


def pretraining_record(name: str | None) -> dict[str, Any] | None:
    """What `forewarn pretrain` wrote about an encoder; None for another one, or for none."""
    path = Path(name) / "pretraining.json" if name else None
    if path is None or not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record
