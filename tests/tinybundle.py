"""Builds a real, tiny bundle: a bag-of-pieces ONNX model and a Unigram tokenizer of a few invented messages."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from forewarn.inference.labels import Taxonomy
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VERSION = "2026.11.0"
NEXT_VERSION = "2026.12.0"

SCAM = [
    "Tax refund waiting, claim your rebate now at http://refund.example",
    "Claim your tax rebate today or it expires",
    "国税退税通知请立即领取退款",
    "点击链接领取退税退款",
    "คืนภาษีของคุณรอรับเงินคืนตอนนี้",
]
HAM = [
    "See you at dinner tonight, love mum",
    "Running late, be home at seven",
    "晚上一起吃饭吗妈妈等你",
    "今天下班早点回家",
    "เย็นนี้กินข้าวด้วยกันไหม",
    "Привет, увидимся вечером",
    "مرحبا أراك في المساء",
]

FOREWARNINGS = {
    "tax_rebate": {
        "en": "The tax office never sends a link for a refund. Open its own app instead.",
        "zh": "税务局不会发链接退税。",
        "zh-Hant": "稅務局不會傳連結退稅。",
        "pt-BR": "A Receita não envia link de restituição.",
    },
}


def _pieces(size: int = 300, longest: int = 6) -> list[tuple[str, float]]:
    """Counted, not learned: the library's training ends with other pieces each time."""
    counts: Counter[str] = Counter()
    for word in " ".join(SCAM + HAM).lower().split():
        for start, end in combinations(range(len(word) + 2), 2):
            if end - start <= longest:
                counts[f"\u2581{word}"[start:end]] += 1
    best = sorted(counts, key=lambda piece: (len(piece) > 1, -counts[piece] * len(piece), piece))
    total = counts.total()
    pieces = [(piece, round(math.log(counts[piece] / total), 4)) for piece in best[: size - len(SPECIAL)]]
    return [(name, 0.0) for name in SPECIAL] + pieces


def build_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(_pieces(), unk_id=SPECIAL.index("[UNK]")))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\p{Cf}"), ""), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def build_model(tokenizer: Tokenizer, taxonomy: Taxonomy, path: Path) -> None:
    """Mean of piece vectors, then a linear layer; dimension 0 means tax_rebate, dimension 1 means personal."""
    random = np.random.default_rng(7)
    width = 8
    vectors = random.normal(0, 0.05, (tokenizer.get_vocab_size(), width)).astype(np.float32)
    for dimension, texts, others in ((0, SCAM, HAM), (1, HAM, SCAM)):
        own = {i for x in texts for i in tokenizer.encode(x).ids} - {i for x in others for i in tokenizer.encode(x).ids}
        vectors[list(own), dimension] += 1
    linear = random.normal(0, 0.05, (width, len(taxonomy.leaves))).astype(np.float32)
    linear[0, taxonomy.names.index("tax_rebate")] = 40
    linear[1, taxonomy.names.index("personal")] = 40

    constants = {
        "vectors": vectors,
        "linear": linear,
        "axis2": np.array([2], np.int64),
        "axis1": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["vectors", "input_ids"], ["embedded"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "axis2"], ["mask3"]),
        helper.make_node("Mul", ["embedded", "mask3"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "axis1"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["mask3", "axis1"], ["length"], keepdims=0),
        helper.make_node("Div", ["total", "length"], ["mean"]),
        helper.make_node("MatMul", ["mean", "linear"], ["logits"]),
    ]
    ids = [
        helper.make_tensor_value_info(x, TensorProto.INT64, ["batch", "sequence"])
        for x in ("input_ids", "attention_mask")
    ]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(taxonomy.leaves)])
    graph = helper.make_graph(
        nodes, "tiny", ids, [logits], [numpy_helper.from_array(value, name) for name, value in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def build_bundle(folder: Path) -> Path:
    """Write a complete bundle into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    taxonomy = Taxonomy.load()
    tokenizer = build_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    build_model(tokenizer, taxonomy, folder / "model.onnx")
    (folder / "forewarnings.json").write_text(json.dumps(FOREWARNINGS, ensure_ascii=False), encoding="utf-8")
    (folder / "MODEL_CARD.md").write_text("# Tiny model for tests\n", encoding="utf-8")
    _write_vectors(folder, tokenizer)
    manifest = {
        "format": 1,
        "version": VERSION,
        "labels": taxonomy.to_dict(),
        "max_length": 160,
        "pad_id": 0,
        "calibration": {"temperature": 1.5, "scam_bias": 0.25},
        "operating_points": {
            "warn": {"threshold": 0.5, "false_alarm_rate": 0.01, "measured_on": "invented messages"},
            "block": {"threshold": 0.9, "false_alarm_rate": 0.001, "measured_on": "invented messages"},
        },
        "sources": [{"name": "invented", "licence": "Apache-2.0"}],
        "licence": "Apache-2.0",
        "files": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    seal(folder)
    return folder


def seal(folder: Path, **changes: object) -> None:
    """Apply changes to the manifest and write the true checksums of all files into it."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8")) | changes
    manifest["files"] = {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _write_vectors(folder: Path, tokenizer: Tokenizer) -> None:
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    with (folder / "vectors.jsonl").open("w", encoding="utf-8") as handle:
        for text, verdict in [(SCAM[0], "scam"), (HAM[0], "legitimate"), (SCAM[2], "scam")]:
            ids = tokenizer.encode(text).ids
            feed = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
            vector = {
                "text": text,
                "normalised": tokenizer.normalizer.normalize_str(text),
                "ids": ids,
                "logits": session.run(["logits"], feed)[0][0].tolist(),
                "verdict": verdict,
            }
            handle.write(json.dumps(vector, ensure_ascii=False) + "\n")


def retrain(folder, version=NEXT_VERSION, factor=0.05):
    """Other weights for the model of a bundle, which is less sure of a scam then; all else in it is true to them."""
    model = onnx.load(str(folder / "model.onnx"))
    [linear] = [x for x in model.graph.initializer if x.name == "linear"]
    weights = onnx.numpy_helper.to_array(linear).copy()
    weights[0] *= factor
    linear.CopyFrom(onnx.numpy_helper.from_array(weights, "linear"))
    onnx.save(model, str(folder / "model.onnx"))
    _write_vectors(folder, Tokenizer.from_file(str(folder / "tokenizer.json")))
    seal(folder, version=version)
    return folder
