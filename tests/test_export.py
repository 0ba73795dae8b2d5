"""Export of a tiny random checkpoint: graph, gate, calibration, and the whole bundle."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import pytest
from forewarn.export import bundle_writer, gate
from forewarn.export.bundle_writer import export_bundle, free_version, write_zip
from forewarn.export.calibrate import Calibration, fit_calibration, operating_points
from forewarn.export.held_out import held_out, on_public_text
from forewarn.export.model_card import before_and_after, evaluation_tables
from forewarn.export.onnx_model import Checkpoint, encode, export_onnx, open_session, predict
from forewarn.export.quantize import candidates
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.errors import ForewarnError, GateError
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.rows import Row
from forewarn.training.evaluation.run import evaluate
from forewarn.training.evaluation.scorers import CheckpointScorer
from forewarn.training.ngrams import PieceNgrams, pair_codes, save_ngrams

TAXONOMY = Taxonomy.load()
SCAM = [
    "pay the customs fee now",
    "your account is locked verify",
    "you won a prize claim",
    "mum new number send money",
]
HONEST = ["dinner at seven", "your code is 1234", "school is closed on monday", "see you at the station"]


def make_rows(count: int = 200) -> list[Row]:
    pick = random.Random(0)
    rows = []
    for i in range(count):
        scam = i % 2 == 0
        words = f"{pick.choice(SCAM if scam else HONEST)} {pick.choice(HONEST)} {pick.randrange(1000)}"
        label = pick.choice(["scam", "prize", "bank_alert"] if scam else ["ham", "personal", "not_scam"])
        rows.append(Row(words, label, "en" if i % 4 < 2 else "de", "sms", "written", "invented"))
    return [*rows, Row("big sale today", "unwanted", "en", "sms", "written", "invented")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import ElectraConfig, ElectraForSequenceClassification

    path = tmp_path_factory.mktemp("checkpoint")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\p{Cf}"), ""), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="[UNK]", show_progress=False)
    tokenizer.train_from_iterator([row.text for row in make_rows()] * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(path / "tokenizer.json"))
    torch.manual_seed(0)
    config = ElectraConfig(
        vocab_size=300,
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=len(TAXONOMY.leaves),
        initializer_range=0.3,
    )
    ElectraForSequenceClassification(config).save_pretrained(path)
    info = {"max_length": 40, "labels": TAXONOMY.to_dict(), "data_fingerprint": "invented"}
    (path / "forewarn.json").write_text(json.dumps(info), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def float_onnx(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("float") / "float.onnx"
    export_onnx(Checkpoint.load(folder), path)
    return path


PUBLIC = [Row(f"verse {n} of an old book", "not_scam", ("en", "sw")[n % 2], "chat", "real", "text") for n in range(20)]


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("out") / "standard"
    evaluation = evaluate(make_rows(), None, CheckpointScorer(folder), None, resamples=20)
    # A random model's scores are too close together for the real bounds to say anything about int8.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "MAX_AUROC_MOVE", 0.5)
        patch.setattr(gate, "MIN_POSITIVES", 1000)
        return out, export_bundle(folder, out, make_rows(), "2026.11.0", make_rows(), evaluation, public=PUBLIC)


def test_onnx_equals_torch_with_padding(folder: Path, float_onnx: Path) -> None:
    import torch

    checkpoint = Checkpoint.load(folder)
    proto = onnx.load(float_onnx)
    assert {x.domain for x in proto.graph.node} == {""}
    assert str(folder.parent).encode() not in proto.SerializeToString()
    assert b".py" not in proto.SerializeToString()
    ids = encode(checkpoint, [row.text for row in make_rows(40)] + ["x" * 500])
    logits = predict(open_session(float_onnx), ids, checkpoint.pad_id, batch=7)
    with torch.no_grad():
        alone = np.concatenate([checkpoint.model(input_ids=torch.tensor([x])).logits.numpy() for x in ids])
    np.testing.assert_allclose(logits, alone, atol=1e-4)


def test_another_architecture_is_exported_as_transformers_writes_it(folder: Path, tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    other = tmp_path / "bert"
    shutil.copytree(folder, other)
    shape = dict(vocab_size=300, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    BertForSequenceClassification(BertConfig(**shape, num_labels=len(TAXONOMY.names))).save_pretrained(other)
    export_onnx(Checkpoint.load(other), tmp_path / "bert.onnx")  # refused where its logits differ from torch's
    assert (tmp_path / "bert.onnx").is_file()


def test_actions_and_calibration_are_counted_on_the_test_rows() -> None:
    rows = [Row("x", "prize", "en", "sms", "written", "s", f"scam {i}") for i in range(40)]
    rows += [Row("x", "transactional", "en", "sms", "written", "s", f"bank {i}") for i in range(50)]
    rows += [Row("x", "ham", "th", "sms", "written", "s", f"ham {i}") for i in range(50)]
    rows += [Row("x", "unwanted", "th", "sms", "written", "s", "either")]
    probabilities = np.zeros((len(rows), len(TAXONOMY.names)))
    scam, bank = TAXONOMY.names.index("prize"), TAXONOMY.names.index("transactional")
    risk = np.array([0.95] * 30 + [0.85] * 5 + [0.1] * 5 + [0.9] * 2 + [0.0] * 98 + [0.99])
    probabilities[:, scam], probabilities[:, bank] = risk, 1 - risk
    found = held_out(probabilities, rows, {"warn": {"threshold": 0.8}, "block": {"threshold": 0.92}}, TAXONOMY)
    assert found["actions"]["warn"]["recall"]["value"] == pytest.approx(35 / 40)
    assert found["actions"]["block"]["recall"]["count"] == 30
    alarms = found["actions"]["warn"]["false_alarms"]
    assert (alarms["count"], alarms["rows"]) == (2, 100) and alarms["low"] <= 0.02 <= alarms["high"]
    assert found["actions"]["warn"]["honest"]["transactional"]["count"] == 2  # `ham` does not say which leaf
    assert found["actions"]["warn"]["honest"]["personal"] is None
    assert [x["flagged"]["warn"] for x in found["languages"]] == [2, 0]
    assert found["calibration"]["promotion"]["ece"] == 0.0
    assert 0.0 < found["calibration"]["scam"]["ece"] < 0.1


def test_alarms_on_public_text_are_counted_by_language() -> None:
    rows = [Row("a verse", "not_scam", language, "chat", "real", "text") for language in ("en",) * 4 + ("th",) * 2]
    probabilities = np.zeros((6, len(TAXONOMY.names)))
    probabilities[:, TAXONOMY.names.index("prize")] = [0.1, 0.85, 0.1, 0.1, 0.95, 0.85]
    found = on_public_text(probabilities, rows, {"warn": {"threshold": 0.8}, "block": {"threshold": 0.92}}, TAXONOMY)
    assert [(x["language"], x["rows"]) for x in found["languages"]] == [("th", 2), ("en", 4)]
    assert found["languages"][0]["flagged"] == {"warn": 1.0, "block": 0.5}
    assert found["mean"] == {"warn": 0.625, "block": 0.25}


def test_an_ngram_branch_goes_into_the_graph_and_into_int8(folder: Path, tmp_path: Path) -> None:
    import torch

    both = tmp_path / "both"
    shutil.copytree(folder, both)
    ngrams = PieceNgrams(300, 3000, len(TAXONOMY.names))
    torch.manual_seed(3)
    torch.nn.init.normal_(ngrams.pieces)
    pairs = pair_codes(*torch.randint(0, 300, (2, 2000))).unique()
    ngrams.keep(pairs.tolist(), torch.randn(len(pairs), len(TAXONOMY.names)))
    save_ngrams(ngrams, both)
    checkpoint = Checkpoint.load(both)
    # The export itself refuses a graph whose logits differ from torch's.
    export_onnx(checkpoint, tmp_path / "both.onnx")
    export_onnx(Checkpoint.load(folder), tmp_path / "alone.onnx")
    ids = encode(checkpoint, [row.text for row in make_rows(40)])
    logits, alone = (predict(open_session(tmp_path / f"{name}.onnx"), ids, 0) for name in ("both", "alone"))
    assert np.abs(logits - alone).max() > 0.5
    smallest = next(x for x in candidates(ids, 0) if "embeddings only" in x.name)
    smallest.write(tmp_path / "both.onnx", tmp_path / "int8.onnx")
    assert (tmp_path / "int8.onnx").stat().st_size < 0.7 * (tmp_path / "both.onnx").stat().st_size
    np.testing.assert_allclose(predict(open_session(tmp_path / "int8.onnx"), ids, 0), logits, atol=0.1)


def test_the_card_sets_two_versions_side_by_side() -> None:
    def report(recall: float, rows: int = 9) -> dict:
        scam = {"positives": 4, "negatives": 5, "recall_at_fpr": {"0.01": {"value": recall}}, "auroc": {"value": 0.9}}
        none = {"positives": 0, "negatives": 5, "recall_at_fpr": {"0.01": None}, "auroc": None}
        languages = {"en": {"scam": scam}, "xx": {"scam": none}}
        model = {"overall": {"scam": scam}, "by_language": languages}
        return {"rows": rows, "conditions": {"clean": {"model": model}}}

    table = before_and_after(report(0.25), report(0.75))
    assert "| en | 4 | 5 | 0.250 | 0.750 | 0.900 | 0.900 |" in table and "xx" not in table
    with pytest.raises(ForewarnError, match="same rows"):
        before_and_after(report(0.25, rows=8), report(0.75))


def test_every_candidate_is_standard_close_and_smaller(folder: Path, float_onnx: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(folder)
    source = float_onnx
    ids = encode(checkpoint, [row.text for row in make_rows(40)])
    reference = predict(open_session(source), ids, 0)
    for number, candidate in enumerate(candidates(ids, 0)):
        path = tmp_path / f"{number}.onnx"
        candidate.write(source, path)
        proto = onnx.load(path)
        assert {x.domain for x in proto.graph.node} <= {"", "ai.onnx"}, candidate.name
        assert path.stat().st_size < source.stat().st_size, candidate.name
        table = next(x for x in proto.graph.initializer if tuple(x.dims) == (300, 16))
        assert (table.data_type != onnx.TensorProto.FLOAT) == candidate.int8_embeddings, candidate.name
        spread = reference.std()
        assert np.abs(predict(open_session(path), ids, 0) - reference).mean() < 0.2 * spread, candidate.name


def test_bundle_is_complete_and_its_checksums_are_right(exported: tuple[Path, dict]) -> None:
    out, result = exported
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest == result["manifest"]
    names = {"model.onnx", "tokenizer.json", "forewarnings.json", "vectors.jsonl", "MODEL_CARD.md"}
    assert set(manifest["files"]) == names == {x.name for x in out.iterdir()} - {"manifest.json"}
    for name, entry in manifest["files"].items():
        content = (out / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    points = manifest["operating_points"]
    assert points["warn"]["threshold"] <= points["block"]["threshold"] <= 1
    assert "of 100 messages that are no scam" in points["warn"]["measured_on"]
    assert [x.name for x in out.parent.iterdir() if x.name.startswith(".")] == []
    assert ScamClassifier.load(out).score(["hello"])[0].model == "2026.11.0"


def test_zip_scores_like_the_folder_and_is_deterministic(exported: tuple[Path, dict], tmp_path: Path) -> None:
    out, _ = exported
    archive = out.with_name("standard.zip")
    text = "pay the fee"
    assert ScamClassifier.load(archive).score([text]) == ScamClassifier.load(out).score([text])
    write_zip(out, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    assert "manifest.json" in zipfile.ZipFile(archive).namelist()


def test_golden_vectors_are_reproduced(exported: tuple[Path, dict]) -> None:
    out, result = exported
    lines = (out / "vectors.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    vectors = [json.loads(line) for line in lines]
    assert len(vectors) == result["vectors"] >= 60
    classifier = ScamClassifier.load(out)
    for vector in vectors:
        np.testing.assert_allclose(classifier.logits([vector["text"]])[0], vector["logits"], atol=1e-3)
        assert len(vector["ids"]) <= 40
    by_text = {x["text"]: x for x in vectors}
    assert by_text["Ｆｒｅｅ　ｇｉｆｔ　１００％"]["normalised"] == "free gift 100%"
    assert by_text["cafe\u0301 de\u0301ja\u0300 vu"]["ids"] == by_text["caf\u00e9 d\u00e9j\u00e0 vu"]["ids"]


def test_model_card_tells_what_was_tried(exported: tuple[Path, dict], folder: Path) -> None:
    out, result = exported
    card = (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert all(x["name"] in card for x in result["tried"])
    assert f"**{result['chosen']}** (shipped)" in card
    tables = dict(evaluation_tables(evaluate(make_rows(), None, CheckpointScorer(folder), None, resamples=20)))
    assert all(table in card for table in tables.values())
    assert re.search(r"\| model, clean \| \d+ \| \d+ \| 0\.\d{3} \(", tables["All rows"])
    assert "| de |" in tables["By language"] and "| prize |" in tables["By leaf"]
    assert "uci_sms_spam" in card
    assert "20 sentences of public text" in card and "| sw | 10 |" in card


def test_exporting_again_replaces_a_bundle_but_nothing_else(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("keep me", encoding="utf-8")
    with pytest.raises(ForewarnError, match="not a bundle"):
        export_bundle(folder, tmp_path, make_rows(), "1")
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "keep me"


def test_failed_export_leaves_the_old_bundle(
    folder: Path, exported: tuple[Path, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = exported
    before = (out / "manifest.json").read_bytes()
    monkeypatch.setattr(gate, "MAX_AUROC_MOVE", -1.0)
    monkeypatch.setattr(bundle_writer, "candidates", lambda ids, pad: candidates(ids, pad)[-1:])
    with pytest.raises(GateError, match="AUROC"):
        export_bundle(folder, out, make_rows(), "2026.11.1")
    assert (out / "manifest.json").read_bytes() == before
    assert [x.name for x in out.parent.iterdir() if x.name.startswith(".")] == []


def test_another_model_never_takes_the_place_of_one_under_its_version(
    folder: Path, exported: tuple[Path, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(exported[0], tmp_path / "standard")
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"]["model.onnx"]["sha256"] = "0" * 64
    (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    before = (out / "manifest.json").read_bytes()
    monkeypatch.setattr(gate, "MAX_AUROC_MOVE", 0.5)
    monkeypatch.setattr(gate, "MIN_POSITIVES", 1000)
    monkeypatch.setattr(bundle_writer, "candidates", lambda ids, pad: candidates(ids, pad)[-1:])
    with pytest.raises(ForewarnError, match="another model as version 2026.11.0; give --version"):
        export_bundle(folder, out, make_rows(), "2026.11.0")
    assert (out / "manifest.json").read_bytes() == before
    export_bundle(folder, out, make_rows(), "2026.11.1")
    export_bundle(folder, out, make_rows(), "2026.11.1")  # the same model once more, say for its card


def test_the_default_version_is_the_next_of_the_month(exported: tuple[Path, dict], tmp_path: Path) -> None:
    shipped = shutil.copytree(exported[0], tmp_path / "shipped" / "standard")
    assert free_version(date(2026, 11, 30), tmp_path / "mine", shipped) == "2026.11.1"
    assert free_version(date(2026, 12, 1), tmp_path / "mine", shipped) == "2026.12.0"
    assert free_version(date(2026, 11, 30), shipped, shipped) == "2026.11.1"
    # Of a release of two bundles the second gets the number of the first.
    assert free_version(date(2026, 11, 30), shipped.parent / "nano", shipped) == "2026.11.0"


def many_rows() -> list[Row]:
    labels = [("prize", "ham")[i % 2] for i in range(400)]
    languages = [("en", "sw")[i >= 360] for i in range(400)]
    return [Row("", x, y, "sms", "written", "invented") for x, y in zip(labels, languages, strict=True)]


def test_gate_names_what_moved() -> None:
    rows = many_rows()
    good = np.array([0.9 if row.label == "prize" else 0.1 for row in rows])
    gate.compare(rows, good, good, TAXONOMY).require("int8")
    broken = np.random.default_rng(0).random(len(rows))
    report = gate.compare(rows, good, broken, TAXONOMY)
    with pytest.raises(GateError, match=r"AUROC 1\.0000 -> .*recall around 1 % false alarms in en"):
        report.require("int8")
    # 20 Swahili scams are too few to judge: reported, never a reason.
    assert [x.gated for x in report.languages] == [True, False]
    assert "sw" not in " ".join(report.failures)


def test_gate_holds_the_recall_over_all_rows_to_half_a_point() -> None:
    rows = many_rows() * 6
    scam = np.array([row.label == "prize" for row in rows])
    good = np.where(scam, 0.9, 0.1)
    good[np.flatnonzero(~scam)[::50]] = 0.5  # two honest messages in a hundred look suspicious
    for lost, passes in ((5, True), (7, False)):  # of 1,200 scams
        worse = good.copy()
        worse[np.flatnonzero(scam)[:lost]] = 0.4
        report = gate.compare(rows, good, worse, TAXONOMY)
        assert report.overall.gated and report.overall.move == pytest.approx(-lost / 1200)
        assert (not report.failures) == passes
    assert "over all rows 100.0 % -> 99.4 %" in report.failures[0]


def test_gate_fails_on_nan() -> None:
    rows = many_rows()
    good = np.array([0.9 if row.label == "prize" else 0.1 for row in rows])
    with pytest.raises(GateError):
        gate.compare(rows, good, np.full(len(rows), np.nan), TAXONOMY).require("int8")


def test_rank_metrics_count_ties_and_whole_messages() -> None:
    positive = np.array([True, True, False, False])
    assert gate.auroc(np.array([2.0, 1.0, 1.0, 0.0]), positive) == 0.875
    scores, labels = np.r_[np.arange(100.0), 98.5, 99.5], np.r_[np.zeros(100, bool), True, True]
    assert gate.recall_at_fpr(scores, labels, 0.01) == 1.0  # one false alarm (99) is allowed
    assert gate.recall_at_fpr(scores, labels, 0.001) == 0.5


def test_calibration_recovers_temperature_and_bias() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(6000, len(TAXONOMY.leaves))) * 2
    truth = Calibration(temperature=1.7, scam_bias=-0.8)
    p = np.exp(truth.log_probabilities(logits, TAXONOMY))
    leaves = [TAXONOMY.names[generator.choice(len(row), p=row / row.sum())] for row in p]
    # Half of the labels say no more than the verdict, as public data does.
    coarse = {"scam": "scam", "promotion": "promotion", "legitimate": "ham"}
    labels = [x if i % 2 else coarse[TAXONOMY.verdict_of(x) or ""] for i, x in enumerate(leaves)]
    found = fit_calibration(logits, labels, TAXONOMY)
    assert found.temperature == pytest.approx(1.7, rel=0.08)
    assert found.scam_bias == pytest.approx(-0.8, abs=0.15)


def test_operating_points_keep_their_false_alarm_rate() -> None:
    rows = [Row("", "ham", "en", "sms", "written", "invented")] * 5000 + [
        Row("", label, "en", "sms", "written", "invented") for label in ("scam", "unwanted")
    ]
    risk = np.r_[np.random.default_rng(0).random(5000) * 0.9, 0.95, 0.95]
    points = operating_points(risk, rows, TAXONOMY)
    assert (risk[:5000] >= points["warn"]["threshold"]).sum() == 50
    assert (risk[:5000] >= points["block"]["threshold"]).sum() == 5
    assert points["block"]["measured_on"].endswith("5 of 5000 messages that are no scam, 1 of 1 scams")


def test_a_report_of_something_else_is_refused() -> None:
    with pytest.raises(ForewarnError, match="forewarn evaluate"):
        evaluation_tables({"overall": {"auroc": 0.9}})


def test_unusable_checkpoint_is_one_line(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ForewarnError, match="no config.json"):
        Checkpoint.load(tmp_path)
    for name in ("config.json", "tokenizer.json", "forewarn.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ForewarnError, match="not a readable checkpoint"):
        Checkpoint.load(tmp_path)
