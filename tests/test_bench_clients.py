"""Measuring the clients: on graphs and figures whose result is known, and with the real Python client."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.clients import report
from benchmarks.clients.operations import TOKENS, Operations, count
from benchmarks.clients.run import CHARACTERS, bundles, sms_texts
from benchmarks.clients.sizes import BundleSize, ClientSize, bundle_size, client_sizes
from benchmarks.clients.workers import HERE, ROOT, Client, Job, WorkerFailed, clients
from onnx import TensorProto, helper, numpy_helper, save

STANDARD = bundles()[0]
LABELS = 21
PYTHON = Client("python", "Python", (sys.executable, str(HERE / "measure_python.py")))


def saved(path, nodes, weights):
    """A model of these nodes from input_ids to the last node's output."""
    shape = ["batch", "sequence"]
    inputs = [helper.make_tensor_value_info(x, TensorProto.INT64, shape) for x in ("input_ids", "attention_mask")]
    out = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "graph", inputs, [out], initializers)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_multiply_adds_and_the_bytes_read_are_counted(tmp_path):
    weights = {
        "table": np.zeros((100, 8), np.float32),
        "widen": np.zeros((8, 16), np.float32),
        "head": np.zeros((3, 256), np.float32),
        "flat": np.array([1, -1]),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("MatMul", ["rows", "widen"], ["wide"]),  # 1 x 16 x 8 by 8 x 16
        helper.make_node("Transpose", ["wide"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["turned", "wide"], ["square"]),  # 1 x 16 x 16 by 16 x 16
        helper.make_node("Reshape", ["square", "flat"], ["line"]),
        helper.make_node("Gemm", ["line", "head"], ["logits"], transB=1),  # 1 x 256 by 256 x 3
    ]
    counted = count(saved(tmp_path / "model.onnx", nodes, weights), tokens=16)
    assert counted.multiply_adds == 16 * 8 * 16 + 16 * 16 * 16 + 256 * 3
    assert counted.weight_bytes == 16 * 8 * 4 + 8 * 16 * 4 + 3 * 256 * 4 + 2 * 8


def test_a_product_that_is_not_counted_is_refused(tmp_path):
    nodes = [helper.make_node("Einsum", ["input_ids", "input_ids"], ["logits"], equation="bi,bi->b")]
    with pytest.raises(ValueError, match="Einsum is not counted yet"):
        count(saved(tmp_path / "model.onnx", nodes, {}))


def test_the_shipped_model_grows_with_the_message():
    short, long = (count(STANDARD / "model.onnx", tokens) for tokens in (TOKENS // 2, 2 * (TOKENS // 2)))
    assert 1.9 < long.multiply_adds / short.multiply_adds < 2.2  # attention grows faster than the message
    assert 1 < long.weight_bytes / short.weight_bytes < 1.1  # only the tables are read more
    assert short.weight_bytes < (STANDARD / "model.onnx").stat().st_size


def test_messages_are_one_sms_long():
    lines = (STANDARD / "vectors.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    texts = sms_texts([json.loads(line)["text"] for line in lines])
    assert len(set(texts)) == len(texts) > 20 and {len(x) for x in texts} == {CHARACTERS}


def test_an_app_leaves_out_card_and_vectors():
    size = bundle_size(STANDARD)
    left_out = sum((STANDARD / name).stat().st_size for name in ("MODEL_CARD.md", "vectors.jsonl"))
    assert size.whole - size.needed == left_out
    assert size.needed_zip < size.whole_zip < size.whole and size.model < size.needed


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The clients that run here, by key."""
    return {client.key: client for client in clients(tmp_path_factory.mktemp("classes"))[0]}


@pytest.mark.parametrize("key", ["python", "node", "chromium", "java"])
def test_a_client_is_measured_in_processes_of_its_own(found, key):
    if key not in found:
        pytest.skip("not installed, or the web client is not built")
    alone = found[key].run(Job())
    figures = found[key].run(Job(STANDARD, ("warm",), ("hello mum", "you won"), (("hello mum", "you won"),), LABELS))
    assert len(figures["message"]) == 2 and len(figures["batch"]) == 1 and min(figures["message"]) > 0
    assert alone["peak"] < figures["peak_alone"] <= figures["peak"] and figures["load"] > 0
    if key in ("python", "node"):
        assert figures["runtime_bytes"] > 1_000_000
    if key == "chromium":
        assert figures["wasm"] > alone["wasm"] > 1_000_000


def test_a_client_has_a_size():
    figures = PYTHON.run(Job(STANDARD, (), ("hello mum",), (("hello mum",),)))
    size = client_sizes({"python": figures}, Path("unused"))["python"]
    assert size.code > 10_000 and size.runtime > 1_000_000


def test_a_worker_that_fails_says_why_in_one_line(tmp_path):
    with pytest.raises(WorkerFailed, match="^Python failed with 1: .*BundleError: .*") as raised:
        PYTHON.run(Job(tmp_path / "nothing"))
    assert "\n" not in str(raised.value)


def rounds(load, message, peak, **more):
    return [{"load": load, "message": message, "batch": [320.0], "peak_alone": peak, "peak": peak + 1e6, **more}]


def test_ratios_are_of_the_same_round_and_memory_is_beyond_the_runtime():
    python = rounds(100, [1.0], 50e6) + rounds(100, [10.0], 50e6)
    other = rounds(200, [2.0], 90e6, wasm=7) + rounds(200, [20.0], 90e6, wasm=9)
    cost = report.cost(other, python, [{"peak": 60e6, "wasm": 3}] * 2)
    assert cost.message_ratio == 2 and cost.batch_ratio == 1 and cost.batch == 10
    assert (cost.beyond_alone, cost.beyond, cost.peak) == (30e6, 31e6, 91e6)
    assert (cost.wasm, cost.wasm_alone) == (9, 3)


@pytest.mark.parametrize("taken, met", [(11e6, True), (13e6, False)])
def test_nano_is_held_against_its_bar(tmp_path, taken, met):
    parts = [
        report.BundlePart(name, "1", BundleSize(5, 4, 3, 2, 1), Operations(23_000_000, 2_000_000), 65)
        for name in ("standard", "nano")
    ]
    figures = {("standard", "python"): rounds(100, [1.0], 90e6), ("nano", "python"): rounds(50, [0.5], 50e6 + taken)}
    about = {"processor": "a processor", "cores": 2, "load_average": 0.1}
    text, kept = report.write(
        parts, [PYTHON], figures, {"python": [{"peak": 50e6}]}, {"python": ClientSize(1)}, about, [], tmp_path
    )
    assert kept is met and f"{taken / 1e6:.1f} MB" in text and ("**missed**" in text) is not met
    assert "10.0 ms" in text and "an estimate, not a measurement" in text  # 23 million at 2.3 billion a second
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == text
    costs = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["costs"]
    assert [x["bundle"] for x in costs] == ["standard", "nano"]


def test_every_bundle_is_taken_and_standard_first():
    assert STANDARD.name == "standard"
    assert set(bundles()) == {x.parent for x in (ROOT / "mobile_bundle").glob("*/manifest.json")}
