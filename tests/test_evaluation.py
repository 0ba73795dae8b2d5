"""An evaluation from rows to report, with an invented inbox and a scorer that looks for a few words."""

import json
import random
import re
import sys
import types

import numpy as np
import pytest
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.rows import Row
from forewarn.training.evaluation import baseline, cli
from forewarn.training.evaluation.report import language_table, show, write_report
from forewarn.training.evaluation.run import evaluate, predict
from forewarn.training.evaluation.scorers import calibrated, open_scorer

TAXONOMY = Taxonomy.load()
PHRASES = {
    ("en", "parcel_delivery"): "your parcel waits, pay the customs fee number {}",
    ("en", "personal"): "see you at the station at {}",
    ("en", "promotion"): "spring sale, {} per cent off all shoes",
    ("de", "bank_alert"): "ihr konto ist gesperrt, bestätigen sie die nummer {}",
    ("de", "transactional"): "ihre rechnung {} ist bezahlt, danke",
    ("de", "ham"): "wir sehen uns um {} im garten",
    ("es", "prize"): "ha ganado un premio de {} euros, llame ya",
    ("es", "personal"): "llego a casa a las {}",
    ("es", "unwanted"): "oferta exclusiva {} solo hoy",
}


def inbox(count, start=0):
    return [
        Row(phrase.format(n), label, language, "sms", "written", f"card-{language}", group=f"{label}{n}")
        for (language, label), phrase in PHRASES.items()
        for n in range(start, start + count)
    ]


class KeywordScorer:
    """Certain where it knows a word, personal otherwise; blind where a number ends in 7."""

    words = {"parcel": "parcel_delivery", "konto": "bank_alert", "premio": "prize", "sale": "promotion"}

    def probabilities(self, texts):
        p = np.full((len(texts), len(TAXONOMY.names)), 0.01)
        for row, text in enumerate(texts):
            known = {} if re.search(r"7\b", text) else self.words
            found = [leaf for word, leaf in known.items() if word in text]
            p[row, TAXONOMY.names.index(found[0] if found else "personal")] = 0.8
        return p


def disguise(text: str, rng: random.Random) -> str:
    return "".join(f"{letter}." if letter.isalpha() and rng.random() < 0.3 else letter for letter in text)


@pytest.fixture(scope="module")
def result():
    return evaluate(inbox(30, 100), inbox(40), KeywordScorer(), disguise, seed=3, resamples=50)


def test_overall_figures_are_those_of_the_rows(result):
    overall = result["conditions"]["clean"]["model"]["overall"]
    # 3 scam phrases against 5 that are none; "unwanted" may be either and is left out here.
    assert (overall["scam"]["positives"], overall["scam"]["negatives"]) == (90, 150)
    # "unwanted" and promotion count as positives of the second question.
    assert (overall["unwanted"]["positives"], overall["unwanted"]["negatives"]) == (150, 120)
    # One number in ten ends in 7, and those messages are missed.
    assert overall["scam"]["recall_at_fpr"]["0.01"]["value"] == pytest.approx(81 / 90)
    assert overall["scam"]["at_overall_threshold"]["false_alarm_rate"]["value"] == 0
    assert overall["leaf"]["rows"] == 210
    assert result["systems"] == ["model", "baseline"]


def test_disguise_hurts_the_keyword_model(result):
    recall = {
        condition: systems["model"]["overall"]["scam"]["at_overall_threshold"]["recall"]["value"]
        for condition, systems in result["conditions"].items()
    }
    assert recall["obfuscated"] < recall["clean"]


def test_flagged_honest_messages_are_counted_by_language_and_leaf(result):
    report = result["conditions"]["clean"]["model"]
    cells = [cell | {"leaf": leaf} for found in report["honest_by_language"].values() for leaf, cell in found.items()]
    assert cells and all(0 <= cell["flagged"] <= cell["rows"] for cell in cells)
    for leaf, found in report["by_leaf"].items():
        counted = sum(cell["rows"] for cell in cells if cell["leaf"] == leaf)
        assert counted == (0 if found["verdict"] == "scam" else found["positives"])


def test_the_baseline_learns_from_the_training_rows(result):
    overall = result["conditions"]["clean"]["baseline"]["overall"]
    assert overall["scam"]["auroc"]["value"] > 0.99
    assert overall["leaf"]["accuracy"]["value"] > 0.95


def test_slices_stand_by_language_source_and_leaf(result):
    model = result["conditions"]["clean"]["model"]
    assert list(model["by_language"]) == ["de", "en", "es"]
    assert list(model["by_source"]) == ["card-de", "card-en", "card-es"]
    assert list(model["by_leaf"]) == list(TAXONOMY.names)
    assert model["by_leaf"]["parcel_delivery"]["recall"]["value"] == pytest.approx(27 / 30)
    assert model["by_leaf"]["personal"]["recall"] is None
    assert model["by_leaf"]["personal"]["false_alarm_rate"]["value"] == 0


def test_too_few_rows_give_null_and_not_a_figure(result):
    assert result["conditions"]["clean"]["model"]["by_leaf"]["romance"]["f1"] is None
    few = [row for row in inbox(3) if row.language == "en"] + [row for row in inbox(30) if row.language == "de"]
    by_language = evaluate(few, None, KeywordScorer(), None, resamples=0)["conditions"]["clean"]["model"]["by_language"]
    scam = by_language["en"]["scam"]
    assert scam["auroc"] is None and scam["ece"] is None and set(scam["recall_at_fpr"].values()) == {None}
    assert by_language["en"]["leaf"]["accuracy"] is None
    assert by_language["de"]["scam"]["auroc"]["value"] > 0.9


def test_the_same_seed_gives_the_same_result(result):
    again = evaluate(inbox(30, 100), inbox(40), KeywordScorer(), disguise, seed=3, resamples=50)
    assert again == result


def test_report_is_valid_json_and_one_page_that_needs_nothing_else(result, tmp_path):
    write_report(result | {"target": "<b>odd</b> name"}, tmp_path / "new")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["evaluation.html", "evaluation.json"]
    raw = (tmp_path / "new" / "evaluation.json").read_text(encoding="utf-8")
    json.loads(raw, parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))
    page = (tmp_path / "new" / "evaluation.html").read_text(encoding="utf-8")
    for name in ("en", "de", "es", "card-es", "parcel_delivery"):
        assert f"<td>{name}</td>" in page
    assert not re.search(r"https?://|<script|<link|@import", page)
    assert page.count("data:image/png;base64,") == 3
    assert "<b>odd</b>" not in page and "nan" not in re.sub(r"base64,[^\"]*", "", page).lower()


def test_reports_hold_no_message_text(result, tmp_path):
    for path in write_report(result, tmp_path):
        assert "parcel waits" not in path.read_text(encoding="utf-8")


def test_language_table_has_a_language_a_row(result):
    lines = language_table(result).splitlines()
    assert [line.split()[0] for line in lines] == ["language", "de", "en", "es", "all"]
    assert len({len(line) for line in lines}) == 1


def test_an_unwritable_folder_is_one_clear_line(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ForewarnError, match="cannot write the report"):
        write_report(result, tmp_path / "file")


def test_show():
    assert show(None) == show({"value": None, "low": None, "high": None}) == "–"
    assert show({"value": 0.5, "low": 0.25, "high": 0.75}) == "0.500 (0.250 to 0.750)"


def test_a_model_that_gives_nan_or_the_wrong_shape_is_refused():
    class Broken:
        def __init__(self, shape):
            self.shape = shape

        def probabilities(self, texts):
            return np.full(self.shape, np.nan)

    with pytest.raises(ForewarnError, match="not finite"):
        predict(Broken((2, 21)), ["a", "b"], TAXONOMY)
    with pytest.raises(ForewarnError, match="shape"):
        predict(Broken((2, 3)), ["a", "b"], TAXONOMY)
    with pytest.raises(ForewarnError, match="no rows"):
        evaluate([], None, KeywordScorer(), None)


def test_the_leaf_is_the_best_one_under_the_winning_verdict():
    class Split:
        def probabilities(self, texts):
            p = np.zeros((1, 21))
            p[0, TAXONOMY.names.index("personal")] = 0.4
            p[0, [TAXONOMY.names.index("loan"), TAXONOMY.names.index("prize")]] = 0.35, 0.25
            return p

    found = predict(Split(), ["x"], TAXONOMY)
    assert TAXONOMY.names[found.leaf[0]] == "loan" and found.scam[0] == pytest.approx(0.6)


def test_truths_leave_undecided_labels_out():
    scam, unwanted, leaf = baseline.truths(["prize", "unwanted", "promotion", "not_scam", "ham"], TAXONOMY)
    assert scam.tolist() == [1, -1, 0, 0, 0]
    assert unwanted.tolist() == [1, 1, 1, -1, 0]
    assert leaf.tolist() == [TAXONOMY.names.index("prize"), -1, TAXONOMY.names.index("promotion"), -1, -1]


def test_the_baseline_is_trained_once_for_the_same_rows(tmp_path):
    said = []
    first = baseline.fit_or_load(inbox(5), tmp_path, said.append)
    second = baseline.fit_or_load(inbox(5), tmp_path, said.append)
    assert len(said) == 1
    assert first.answers(["premio"])[0] == second.answers(["premio"])[0]
    baseline.fit_or_load(inbox(6), tmp_path, said.append)
    assert len(list(tmp_path.iterdir())) == 2
    next(tmp_path.glob("*.joblib")).write_bytes(b"cut off")
    baseline.fit_or_load(inbox(5), tmp_path, said.append)
    baseline.fit_or_load(inbox(6), tmp_path, said.append)
    assert any("unreadable" in line for line in said)


def test_the_baseline_refuses_one_sided_rows():
    with pytest.raises(ForewarnError, match="fewer than two answers"):
        baseline.Baseline().fit([row for row in inbox(5) if row.label == "personal"])


def test_calibration_moves_scam_leaves_alone():
    is_scam = np.array([1.0, 0.0])
    logits = np.zeros((1, 2), dtype=np.float32)
    assert calibrated(logits, is_scam, 1.0, 0.0)[0].tolist() == [0.5, 0.5]
    assert calibrated(logits, is_scam, 2.0, 4.0)[0, 0] == pytest.approx(1 / (1 + np.exp(-2)))


def test_a_target_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ForewarnError, match="neither a bundle"):
        open_scorer(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ForewarnError, match="no tokenizer.json"):
        open_scorer(tmp_path)


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of random weights over a vocabulary of words."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "your", "parcel", "waits", "see", "you"]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder = tmp_path / "checkpoint"
    config = transformers.ElectraConfig(
        vocab_size=len(words), embedding_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=32, num_labels=21,
    )  # fmt: skip
    transformers.ElectraForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "forewarn.json").write_text(json.dumps({"max_length": 16, "labels": TAXONOMY.to_dict()}))
    return folder


def test_a_checkpoint_gives_the_same_probabilities_in_any_company(checkpoint):
    scorer = open_scorer(checkpoint)
    texts = ["your parcel waits", "", "see you " * 40, "you"]
    together = scorer.probabilities(texts)
    assert together.shape == (4, 21) and together.sum(axis=1) == pytest.approx(1)
    for text, expected in zip(texts, together, strict=True):
        assert scorer.probabilities([text])[0] == pytest.approx(expected, abs=1e-5)


def test_a_damaged_checkpoint_is_one_clear_line(checkpoint):
    (checkpoint / "tokenizer.json").write_text("{")
    with pytest.raises(ForewarnError, match="cannot load the checkpoint"):
        open_scorer(checkpoint)
    (checkpoint / "forewarn.json").write_text("{}")
    with pytest.raises(ForewarnError, match="forewarn.json: unreadable"):
        open_scorer(checkpoint)


def test_the_command_writes_both_reports_and_prints_the_table(checkpoint, tmp_path, monkeypatch, capsys):
    dataset = types.ModuleType("forewarn.training.data.dataset")
    dataset.read_split = lambda folder, split: inbox(8) if split == "train" else inbox(8, 50)
    dataset.build_info = lambda folder: {"fingerprint": "abc"}
    augment = types.ModuleType("forewarn.training.augment")
    augment.obfuscate = disguise
    monkeypatch.setitem(sys.modules, dataset.__name__, dataset)
    monkeypatch.setitem(sys.modules, augment.__name__, augment)
    (tmp_path / "data").mkdir()
    code = cli.main(
        [str(checkpoint), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--resamples", "5"]
    )
    assert code == 0
    printed = capsys.readouterr().out
    assert "R@1% baseline, obf." in printed and "average precision over all rows" in printed
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert written["target"] == "checkpoint" and written["split"] == "test" and written["rows"] == len(inbox(8))
