"""The probe that compares encoders: held-out languages and leaves stay held out, and a better start is seen."""

import json
import random
from dataclasses import replace

import pytest
import torch
from forewarn.inference.cli import main
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.config import ModelConfig
from forewarn.training.data.dataset import write_split
from forewarn.training.data.rows import Row
from forewarn.training.model import electra_config, load_base, random_weights, write_tokenizer
from forewarn.training.pretrain import transfer as transfer_module
from forewarn.training.pretrain.transfer import (
    LANGUAGES,
    LEAF,
    SHOTS,
    Trial,
    few_shot_task,
    leave_sources_out,
    source_task,
    sources_to_leave_out,
    zero_shot,
    zero_shot_task,
)
from forewarn.training.tokenizer import train_tokenizer
from tokenizers import Tokenizer
from transformers import ElectraForMaskedLM, set_seed

SAID = {
    LEAF: "claim your refund {} now before it ends",
    "prize": "you have won the {} draw today",
    "personal": "see you at {} for dinner tonight",
    "transactional": "your table {} is booked for friday",
}
TAXONOMY = Taxonomy.load()


def rows():
    rng = random.Random(3)
    made = []
    for language in (*LANGUAGES, "en", "zh-Hant"):
        for label, text in SAID.items():
            for i in range(12):
                word = "".join(rng.choice("abcdefgh") for _ in range(5))
                made.append(Row(text.format(word), label, language, "sms", "written", "x", f"{language}-{label}-{i}"))
    return made


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A folder as `forewarn pretrain` writes it, with random weights."""
    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = train_tokenizer([row.text for row in rows()], 150)
    shape = ModelConfig(layers=1, hidden=32, heads=2, intermediate=32, embedding=16, max_length=24)
    torch.manual_seed(1)
    ElectraForMaskedLM(electra_config(shape, tokenizer.get_vocab_size(), TAXONOMY)).save_pretrained(folder)
    write_tokenizer(tokenizer, folder, 24)
    return folder


def fresh(encoder):
    """A seed to a classifier on this encoder whose head follows from the seed."""

    def make(seed):
        set_seed(seed)
        return load_base(str(encoder), TAXONOMY, 0.0)

    return make


def test_what_is_tested_is_not_trained_on():
    zero = zero_shot_task(rows())
    assert {row.language for row in zero.test} == set(LANGUAGES)
    # The other Chinese script would give the language away.
    assert {row.language for row in zero.train} == {"en"}
    for shots in SHOTS:
        few = few_shot_task(rows(), TAXONOMY, shots)
        assert sum(row.label == LEAF for row in few.train) == shots
        assert not {row.group for row in few.train} & {row.group for row in few.test}
        assert {row.label for row in few.test} == {LEAF, "prize", "personal", "transactional"}
    tested = [{row.group for row in few_shot_task(rows(), TAXONOMY, shots).test} for shots in SHOTS]
    assert tested[0] == tested[1] == tested[2]  # or their figures could not be compared


def of_two_sources():
    """Rows of two data sets that share some groups, of a third that is all scams, and of our own scripts."""
    every = [row for row in rows() if row.language in ("en", "th")]
    return [
        *(replace(row, source=("a", "b")[i % 2]) for i, row in enumerate(every)),
        *(replace(row, source="b") for row in every if row.source == "x" and row.group.endswith("-4")),
        *(replace(row, source="scams", group=f"s{i}") for i, row in enumerate(every) if row.label == LEAF),
        *(replace(row, source="forewarn_scripts", group=f"o{i}") for i, row in enumerate(every[::2])),
    ]


def test_a_data_set_left_out_is_not_trained_on_even_where_others_hold_its_messages(monkeypatch):
    monkeypatch.setattr(transfer_module, "SOURCE_ROWS", 10)
    every = of_two_sources()
    # One without honest messages has no false alarms, and without our own scripts there is little to learn from.
    assert sources_to_leave_out(every, TAXONOMY) == ["a", "b"]
    task = source_task(every, ["a"])
    own = [row for row in every if row.source == "a"]
    assert [row for row in task.test if row.source == "a"] == own
    assert {row.source for row in task.train} == {"b", "scams", "forewarn_scripts"}
    assert not {row.group for row in task.train} & {row.group for row in task.test}
    # The others say where the threshold lies.
    assert {row.source for row in task.test} == {"a", "b", "scams", "forewarn_scripts"}


def test_data_of_one_source_cannot_be_left_out():
    with pytest.raises(ForewarnError, match="no public data set has 100 scams"):
        sources_to_leave_out(rows(), TAXONOMY)


def test_a_data_set_left_out_is_judged_at_the_threshold_of_the_others(encoder, monkeypatch):
    monkeypatch.setattr(transfer_module, "SOURCE_ROWS", 10)
    monkeypatch.setattr(transfer_module, "_LEARNING_RATE", 5e-3)
    monkeypatch.setattr(transfer_module, "_BATCH", 16)
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.enable_truncation(24)
    told: list[str] = []
    trial = Trial(fresh(encoder), tokenizer, TAXONOMY, (1,), 300, log=told.append)
    found = leave_sources_out(trial, of_two_sources())
    assert set(found) == {"a", "b", "fold 1", "fold 2"}
    for name in ("a", "b"):
        assert found[name]["auroc"][0] > 0.8 and found[name]["recall"][0] > 0.2  # the two say the same things
    for name in ("fold 1", "fold 2"):
        assert found[name]["false_alarms"][0] <= 0.01
    assert "without a, a, seed 1: recall at 1 %" in told[0] and "at the others' threshold" in told[0]


def test_data_without_a_language_or_the_leaf_is_refused():
    with pytest.raises(ForewarnError, match="no rows in hi"):
        zero_shot_task([row for row in rows() if row.language != "hi"])
    with pytest.raises(ForewarnError, match=f"0 rows of {LEAF}"):
        few_shot_task([row for row in rows() if row.label != LEAF], TAXONOMY, 10)


def test_random_weights_keep_the_shape_and_follow_the_seed(encoder):
    model = load_base(str(encoder), TAXONOMY, 0.1)
    set_seed(5)
    first = random_weights(model).state_dict()
    set_seed(5)
    second = random_weights(model).state_dict()
    assert {name: value.shape for name, value in first.items()} == {n: v.shape for n, v in model.state_dict().items()}
    assert all(torch.equal(first[name], second[name]) for name in first)
    name = "electra.embeddings.word_embeddings.weight"
    assert not torch.equal(first[name], model.state_dict()[name])


def test_a_trick_carries_over_to_a_language_that_reads_alike(encoder, monkeypatch):
    monkeypatch.setattr(transfer_module, "_LEARNING_RATE", 5e-3)
    monkeypatch.setattr(transfer_module, "_BATCH", 16)
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.enable_truncation(24)
    found = zero_shot(Trial(fresh(encoder), tokenizer, TAXONOMY, (1,), 300), rows(), ("th",))
    assert found["th"]["auroc"][0] > 0.8 and found["th"]["rows"] == 48
    assert found["mean_recall_at_1pct"] == found["th"]["recall_at_1pct"]


def test_the_command_prints_and_writes_every_figure(encoder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(transfer_module, "_BATCH", 4)
    every, data = rows(), tmp_path / "data"
    data.mkdir()
    (data / "build.json").write_text("{}")
    for split, part in (("train", every[::2]), ("validation", every[1::2])):
        write_split(data, split, part)
    out = tmp_path / "figures.json"
    command = [
        "probe",
        str(encoder),
        "--random",
        "--data",
        str(tmp_path / "data"),
        "--steps",
        "30",
        "--seeds",
        "1",
    ]
    assert main([*command, "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    means = {f"mean_{figure}" for figure in ("recall_at_1pct", "recall_near_1pct", "auroc")}
    assert set(found["zero_shot"]) == {*LANGUAGES} | means
    assert set(found["few_shot"]) == {f"{shots} rows of {LEAF}" for shots in SHOTS}
    assert len(found["few_shot"][f"20 rows of {LEAF}"]["elsewhere"]["auroc"]) == 1
    assert 0 <= found["few_shot"][f"20 rows of {LEAF}"]["leaf"]["leaf_accuracy"][0] <= 1
    assert len(found["zero_shot"]["th"]["auroc"]) == 1
    assert "th, seed 1: recall at 1 %" in capsys.readouterr().out


def test_a_folder_without_a_tokenizer_is_one_clear_line(tmp_path, capsys):
    assert main(["probe", str(tmp_path)]) == 2
    error = capsys.readouterr().err.strip()
    assert "forewarn pretrain" in error and "\n" not in error
