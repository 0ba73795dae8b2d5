"""Int8 candidates of a float ONNX model: what to try, how each is made. Standard operators only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from forewarn.export.onnx_model import pad
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

_NARROW = 64  # columns
_LARGE = 512  # smaller tensors (biases, norms) are not worth their scales


@dataclass(frozen=True)
class Candidate:
    """One way to quantise: its name in the model card, whether embeddings become int8, and how to write it."""

    name: str
    int8_embeddings: bool
    write: Callable[[Path, Path], None]


def candidates(calibration_ids: Sequence[list[int]], pad_id: int) -> list[Candidate]:
    """Everything that the export tries. `calibration_ids` are rows for the static candidate's activation ranges."""

    def weights_only(source: Path, target: Path) -> None:
        onnx.save_model(int8_weights(int8_embeddings(onnx.load(source))), str(target))

    def embeddings_only(source: Path, target: Path) -> None:
        onnx.save_model(int8_embeddings(onnx.load(source)), str(target))

    def static(source: Path, target: Path) -> None:
        _static(source, target, calibration_ids, pad_id)

    return [
        Candidate("dynamic, per tensor, float embeddings", False, _dynamic(per_channel=False)),
        Candidate("dynamic, per channel, float embeddings", False, _dynamic(per_channel=True)),
        Candidate("dynamic, per tensor, embeddings per tensor", True, _dynamic(per_channel=False, embeddings="tensor")),
        Candidate("dynamic, per channel, embeddings per row", True, _dynamic(per_channel=True, embeddings="row")),
        Candidate(
            "dynamic, per channel, embeddings per row, float head",
            True,
            _dynamic(per_channel=True, embeddings="row", float_head=True),
        ),
        Candidate("static QDQ, per channel, embeddings per row", True, static),
        Candidate("weights only, per channel, embeddings per row", True, weights_only),
        Candidate("embeddings only, per row, float layers", True, embeddings_only),
    ]


def _dynamic(
    *, per_channel: bool, embeddings: str | None = None, float_head: bool = False
) -> Callable[[Path, Path], None]:
    def write(source: Path, target: Path) -> None:
        proto = onnx.load(source)
        with _quiet():
            quantize_dynamic(
                proto,
                str(target),
                op_types_to_quantize=["MatMul", "Gemm", *(["Gather"] if embeddings == "tensor" else [])],
                nodes_to_exclude=head_nodes(proto) if float_head else [],
                per_channel=per_channel,
                # Seven bits: x86 without VNNI saturates eight-bit products, and its logits would differ from a phone's.
                reduce_range=True,
                weight_type=QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True},
            )
        if embeddings == "row":
            onnx.save_model(int8_embeddings(onnx.load(target)), str(target))

    return write


class _Rows(CalibrationDataReader):
    """Feeds rows to onnxruntime's range observer, one message at a time."""

    def __init__(self, ids: Sequence[list[int]], pad_id: int) -> None:
        self._inputs: Iterator[dict[str, np.ndarray]] = iter([pad([x], pad_id) for x in ids])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)


def _static(source: Path, target: Path, ids: Sequence[list[int]], pad_id: int) -> None:
    proto = onnx.load(source)
    constant = {x.name for x in proto.graph.initializer}
    # Attention's products of two activations stay float: their ranges vary most from message to message.
    nodes = [x.name for x in proto.graph.node if x.op_type == "MatMul" and x.input[1] in constant]
    nodes += head_nodes(proto)
    with _quiet():
        quantize_static(
            proto,
            str(target),
            _Rows(ids, pad_id),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul", "Gemm"],
            nodes_to_quantize=nodes,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    onnx.save_model(int8_embeddings(onnx.load(target)), str(target))


class _quiet:
    """Silence the advice that onnxruntime's quantiser writes to the root logger."""

    def __enter__(self) -> None:
        self._level = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._level)


def head_nodes(proto: onnx.ModelProto) -> list[str]:
    """Names of the classifier head's dense layers: the constant-weight products after the first token is picked."""
    constant = {x.name for x in proto.graph.initializer}
    dense = [x.name for x in proto.graph.node if x.op_type == "Gemm" and x.input[1] in constant]
    if dense:
        # onnxruntime's quantiser rewrites Gemm to MatMul and Add before it looks at names.
        return dense + [f"{name}_MatMul" for name in dense]
    products = [x.name for x in proto.graph.node if x.op_type == "MatMul" and x.input[1] in constant]
    return products[-1:]


def int8_embeddings(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Store every large embedding table as int8; Gather picks the row, Cast and Mul restore it.

    One scale a row, since rare pieces have small rows; a narrow table, as that of the n-grams, has one a column, where
    four bytes a row would be a sixth of it.
    """
    tables = {x.name: x for x in proto.graph.initializer}
    replaced: dict[str, tuple[str, str]] = {}
    nodes: list[onnx.NodeProto] = []
    for node in proto.graph.node:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        axis = next((x.i for x in node.attribute if x.name == "axis"), 0)
        if table is None or table.data_type != TensorProto.FLOAT or axis != 0 or len(table.dims) != 2:
            nodes.append(node)
            continue
        if np.prod(table.dims) < _LARGE:
            nodes.append(node)
            continue
        narrow = table.dims[1] < _NARROW
        if table.name not in replaced:
            replaced[table.name] = _add_int8(proto, table, axis=0 if narrow else 1)
        quantised, scale = replaced[table.name]
        ids, out = node.input[1], node.output[0]
        nodes += [
            helper.make_node("Gather", [quantised, ids], [f"{out}_rows"], f"{node.name}_rows"),
            helper.make_node("Cast", [f"{out}_rows"], [f"{out}_float"], f"{node.name}_cast", to=TensorProto.FLOAT),
        ]
        if not narrow:
            nodes.append(helper.make_node("Gather", [scale, ids], [f"{out}_scale"], f"{node.name}_scale"))
            scale = f"{out}_scale"
        nodes.append(helper.make_node("Mul", [f"{out}_float", scale], [out], f"{node.name}_restore"))
    return _replace(proto, nodes, set(replaced))


def int8_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Store the weights of dense layers as int8 with one scale an output channel.

    Cast and Mul restore them; a runtime folds that once at load, so that arithmetic is float: logits do not depend on
    the other messages of a batch, nor on the processor's integer instructions.
    """
    tables = {x.name: x for x in proto.graph.initializer}
    replaced: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in proto.graph.node:
        table = tables.get(node.input[1]) if node.op_type in ("MatMul", "Gemm") else None
        if (
            table is not None
            and table.data_type == TensorProto.FLOAT
            and len(table.dims) == 2
            and np.prod(table.dims) >= _LARGE
        ):
            if table.name not in replaced:
                transposed = any(x.name == "transB" and x.i for x in node.attribute)
                quantised, scale = _add_int8(proto, table, axis=1 if transposed else 0)
                restored = f"{table.name}_restored"
                nodes += [
                    helper.make_node("Cast", [quantised], [f"{table.name}_float"], to=TensorProto.FLOAT),
                    helper.make_node("Mul", [f"{table.name}_float", scale], [restored]),
                ]
                replaced[table.name] = restored
            node.input[1] = replaced[table.name]
        nodes.append(node)
    return _replace(proto, nodes, set(replaced))


def _add_int8(proto: onnx.ModelProto, table: TensorProto, axis: int) -> tuple[str, str]:
    """Add symmetric int8 values and scales, reduced over `axis`; returns the two initializers' names."""
    values = numpy_helper.to_array(table).astype(np.float32)
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True) / 127, 1e-12).astype(np.float32)
    names = f"{table.name}_int8", f"{table.name}_scale"
    rounded = np.clip(np.rint(values / scale), -127, 127).astype(np.int8)
    proto.graph.initializer.extend(
        [numpy_helper.from_array(rounded, names[0]), numpy_helper.from_array(scale, names[1])]
    )
    return names


def _replace(proto: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], gone: set[str]) -> onnx.ModelProto:
    copies = [onnx.NodeProto.FromString(x.SerializeToString()) for x in nodes]
    used = {name for node in copies for name in node.input}
    keep = [x for x in proto.graph.initializer if x.name not in gone or x.name in used]
    keep = [onnx.TensorProto.FromString(x.SerializeToString()) for x in keep]
    del proto.graph.node[:], proto.graph.initializer[:], proto.graph.value_info[:]
    proto.graph.node.extend(copies)
    proto.graph.initializer.extend(keep)
    return proto
