"""Anything that gives leaf probabilities for texts: a training checkpoint or an exported bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from forewarn.inference.errors import BundleError, ForewarnError
from forewarn.inference.labels import Taxonomy
from numpy.typing import NDArray

_CHUNK = 2048  # texts between two steps of the bundle's progress bar


class Scorer(Protocol):
    """What an evaluation needs of a model."""

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities of the leaves, one row a text, in the order of `Taxonomy.names`."""
        ...


class CheckpointScorer:
    """A Hugging Face checkpoint folder with `tokenizer.json` and `forewarn.json`, uncalibrated as training left it."""

    def __init__(self, folder: Path, batch_size: int = 64, device: str | None = None) -> None:
        """Load the model.

        Args:
            folder: the checkpoint.
            batch_size: texts in one forward pass.
            device: "cpu" or "cuda"; by default CUDA where it is there.

        Raises:
            ForewarnError: a file is missing or unreadable, or the labels are not this package's.
        """
        import torch
        from forewarn.training.ngrams import load_classifier
        from tokenizers import Tokenizer

        for name in ("config.json", "tokenizer.json", "forewarn.json"):
            if not (folder / name).is_file():
                raise ForewarnError(f"{folder}: no {name}; give a folder that `forewarn train` wrote")
        try:
            settings: dict[str, Any] = json.loads((folder / "forewarn.json").read_text(encoding="utf-8"))
            max_length, labels = int(settings["max_length"]), Taxonomy.from_dict(settings["labels"])
        except (ValueError, KeyError, TypeError) as error:
            raise ForewarnError(f"{folder}/forewarn.json: unreadable ({type(error).__name__}); train again") from None
        _require_same_labels(labels, folder)
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._model = load_classifier(folder).eval()
        except Exception as error:  # both libraries raise bare Exception and OSError for damaged files
            raise ForewarnError(f"{folder}: cannot load the checkpoint ({type(error).__name__}); train again") from None
        if self._model.config.num_labels != len(labels.names):
            raise ForewarnError(f"{folder}: {self._model.config.num_labels} outputs for {len(labels.names)} labels")
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        self._pad_id = int(self._model.config.pad_token_id or 0)
        self._batch_size = batch_size
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._model.to(self._device)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Softmax over the leaves, one row a text."""
        import torch
        from tqdm.auto import tqdm

        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        # Texts of one length go together, so that little time is spent on padding.
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        result = np.empty((len(ids), self._model.config.num_labels), dtype=np.float32)
        with torch.inference_mode(), tqdm(total=len(ids), desc="scoring", unit="text", disable=None) as bar:
            for start in range(0, len(order), self._batch_size):
                batch = order[start : start + self._batch_size]
                width = max(len(ids[i]) for i in batch)
                padded = torch.tensor([ids[i] + [self._pad_id] * (width - len(ids[i])) for i in batch])
                mask = torch.tensor([[1] * len(ids[i]) + [0] * (width - len(ids[i])) for i in batch])
                logits = self._model(input_ids=padded.to(self._device), attention_mask=mask.to(self._device)).logits
                result[batch] = logits.float().softmax(-1).cpu().numpy()
                bar.update(len(batch))
        return result


class BundleScorer:
    """An exported bundle, with its calibration: what a phone or a server computes."""

    def __init__(self, path: Path) -> None:
        """Open and verify the bundle; raises BundleError where it is damaged or foreign."""
        from forewarn.inference.classifier import ScamClassifier

        self._classifier = ScamClassifier.load(path)
        taxonomy = self._classifier.taxonomy
        _require_same_labels(taxonomy, path)
        try:
            calibration = self._classifier.manifest["calibration"]
            self._temperature, self._scam_bias = float(calibration["temperature"]), float(calibration["scam_bias"])
        except (KeyError, TypeError, ValueError):
            raise BundleError(f"{path}: the manifest holds no calibration; export the bundle again") from None
        self._is_scam = np.isin(np.arange(len(taxonomy.names)), taxonomy.indices("scam")).astype(np.float64)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Calibrated probabilities of the leaves, one row a text."""
        from tqdm.auto import tqdm

        result = np.empty((len(texts), len(self._is_scam)), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        with tqdm(total=len(texts), desc="scoring", unit="text", disable=None) as bar:
            for start in range(0, len(order), _CHUNK):
                chunk = order[start : start + _CHUNK]
                result[chunk] = calibrated(
                    self._classifier.logits([texts[i] for i in chunk]),
                    self._is_scam,
                    self._temperature,
                    self._scam_bias,
                )
                bar.update(len(chunk))
        return result


def calibrated(
    logits: NDArray[np.float32], is_scam: NDArray[np.float64], temperature: float, scam_bias: float
) -> NDArray[np.float64]:
    """Leaf probabilities: softmax((logits + scam_bias on the scam leaves) / temperature)."""
    scaled = (logits.astype(np.float64) + scam_bias * is_scam) / temperature
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def open_scorer(path: Path) -> Scorer:
    """The scorer for a bundle (a .zip, or a folder with manifest.json) or a checkpoint (a folder with config.json).

    Raises:
        ForewarnError: the path is neither.
    """
    if path.suffix == ".zip" or (path / "manifest.json").is_file():
        if not path.exists():
            raise ForewarnError(f"{path}: no such file; give a bundle or a checkpoint folder")
        return BundleScorer(path)
    if (path / "config.json").is_file():
        return CheckpointScorer(path)
    raise ForewarnError(f"{path}: neither a bundle (manifest.json) nor a checkpoint (config.json)")


def _require_same_labels(labels: Taxonomy, path: Path) -> None:
    if labels.names != Taxonomy.load().names:
        raise ForewarnError(f"{path}: made for other labels than this version of forewarn; train or export it again")
