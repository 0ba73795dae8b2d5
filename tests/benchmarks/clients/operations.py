"""How much work one message is for a model, whatever runs it, and from that an estimate for phones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

TOKENS = 65  # what 160 characters come to with the standard bundle's tokenizer
_PRODUCTS = {"MatMul", "MatMulInteger", "Gemm"}
_UNCOUNTED = {"Conv", "ConvInteger", "ConvTranspose", "Einsum", "QLinearConv", "QLinearMatMul", "LSTM", "GRU", "RNN"}


@dataclass(frozen=True)
class Operations:
    """What one message costs.

    Attributes:
        multiply_adds: in all matrix products.
        weight_bytes: read from the model: every weight once, and of a table the rows that are looked up.
    """

    multiply_adds: int
    weight_bytes: int


@dataclass(frozen=True)
class Core:
    """A core of a phone, and what it is assumed to do."""

    name: str
    multiply_adds_per_second: float
    why: str


# The only measurement behind these is the first one's kernel, by gemmlowp's authors. All else are guesses.
CORES = (
    Core(
        "Cortex-A53, 1.4 GHz (small core of a cheap or old phone)",
        2.3e9,
        "half of what gemmlowp's kernel alone was measured at there (9.37 Gop/s, which is 4.7e9 multiply-adds/s; "
        "the half is a guess)",
    ),
    Core(
        "Cortex-A55, 1.8 GHz, with dot products (small core of a newer phone)",
        8e9,
        "a guess: the dot product instruction does four times as much, and memory holds it back",
    ),
)


def count(path: Path, tokens: int = TOKENS) -> Operations:
    """Count one message's operations by running the model's graph as it stands, with all shapes looked at.

    Args:
        path: of a model.onnx with inputs `input_ids` and `attention_mask`.
        tokens: of the message.

    Raises:
        ValueError: the graph has an operator that multiplies matrices in a way that is not counted here.
    """
    model = onnx.load(path)
    nodes = model.graph.node
    if unknown := sorted({node.op_type for node in nodes} & _UNCOUNTED):
        raise ValueError(f"{path.name}: {', '.join(unknown)} is not counted yet; add it to operations.py")
    weights = {weight.name: weight for weight in model.graph.initializer}
    products = [node for node in nodes if node.op_type in _PRODUCTS]
    lookups = [node for node in nodes if node.op_type == "Gather" and node.input[0] in weights]
    wanted = {name for node in products for name in (node.input[0], node.output[0])} | {x.input[1] for x in lookups}
    values = _values(model, wanted, tokens)

    multiply_adds = 0
    for node in products:
        left, out = values[node.input[0]].shape, values[node.output[0]].shape
        transposed = node.op_type == "Gemm" and any(x.name == "transA" and x.i for x in node.attribute)
        multiply_adds += math.prod(out) * (left[0] if transposed else left[-1])
    tables = {node.input[0] for node in lookups}
    weight_bytes = sum(numpy_helper.to_array(x).nbytes for name, x in weights.items() if name not in tables)
    for node in lookups:
        table = numpy_helper.to_array(weights[node.input[0]])
        axis = next((x.i for x in node.attribute if x.name == "axis"), 0)
        weight_bytes += values[node.input[1]].size * table.nbytes // table.shape[axis]
    return Operations(multiply_adds, weight_bytes)


def _values(model: onnx.ModelProto, names: set[str], tokens: int) -> dict[str, np.ndarray]:
    """What the named values of a graph are, for one message of so many tokens."""
    inputs = {x.name: np.ones((1, tokens), dtype=np.int64) for x in model.graph.input}
    constants = {x.name: numpy_helper.to_array(x) for x in model.graph.initializer}
    known = {x.name for x in model.graph.output}
    asked = sorted(names - inputs.keys() - constants.keys())
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in asked if name not in known)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # what is fused has no value left
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return inputs | constants | dict(zip(asked, session.run(asked, inputs), strict=True))
