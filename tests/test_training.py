"""Tokenizer, augmentation, loss, sampling, config, and a whole training in seconds."""

import itertools
import json
import lzma
import random
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training import cli_train, encoders, lsa
from forewarn.training.augment import TRICKS, obfuscate
from forewarn.training.batches import BalancedBatchSampler, MessageDataset, collate, row_weights
from forewarn.training.cli_train import main, train
from forewarn.training.config import TrainConfig, load_config
from forewarn.training.data.dataset import write_split
from forewarn.training.data.rows import Row
from forewarn.training.finetune import CoarseTrainer, average_checkpoints
from forewarn.training.model import allowed_leaves, coarse_loss, corrected, disagreement, distilled_loss
from forewarn.training.public_text import public_rows
from forewarn.training.run_folder import open_run
from forewarn.training.tokenizer import check_scripts, new_tokenizer, train_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification

TAXONOMY = Taxonomy.load()


def messages(count, seed=0):
    """Invented messages in two languages: two scam scripts and two honest kinds."""
    rng = random.Random(seed)
    kinds = [
        ("prize", "en", "Congratulations! You won {n} dollars, claim your prize at win-{n}.example now"),
        ("bank_alert", "id", "Rekening anda diblokir, verifikasi segera di bank-{n}.example sebelum jam {n}"),
        ("personal", "en", "shall we meet at {n} near the station, I will bring the books for your sister"),
        ("ham", "id", "nanti sore kita makan bareng ya, aku sampai sekitar jam {n} dari kantor"),
    ]
    for i, (label, language, text) in zip(range(count), itertools.cycle(kinds), strict=False):
        yield Row(text.format(n=rng.randrange(10, 9999)), label, language, "sms", "written", "own", f"g{i}")


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer((row.text for row in messages(200)), 300)


def test_the_normaliser_undoes_dressing_up():
    normalise = new_tokenizer().normalizer.normalize_str
    assert normalise("ＰＡＹ\u200b ＮＯＷ\n\tｖｉａ ①") == "pay now via 1"
    assert normalise("e\u0301") == normalise("\u00e9")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_normalised_text_has_no_invisible_characters_and_single_spaces(text):
    normalise = new_tokenizer().normalizer.normalize_str
    once = normalise(text)
    assert "\u200b" not in once and "\u202e" not in once
    assert "  " not in once or "\u00a0" in text


def test_special_ids_are_fixed(tokenizer):
    assert [tokenizer.token_to_id(t) for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")] == [0, 1, 2, 3, 4]
    ids = tokenizer.encode("shall we meet").ids
    assert ids[0] == 2 and ids[-1] == 3


def test_a_tokenizer_without_all_scripts_is_refused(tokenizer):
    with pytest.raises(ForewarnError, match="Khmer"):
        check_scripts(tokenizer)


@pytest.mark.parametrize("trick", sorted(TRICKS))
@given(text=st.text(), seed=st.integers(0, 1000))
def test_tricks_take_any_text_and_repeat_under_a_seed(trick, text, seed):
    function = TRICKS[trick]
    assert function(text, random.Random(seed)) == function(text, random.Random(seed))


def test_obfuscation_changes_most_messages():
    rng = random.Random(3)
    texts = ["Your parcel 77 waits at post-a.example/x, pay the fee", "tài khoản của bạn bị khóa"] * 20
    assert sum(obfuscate(text, rng) != text for text in texts) >= 30


def test_coarse_loss_is_minus_the_log_of_the_allowed_probability():
    logits = torch.randn(5, 21, generator=torch.Generator().manual_seed(1))
    labels = ["prize", "scam", "ham", "any", "unwanted"]
    allowed = allowed_leaves(labels, TAXONOMY)
    p = torch.softmax(logits, -1)
    expected = torch.stack([-torch.log(p[i][allowed[i]].sum()) for i in range(5)])
    assert torch.allclose(coarse_loss(logits, allowed), expected.mean(), atol=1e-6)
    assert expected[3].abs() < 1e-5  # a label that allows everything teaches nothing


def test_balance_gives_a_small_language_its_share(tokenizer):
    rows = [Row("a", "ham", "en", "sms", "real", "x")] * 90 + [Row("b", "ham", "my", "sms", "real", "y")] * 10
    assert row_weights(rows, TAXONOMY, 1.0)[90:].sum() == pytest.approx(row_weights(rows, TAXONOMY, 1.0)[:90].sum())
    assert row_weights(rows, TAXONOMY, 0.0).unique().numel() == 1


def test_a_trick_with_few_rows_is_drawn_as_often_as_the_usual_one(tokenizer):
    counts = {"prize": 60, "marketplace": 60, "loan": 90, "tax_rebate": 3, "personal": 2}
    rows = [Row("a", label, "en", "sms", "written", "x") for label, count in counts.items() for _ in range(count)]
    weights = row_weights(rows, TAXONOMY, 0.5)
    share = {
        label: sum(w for row, w in zip(rows, weights.tolist(), strict=True) if row.label == label) for label in counts
    }
    assert share["tax_rebate"] == pytest.approx(share["prize"])
    # The common ones weigh by their rows still, and so does a rare honest leaf.
    assert share["loan"] == pytest.approx(1.5 * share["prize"])
    assert share["personal"] == pytest.approx(share["prize"] / 30)


def test_batches_repeat_for_an_epoch_and_differ_between_epochs(tokenizer):
    data = MessageDataset(list(messages(64)), tokenizer, TAXONOMY, augment_share=0.5, seed=1)
    sampler = BalancedBatchSampler(data, row_weights(data.rows, TAXONOMY, 0.5), 8, seed=1)
    first = list(sampler)
    assert first == list(sampler) and sum(map(len, first)) == 64
    seen = [data[i]["input_ids"] for i in range(64)]
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert [data[i]["input_ids"] for i in range(64)] != seen
    batch = collate([data[0], data[1]])
    assert batch["attention_mask"].sum() == len(data[0]["input_ids"]) + len(data[1]["input_ids"])


def test_a_batch_holds_views_of_like_length(tokenizer):
    rows = [Row("go " * (1 + i % 60), "ham", "en", "sms", "real", "x") for i in range(512)]
    data = MessageDataset(rows, tokenizer, TAXONOMY, augment_share=0.5, seed=1)
    padded = real = 0
    for chosen in BalancedBatchSampler(data, row_weights(rows, TAXONOMY, 0.0), 16, seed=1):
        mask = collate([data[i] for i in chosen])["attention_mask"]
        padded, real = padded + mask.numel(), real + int(mask.sum())
    assert real > 0.9 * padded


def test_a_scam_beside_an_honest_message_stays_a_scam(tokenizer):
    rows = [
        Row("you won the draw", "prize", "en", "sms", "written", "x"),
        Row("dinner at eight", "ham", "en", "sms", "real", "x"),
        Row("rent is due", "transactional", "en", "sms", "real", "x"),
    ]
    data = MessageDataset(rows, tokenizer, TAXONOMY, 0.0, seed=1, padded_share=1.0)
    said = [tokenizer.decode(data[i]["input_ids"]) for i in range(3)]
    assert "won the draw" in said[0] and ("dinner at" in said[0] or "rent is" in said[0])
    assert data[0]["labels"].sum() == 1
    # Being one of several tells nothing: honest messages stand beside others of their label.
    assert "draw" not in said[1] + said[2] and "rent" not in said[1]
    assert said[1].count("dinner at") > 1 and said[2].count("rent is") > 1


def test_the_default_config_shows_every_setting():
    path = Path(cli_train.__file__).parent / "configs" / "default.yaml"
    shown = yaml.safe_load(path.read_text())
    assert load_config(path, TrainConfig) == TrainConfig()
    assert set(shown) == set(TrainConfig.model_fields)


@pytest.mark.parametrize(
    ("text", "fault"),
    [("epoch: 3", "epoch"), ("batch: 0", "batch"), ("model: {depth: 2}", "model.depth"), ("a: [", "YAML")],
)
def test_config_faults_are_named(tmp_path, text, fault, capsys):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ForewarnError, match=fault):
        load_config(path, TrainConfig)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [("epoch: 3", "epoch: no such key; did you mean epochs?"), ("model: {layer: 2}", "did you mean model.layers?")],
)
def test_a_misspelt_key_is_told_the_nearest_one(tmp_path, text, nearest):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ForewarnError) as raised:
        load_config(path, TrainConfig)
    assert nearest in str(raised.value) and "Extra inputs" not in str(raised.value)


def test_the_default_encoder_is_the_one_in_the_repository(tmp_path, monkeypatch):
    assert encoders.encoder_name("default") == str(Path(cli_train.__file__).parent / "encoder")
    assert encoders.encoder_name("runs/mine") == "runs/mine" and encoders.encoder_name(None) is None
    monkeypatch.setattr(encoders, "_DEFAULT", tmp_path)
    with pytest.raises(ForewarnError, match="work in a clone"):
        encoders.encoder_name("default")


def public_text(folder, languages=("en",)):
    """A folder of public text in which the sentence with number 1,000 is the first that training may see."""
    (folder / "text" / "mono").mkdir(parents=True)
    for language in languages:
        lines = ["too short", *(f"verse {n} of an old book" for n in range(1020)), "a {} that nobody filled in"]
        with lzma.open(folder / "text" / "mono" / f"{language}.txt.xz", "wt", encoding="utf-8") as handle:
            handle.write("\n".join(lines))
    return folder / "text"


def test_public_text_is_no_scam_and_some_of_it_is_never_trained_on(tmp_path):
    folder = public_text(tmp_path, ("en", "sw"))
    train, held = public_rows(folder, 5), public_rows(folder, 5, held_out=True)
    assert [row.text for row in train[:5]] == [f"verse {n} of an old book" for n in range(1000, 1005)]
    assert [row.text for row in held[5:]] == [f"verse {n} of an old book" for n in range(5)]
    assert {row.language for row in train} == {"en", "sw"} and {row.label for row in train} == {"not_scam"}
    assert {row.language for row in public_rows(folder, 5, only={"en-GB", "th"})} == {"en"}
    assert public_rows(tmp_path / "nothing", 0) == []
    with pytest.raises(ForewarnError, match="public_text_rows: 0"):
        public_rows(tmp_path / "nothing", 5)


def test_public_text_gets_its_share_of_the_draws(tmp_path):
    rows = [Row("a", "ham", "en", "sms", "real", "x")] * 9 + public_rows(public_text(tmp_path), 5)
    weights = row_weights(rows, TAXONOMY, 0.5, 0.2)
    assert weights[9:].sum() == pytest.approx(0.2 * weights.sum().item())
    assert torch.equal(row_weights(rows[:9], TAXONOMY, 0.5, 0.2), row_weights(rows[:9], TAXONOMY, 0.5))


def built_data(folder):
    """A built data folder under `folder`, of 160 invented training messages."""
    data = folder / "data"
    data.mkdir()
    for split, count, seed in (("train", 160, 1), ("validation", 40, 2), ("test", 40, 3)):
        write_split(data, split, list(messages(count, seed)))
    (data / "build.json").write_text(json.dumps({"fingerprint": "f" * 64, "sources": {"own": {}}}))
    return data


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole training on 160 invented messages."""
    folder = tmp_path_factory.mktemp("train")
    data, text = built_data(folder), public_text(folder)
    settings = {
        "data": data, "out": folder / "run", "base": None, "epochs": 12, "batch": 16, "patience": 12,
        "learning_rate": 3e-3, "lsa_rows_per_corpus": 0,
        "tokenizer": {"vocabulary": 300, "bytes_per_language": 0, "require_scripts": False, "text": str(text)},
        "public_text_rows": 8,
        "model": {"layers": 1, "hidden": 32, "heads": 2, "intermediate": 64, "embedding": 16, "max_length": 48},
    }  # fmt: skip
    config = TrainConfig.model_validate(settings)
    return config, train(config)


def test_a_training_learns_and_leaves_a_standard_checkpoint(run):
    config, metrics = run
    assert metrics["validation"]["eval_auroc"] > 0.9
    model = AutoModelForSequenceClassification.from_pretrained(config.out / "model")
    logits = model(input_ids=torch.tensor([[2, 10, 11, 3]])).logits
    assert logits.shape == (1, 21) and model.config.id2label[1] == TAXONOMY.names[1]
    assert {"config.yaml", "metrics.json", "environment.json"} <= {p.name for p in config.out.iterdir()}
    assert json.loads((config.out / "model" / "forewarn.json").read_text())["data_fingerprint"] == "f" * 64


def test_a_teacher_is_learned_beside_the_labels():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    allowed = torch.tensor([[True, True, False], [False, True, False]])
    teacher = torch.softmax(torch.tensor([[1.0, 1.0, 0.0], [0.0, 3.0, 0.0]]), dim=-1)
    cross = -(teacher * torch.log_softmax(logits, dim=-1)).sum(dim=-1).mean()
    own = coarse_loss(logits, allowed)
    assert torch.allclose(distilled_loss(logits, allowed, 0.0, teacher, 0.25), 0.75 * own + 0.25 * cross)
    assert torch.equal(distilled_loss(logits, allowed, 0.0, None, 0.25), own)


def test_a_teacher_that_is_wrong_about_a_row_keeps_only_what_the_label_allows():
    teacher = torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6]])
    allowed = torch.tensor([[True, False, False], [True, True, False]])
    half = torch.full((2,), 0.5)
    assert torch.allclose(corrected(teacher, allowed, half), torch.tensor([[0.6, 0.3, 0.1], [0.25, 0.75, 0.0]]))
    # Where only the label is trusted, a teacher says how to share among what it allows.
    assert torch.allclose(corrected(teacher, allowed, half + 0.5), torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0]]))


def test_rdrop_reads_a_batch_twice_in_training_and_once_in_evaluation(run):
    model = AutoModelForSequenceClassification.from_pretrained(run[0].out / "model", hidden_dropout_prob=0.3)
    batch = {"input_ids": torch.tensor([[2, 10, 11, 3], [2, 12, 13, 3]]), "attention_mask": torch.ones(2, 4).long()}
    labels = allowed_leaves(["scam", "ham"], TAXONOMY)
    trainer = SimpleNamespace(smoothing=0.0, teacher_share=0.5, rdrop=2.0)
    torch.manual_seed(0)
    loss = CoarseTrainer.compute_loss(trainer, model.train(), batch | {"labels": labels})
    torch.manual_seed(0)
    first, second = model(**{name: torch.cat([x, x]) for name, x in batch.items()}).logits.chunk(2)
    apart = disagreement(first, second)
    plain = (coarse_loss(first, labels) + coarse_loss(second, labels)) / 2
    assert apart > 0 and torch.allclose(loss, plain + 2.0 * apart)
    calm = CoarseTrainer.compute_loss(trainer, model.eval(), batch | {"labels": labels})
    assert torch.allclose(calm, coarse_loss(model(**batch).logits, labels))


def test_two_readings_that_are_alike_do_not_disagree():
    first, second = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    assert disagreement(first, first + 3.0).item() == pytest.approx(0.0, abs=1e-6)
    apart = disagreement(first, second).item()
    assert apart > 0.1 and apart == pytest.approx(disagreement(second, first).item())


def test_a_smaller_model_learns_from_a_checkpoint_with_a_cut_tokenizer(run, tmp_path):
    config, _ = run
    folder = config.out / "model"
    small = config.model_copy(
        update={
            "out": tmp_path / "small",
            "teacher": folder,
            "teacher_share": 1.0,  # labels count only where the teacher is wrong
            "tokenizer": config.tokenizer.model_copy(update={"path": folder / "tokenizer.json", "vocabulary": 90}),
            "model": config.model.model_copy(update={"hidden": 16, "embedding": 8}),
        }
    )
    metrics = train(small)
    assert metrics["blend"]["validation"]["both"]["auroc"] > 0.9
    pieces = [json.loads((f / "tokenizer.json").read_text())["model"]["vocab"] for f in (folder, small.out / "model")]
    assert len(pieces[1]) <= 90 < len(pieces[0])
    assert all(round(score, 4) == score for _, score in pieces[1])
    assert json.loads((small.out / "model" / "forewarn.json").read_text())["taught"] is True
    # A teacher trained anew at the same path is another run; a record from before teachers were noted is not.
    settings = (small.out / "config.yaml").read_text(encoding="utf-8")
    fingerprint = encoders.encoder_fingerprint(str(folder))
    assert settings.endswith(f"# teacher_fingerprint: {fingerprint}\n")
    for recorded, again in ((settings.replace(f": {fingerprint}", ": of another"), False), (settings, True)):
        (small.out / "config.yaml").write_text(recorded, encoding="utf-8")
        with nullcontext() if again else pytest.raises(ForewarnError, match="teacher"):
            open_run(small.out, small, "f" * 64, None, fingerprint)
    open_run(tmp_path / "older", small, "f" * 64)
    open_run(tmp_path / "older", small, "f" * 64, None, fingerprint)


def test_a_mistyped_teacher_is_refused_before_the_run_folder_is_made(run, tmp_path):
    config = run[0].model_copy(update={"out": tmp_path / "run", "teacher": tmp_path / "nobody"})
    with pytest.raises(ForewarnError, match="not a checkpoint folder"):
        train(config)
    assert not config.out.exists()


@pytest.mark.parametrize(
    ("settings", "ways_round"),
    [
        ({}, "public_text_rows: 0 in"),
        ({"base": None}, "public_text_rows: 0 and lsa_rows_per_corpus: 0 in"),
        ({"base": None, "public_text_rows": 0}, "without: lsa_rows_per_corpus: 0 in"),
    ],
)
def test_missing_public_text_is_one_line_with_every_way_round(tmp_path, settings, ways_round):
    built_data(tmp_path)
    config = {"data": tmp_path / "data", "out": tmp_path / "run", "tokenizer": {"text": str(tmp_path / "none")}}
    with pytest.raises(ForewarnError, match=f"FOREWARN_TEXT.*data_cards/public_text.*{ways_round}"):
        train(TrainConfig.model_validate(config | settings))
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_from_its_checkpoint_and_refuses_another_config(run):
    config, _ = run
    assert train(config)["resumed_from"].startswith("checkpoint-")
    with pytest.raises(ForewarnError, match="another config"):
        train(config.model_copy(update={"seed": 8}))


def test_missing_data_is_one_line(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(f"data: {tmp_path / 'none'}\n")
    with pytest.raises(ForewarnError, match="forewarn data build"):
        main([str(tmp_path / "c.yaml")])


def test_lsa_puts_translations_next_to_each_other(tmp_path):
    pairs = [("water", "air"), ("house", "rumah"), ("money", "uang"), ("letter", "surat"), ("night", "malam")]
    rng = random.Random(0)
    docs = [[f"{a} {a}", f"{b}"] for a, b in (rng.choice(pairs) for _ in range(300))]
    tokenizer = train_tokenizer((text for doc in docs for text in doc), 60)
    vectors = lsa.embed(tokenizer, docs, 8, seed=0)

    def vector(word):
        found = np.mean([vectors[i] for i in tokenizer.encode(word, add_special_tokens=False).ids], axis=0)
        return found / np.linalg.norm(found)

    near = np.mean([vector(a) @ vector(b) for a, b in pairs])
    far = np.mean([vector(a) @ vector(d) for a, _ in pairs for c, d in pairs if c != a])
    assert near > far + 0.3


@pytest.mark.parametrize("best_at", [1.0, 2.0])
def test_the_mean_of_the_checkpoints_is_taken_only_when_it_is_better(tmp_path, best_at):
    model = torch.nn.Linear(2, 1)
    torch.nn.init.constant_(model.weight, 2.0)

    class Judge:
        def __init__(self):
            self.model = model

        def evaluate(self):
            return {"eval_recall_near_1pct": -abs(float(model.weight.mean()) - best_at)}

    for number, value in ((1, 0.0), (2, 2.0)):
        folder = tmp_path / f"checkpoint-{number}"
        folder.mkdir()
        save_file(
            {"weight": torch.full((1, 2), value), "bias": torch.zeros(1)},
            folder / "model.safetensors",
        )
    assert average_checkpoints(Judge(), tmp_path) == (best_at == 1.0)
    assert model.weight.mean() == best_at
