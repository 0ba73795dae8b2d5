"""Checkpoint to a float ONNX graph of standard operators, checked against torch, and a small runner for texts."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from forewarn.export.lean import lean
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.ngrams import WithNgrams, load_classifier
from tokenizers import Tokenizer

OPSET = 18  # the oldest that torch's exporter writes without a version conversion
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Checkpoint:
    """A fine-tuned checkpoint folder: the torch model, its tokenizer, and what `forewarn.json` says about it."""

    path: Path
    model: Any  # a PreTrainedModel; transformers types its attributes loosely
    tokenizer: Tokenizer
    taxonomy: Taxonomy
    max_length: int
    pad_id: int
    info: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint folder.

        Raises:
            ForewarnError: a file is missing or unreadable, or the model's head does not fit the labels.
        """
        for name in ("config.json", "tokenizer.json", "forewarn.json"):
            if not (path / name).is_file():
                raise ForewarnError(f"{path}: no {name}; give a checkpoint folder that `forewarn train` wrote")
        try:
            info = json.loads((path / "forewarn.json").read_text(encoding="utf-8"))
            max_length = int(info["max_length"])
            taxonomy = Taxonomy.from_dict(info["labels"])
            tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
            # Eager attention is plain matrix products, which quantise; fused attention would export to other operators.
            model = load_classifier(path, attn_implementation="eager")
        except ForewarnError:
            raise
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ForewarnError(f"{path}: not a readable checkpoint ({reason})") from None
        if model.config.num_labels != len(taxonomy.leaves):
            raise ForewarnError(
                f"{path}: the model has {model.config.num_labels} outputs but forewarn.json names "
                f"{len(taxonomy.leaves)} leaves; retrain the head"
            )
        pad_id = model.config.pad_token_id
        if pad_id is None:
            pad_id = tokenizer.token_to_id("[PAD]") or 0
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(path, model.eval().float(), tokenizer, taxonomy, max_length, int(pad_id), info)


class _LogitsOnly(torch.nn.Module):
    """The model as a function of ids and mask: ours in its short form, others as transformers writes them."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.ngrams = model.ngrams if isinstance(model, WithNgrams) else None
        self.encoder = model.encoder if isinstance(model, WithNgrams) else model
        self.lean = lean(self.encoder)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        if self.lean is not None:
            logits = self.lean(input_ids, attention_mask)
        else:
            logits = self.encoder(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits if self.ngrams is None else logits + self.ngrams(input_ids, attention_mask)


def export_onnx(checkpoint: Checkpoint, path: Path) -> onnx.ModelProto:
    """Write the checkpoint as float ONNX with dynamic batch and sequence, and check it against torch.

    Raises:
        ForewarnError: the graph needs an operator that is not standard, or its logits differ from torch's.
    """
    vocabulary = checkpoint.model.config.vocab_size
    length = max(2, min(12, checkpoint.max_length))
    ids = torch.randint(0, vocabulary, (2, length), generator=torch.Generator().manual_seed(0))
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                _LogitsOnly(checkpoint.model).eval(),
                (ids, torch.ones_like(ids)),
                dynamo=True,
                dynamic_shapes={"input_ids": dynamic, "attention_mask": dynamic},
                input_names=["input_ids", "attention_mask"],
                output_names=["logits"],
                opset_version=OPSET,
                optimize=True,
                external_data=False,
                verbose=False,
            )
    finally:
        exporter_log.setLevel(level)
    proto = _tidy(program.model_proto)
    onnx.checker.check_model(proto)
    require_standard_operators(proto)
    onnx.save_model(proto, str(path))
    difference = largest_difference(checkpoint, path)
    if difference > _TOLERANCE:
        raise ForewarnError(f"{checkpoint.path}: ONNX logits differ from torch by {difference:.2g}; not exported")
    return proto


def _tidy(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Name the axes, and drop the stack traces that the exporter leaves (they hold paths of the exporting machine)."""
    proto.doc_string = ""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.graph.value_info[:]
    proto.graph.doc_string = ""
    for item in [*proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        item.doc_string = ""
        if hasattr(item, "metadata_props"):
            del item.metadata_props[:]
    for value, axes in [(x, ("batch", "sequence")) for x in proto.graph.input] + [(proto.graph.output[0], ("batch",))]:
        for dim, name in zip(value.type.tensor_type.shape.dim, axes, strict=False):
            dim.dim_param = name
    return proto


def require_standard_operators(proto: onnx.ModelProto) -> None:
    """Refuse a graph with operators outside the default ONNX domain.

    Raises:
        ForewarnError: naming the operators.
    """
    foreign = sorted({f"{x.domain}.{x.op_type}" for x in proto.graph.node if x.domain not in ("", "ai.onnx")})
    if foreign or proto.functions:
        names = foreign or [x.name for x in proto.functions]
        raise ForewarnError(f"the graph needs operators that mobile runtimes may lack: {', '.join(names)}")


def largest_difference(checkpoint: Checkpoint, path: Path) -> float:
    """The largest difference between torch's and the ONNX file's logits, over several batch shapes with padding."""
    session = open_session(path)
    generator = torch.Generator().manual_seed(1)
    largest = 0.0
    for batch, length in ((1, 1), (1, 7), (5, 33), (3, checkpoint.max_length)):
        length = min(length, checkpoint.max_length)
        ids = torch.randint(0, checkpoint.model.config.vocab_size, (batch, length), generator=generator)
        ids[ids == checkpoint.pad_id] = checkpoint.pad_id + 1
        mask = torch.ones_like(ids)
        for row in range(1, batch):  # a different amount of padding in each further row
            real = max(1, length - 3 * row)
            mask[row, real:] = 0
            ids[row, real:] = checkpoint.pad_id
        with torch.no_grad():
            expected = checkpoint.model(input_ids=ids, attention_mask=mask).logits.numpy()
        got = session.run(["logits"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
        largest = max(largest, float(np.abs(expected - got).max()))
    return largest


def open_session(path: Path, threads: int = 0) -> ort.InferenceSession:
    """An onnxruntime session on the CPU, quiet about its graph rewrites."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def encode(checkpoint: Checkpoint, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, cut to the checkpoint's maximum length."""
    checkpoint.tokenizer.enable_truncation(checkpoint.max_length)
    try:
        return [x.ids for x in checkpoint.tokenizer.encode_batch(list(texts))]
    finally:
        checkpoint.tokenizer.no_truncation()


def pad(ids: Sequence[list[int]], pad_id: int) -> dict[str, np.ndarray]:
    """Model inputs for one batch."""
    width = max(len(x) for x in ids)
    input_ids = np.full((len(ids), width), pad_id, np.int64)
    mask = np.zeros((len(ids), width), np.int64)
    for row, x in enumerate(ids):
        input_ids[row, : len(x)] = x
        mask[row, : len(x)] = 1
    return {"input_ids": input_ids, "attention_mask": mask}


def predict(session: ort.InferenceSession, ids: Sequence[list[int]], pad_id: int, batch: int = 32) -> np.ndarray:
    """Logits of each row, in order; rows of like length are batched together."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    parts = [
        session.run(["logits"], pad([ids[i] for i in order[start : start + batch]], pad_id))[0]
        for start in range(0, len(order), batch)
    ]
    logits = np.concatenate(parts)
    result = np.empty_like(logits)
    result[order] = logits
    return result


def milliseconds_per_message(path: Path, ids: Sequence[list[int]], pad_id: int, sample: int = 100) -> float:
    """Median time of one message alone on one thread, as on a phone."""
    session = open_session(path, threads=1)
    chosen = [ids[i] for i in np.random.default_rng(0).permutation(len(ids))[:sample]]
    times = []
    for x in chosen:
        inputs = pad([x], pad_id)
        start = time.perf_counter()
        session.run(["logits"], inputs)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))
