"""Pretraining on a few hundred sentences: shards, batches, an exact resume, and a folder that training starts from."""

import json
import lzma
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from forewarn.inference.cli import main
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.cli_pretrain import run
from forewarn.training.cli_train import base_model
from forewarn.training.config import ModelConfig, TrainConfig, load_config
from forewarn.training.encoders import pretraining_record
from forewarn.training.evaluation.metrics import auroc
from forewarn.training.model import electra_config, lengthen
from forewarn.training.pretrain import batches, loop
from forewarn.training.pretrain.batches import IGNORE, MASK, BatchMaker
from forewarn.training.pretrain.config import PretrainConfig
from forewarn.training.pretrain.loop import schedule
from forewarn.training.pretrain.objectives import ReplacedTokens, contrastive_loss
from forewarn.training.pretrain.shards import make_shards
from forewarn.training.run_folder import open_run
from forewarn.training.tokenizer import train_tokenizer
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForMaskedLM, BertConfig, BertForSequenceClassification

WORDS = {
    "en": ["water", "house", "letter", "money", "friend", "garden", "yellow", "seven", "bread", "winter"],
    "de": ["wasser", "haus", "brief", "geld", "freund", "garten", "gelb", "sieben", "brot", "winter"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Public text in small: two languages, translations word by word, and a probe."""
    root, rng = tmp_path_factory.mktemp("text"), random.Random(1)
    picks = [[rng.randrange(10) for _ in range(rng.randint(4, 9))] for _ in range(300)]
    said = {language: [" ".join(words[i] for i in pick) for pick in picks] for language, words in WORDS.items()}
    for name in ("mono", "parallel", "probe"):
        (root / name).mkdir()
    for language, lines in said.items():
        with lzma.open(root / "mono" / f"{language}.txt.xz", "wt", encoding="utf-8") as handle:
            handle.write("\n".join([*lines, "a line with a {} slot"]))
    rows = [json.dumps({"_id": i, "en": en, "de": de}) for i, (en, de) in enumerate(zip(*said.values(), strict=True))]
    for name, part in (("parallel", rows[:250]), ("probe", rows[250:])):
        with lzma.open(root / name / "own.jsonl.xz", "wt", encoding="utf-8") as handle:
            handle.write("\n".join(part))
    return root


@pytest.fixture(scope="module")
def tokenizer(folder):
    return train_tokenizer([" ".join(words) for words in WORDS.values()] * 5, 120)


def config(folder, out, **changes):
    shape = {
        "layers": 1,
        "hidden": 32,
        "heads": 2,
        "intermediate": 32,
        "embedding": 16,
        "max_length": 24,
        "dropout": 0.1,
    }
    tokens = {"vocabulary": 200, "require_scripts": False}
    small = {"steps": 6, "blocks": 4, "pairs": 4, "evaluate_every": 2, "data": None, "lsa_rows_per_corpus": 20}
    return PretrainConfig(**{"text": folder, "out": out, "model": shape, "tokenizer": tokens, **small, **changes})


def maker(folder, tokenizer, tmp_path, **changes):
    shards = make_shards(tokenizer, folder, {}, tmp_path / "shards", lambda line: None)
    settings = config(folder, tmp_path, **changes)
    return BatchMaker(shards, tokenizer, settings, settings.model.max_length)


def test_every_setting_of_the_default_config_is_written_down():
    path = Path(__file__).parent.parent / "training" / "configs" / "pretrain.yaml"
    assert set(yaml.safe_load(path.read_text(encoding="utf-8"))) == set(PretrainConfig.model_fields)
    assert load_config(path, PretrainConfig) == PretrainConfig()


def test_text_is_tokenised_once(folder, tokenizer, tmp_path):
    said = []
    first = make_shards(tokenizer, folder, {"xx": ["water house"]}, tmp_path, said.append)
    assert first.languages == ["de", "en", "xx"] and len(said) == 3
    again = make_shards(tokenizer, folder, {"xx": ["water house"]}, tmp_path, said.append)
    assert len(said) == 3
    assert np.array_equal(first.stream("en"), again.stream("en"))
    assert tokenizer.decode(first.sentence(0).tolist()).split()[0] in WORDS["en"] + WORDS["de"]
    # What is measured on is never trained on.
    whole = len(first.stream("en")) + len(first.held_out("en"))
    assert 0 < len(first.held_out("en")) < 0.05 * whole


def test_the_same_step_gives_the_same_batch_and_another_step_another(folder, tokenizer, tmp_path):
    made = maker(folder, tokenizer, tmp_path)
    one, again, other = made.make(3), made.make(3), made.make(4)
    assert torch.equal(one.input_ids, again.input_ids) and torch.equal(one.pairs, again.pairs)
    assert one.input_ids.shape != other.input_ids.shape or not torch.equal(one.input_ids, other.input_ids)


def test_pairs_are_translations_from_one_stretch_with_english_on_a_side(folder, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "_STRETCH", 5)
    monkeypatch.setattr(batches, "_ENGLISH_SHARE", 1.0)
    made = maker(folder, tokenizer, tmp_path, pairs=16)
    rows = list(map(json.loads, lzma.decompress((folder / "parallel" / "own.jsonl.xz").read_bytes()).splitlines()))
    said = [tokenizer.decode(ids.tolist()) for ids in made.make(1).pairs]

    def start(text):
        return tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids[: made.block - 2])

    known = {(start(row["en"]), start(row["de"])): row["_id"] for row in rows}
    found = [known.get((a, b), known.get((b, a))) for a, b in zip(said[::2], said[1::2], strict=True)]
    assert None not in found and max(found) - min(found) < 5 and len(set(found)) > 1


def test_whole_words_are_hidden_and_special_tokens_are_not(folder, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "_LONGEST_WORD", 100)
    made = maker(folder, tokenizer, tmp_path, mask_share=0.5)
    ids = np.array([tokenizer.encode(" ".join(WORDS["en"] * 3)).ids] * 8)
    changed, labels = made.mask(ids, np.random.default_rng(0))
    hidden = labels != IGNORE
    assert 0.3 < hidden.mean() < 0.7
    assert (labels[hidden] == ids[hidden]).all() and (changed[~hidden] == ids[~hidden]).all()
    assert (changed[hidden] == MASK).mean() > 0.6
    assert not hidden[:, 0].any() and not hidden[:, -1].any()
    # A piece inside a word shares the fate of the word's beginning.
    inside = ~made.begins[ids[:, 1:]] & (ids[:, 1:] > MASK)
    assert inside.any() and (hidden[:, 1:][inside] == hidden[:, :-1][inside]).all()


def test_translations_that_agree_cost_less_than_those_that_do_not():
    class Fixed(torch.nn.Module):
        def __init__(self, vectors):
            super().__init__()
            self.vectors = vectors

        def electra(self, input_ids, attention_mask):
            return type("Out", (), {"last_hidden_state": self.vectors[:, None, :]})

    ids, apart = torch.ones(4, 1, dtype=torch.long), torch.eye(2)
    right = contrastive_loss(Fixed(apart.repeat_interleave(2, 0)), ids, 0.1)
    wrong = contrastive_loss(Fixed(apart[[0, 1, 1, 0]]), ids, 0.1)
    assert right < 0.01 < 5 < wrong


def test_an_encoder_learns_which_pieces_were_replaced(folder, tokenizer, tmp_path):
    made = maker(folder, tokenizer, tmp_path, blocks=16, pairs=0)
    torch.manual_seed(5)
    shape = electra_config(made.config.model.model_copy(update={"dropout": 0.0}), made.vocabulary, Taxonomy.load())
    objective = ReplacedTokens(AutoModelForMaskedLM.from_config(shape), weight=50.0)
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)

    for step in range(150):
        optimizer.zero_grad()
        batch = made.make(step)
        objective(batch.input_ids, batch.labels)[0].backward()
        optimizer.step()
    batch = made.make(1000)
    hidden = batch.labels != IGNORE
    original = torch.where(hidden, batch.labels, batch.input_ids)
    wrong = torch.where(hidden, torch.randint_like(original, 5, made.vocabulary), original)
    with torch.inference_mode():
        states = objective.encoder.electra(input_ids=wrong, attention_mask=(wrong != 0).long()).last_hidden_state
        suspicion = objective.detector(states)
    real = wrong >= 5
    assert auroc(suspicion[real].numpy(), (wrong != original)[real].numpy()) > 0.6
    table = objective.encoder.electra.embeddings.word_embeddings.weight
    assert objective.guesser.generator_lm_head.weight is table  # one table for all, learned once


def test_the_learning_rate_rises_then_falls():
    settings = PretrainConfig(steps=100, warmup_share=0.1)
    shares = [schedule(step, settings) for step in range(100)]
    assert shares.index(max(shares)) in (9, 10) and shares[0] == 0.1 and shares[-1] < 0.06


@pytest.mark.parametrize("replaced_weight", [0.0, 50.0])
def test_a_killed_run_goes_on_to_the_same_weights(folder, tmp_path, monkeypatch, replaced_weight):
    settings = {"accumulate": 2, "replaced_weight": replaced_weight}
    whole = config(folder, tmp_path / "whole", **settings)
    metrics = run(whole)
    assert metrics["steps"] == 6 and set(metrics["retrieval"]) == {"de"}
    lines = [json.loads(line) for line in (whole.out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6] and set(lines[0]["held_out_loss"]) == {"de", "en"}

    cut = config(folder, tmp_path / "cut", **settings)
    real = loop.held_out_figures

    def killed(*args):
        if (cut.out / "state.pt").is_file():
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(loop, "held_out_figures", killed)
    with pytest.raises(KeyboardInterrupt):
        run(cut)
    monkeypatch.setattr(loop, "held_out_figures", real)
    run(cut)
    a, b = (AutoModel.from_pretrained(c.out / "model").state_dict() for c in (whole, cut))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert (whole.out / "curves.png").read_bytes().startswith(b"\x89PNG") and metrics["share_of_peak"] is None


def test_accumulated_batches_are_those_of_more_steps(folder, tokenizer, tmp_path):
    made = maker(folder, tokenizer, tmp_path, accumulate=2, steps=3)
    steps = loop._Steps(made, made.config, first=1)
    assert len(steps) == 2
    assert all(torch.equal(batch.pairs, made.make(n).pairs) for batch, n in zip(steps[0], (2, 3), strict=True))


def test_no_step_at_all_writes_the_start(folder, tmp_path):
    settings = config(folder, tmp_path / "start", steps=0)
    assert run(settings)["steps"] == 0
    assert AutoModel.from_pretrained(settings.out / "model").config.num_hidden_layers == 1


def test_pretraining_goes_on_from_a_folder(folder, tmp_path):
    first, second = config(folder, tmp_path / "first", steps=2), config(folder, tmp_path / "second", steps=2)
    run(first)
    base = first.out / "model"
    run(second.model_copy(update={"base": base, "steps": 1, "learning_rate": 1e-12, "weight_decay": 0.0}))
    a, b = (AutoModelForMaskedLM.from_pretrained(out / "model").state_dict() for out in (first.out, second.out))
    assert all(torch.equal(a[name], b[name]) for name in a)
    tokens = [json.loads((out / "model" / "pretraining.json").read_text())["tokens"] for out in (first.out, second.out)]
    assert tokens[0] < tokens[1] < 2 * tokens[0]
    old, new = (Tokenizer.from_file(str(path / "tokenizer.json")) for path in (base, second.out))
    assert old.encode("seven yellow houses").ids == new.encode("seven yellow houses").ids
    with pytest.raises(ForewarnError, match="holds no encoder"):
        run(second.model_copy(update={"base": tmp_path, "out": tmp_path / "third"}))


def test_training_starts_from_the_folder(folder, tmp_path):
    settings = config(folder, tmp_path / "run", steps=2)
    run(settings)
    encoder = settings.out / "model"
    shape = {"dropout": 0.3, "max_length": 24}
    train = TrainConfig(base=str(encoder), tokenizer={"require_scripts": False}, model=shape)
    model, tokenizer = base_model(train, [], Taxonomy.load())
    text = "Seven  friends in the GARDEN"
    assert tokenizer.encode(text).ids == Tokenizer.from_file(str(encoder / "tokenizer.json")).encode(text).ids
    saved = AutoModel.from_pretrained(encoder, dtype=torch.float32).state_dict()
    assert all(torch.equal(value, model.electra.state_dict()[name]) for name, value in saved.items())
    assert model.config.hidden_dropout_prob == 0.3 and model.dtype == torch.float32
    assert pretraining_record(str(encoder))["tokens"] > 0 and pretraining_record("nobody/encoder") is None


def test_training_may_read_more_than_pretraining_did(folder, tmp_path):
    settings = config(folder, tmp_path / "run", steps=2)
    run(settings)
    train = TrainConfig(
        base=str(settings.out / "model"), tokenizer={"require_scripts": False}, model={"max_length": 24, "dropout": 0.0}
    )
    short, tokenizer = base_model(train, [], Taxonomy.load())
    longer, _ = base_model(train.model_copy(update={"model": ModelConfig(max_length=60)}), [], Taxonomy.load())
    ids = torch.tensor([tokenizer.encode("seven yellow houses").ids])
    with torch.inference_mode():
        hidden = [model.eval().electra(ids).last_hidden_state for model in (short, longer)]
        assert torch.equal(*hidden) and longer(torch.full((1, 60), 7)).logits.isfinite().all()
    table = longer.electra.embeddings.position_embeddings.weight
    assert table.shape[0] == longer.config.max_position_embeddings == 60 and torch.equal(table[1:24], table[24:47])
    sizes = dict.fromkeys(["hidden_size", "intermediate_size", "max_position_embeddings", "vocab_size"], 8)
    other = BertForSequenceClassification(BertConfig(num_hidden_layers=1, num_attention_heads=1, **sizes))
    with pytest.raises(ForewarnError, match="reads 8 tokens"):
        lengthen(other, 60)


def test_a_run_folder_belongs_to_one_config_and_one_state_of_the_data(tmp_path):
    settings = PretrainConfig(out=tmp_path / "run")
    open_run(settings.out, settings, "abc")
    open_run(settings.out, settings, "abc")
    for config_, data in ((settings, "def"), (settings.model_copy(update={"seed": 8}), "abc")):
        with pytest.raises(ForewarnError, match="another config, encoder, teacher or other data"):
            open_run(settings.out, config_, data)


def test_missing_text_is_one_clear_line(tmp_path, capsys):
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"text": str(tmp_path / "nowhere"), "out": str(tmp_path / "o")}))
    assert main(["pretrain", str(path)]) == 2
    error = capsys.readouterr().err.strip()
    assert "FOREWARN_TEXT" in error and "\n" not in error
