"""The linear n-gram branch: what it learns, that padding does not touch it, and how it is weighed."""

import numpy as np
import pytest
import torch
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.batches import MessageDataset, row_weights
from forewarn.training.cli_train import combine
from forewarn.training.config import ModelConfig, NgramConfig
from forewarn.training.data.rows import Row
from forewarn.training.model import coarse_loss, new_model, output_layer
from forewarn.training.ngram_fit import View, fit_ngrams, pairs_of_two_messages
from forewarn.training.ngrams import (
    PieceNgrams,
    WithNgrams,
    all_logits,
    blend,
    load_classifier,
    pair_codes,
    save_ngrams,
)
from forewarn.training.tokenizer import train_tokenizer

TAXONOMY = Taxonomy.load()
SETTINGS = NgramConfig(slots=300, views=2, epochs=10, learning_rate=0.1)
SAID = {
    "prize": "you won the lottery claim now",
    "personal": "see you at lunch tomorrow",
    "loan": "claim the loan you won",
}


@pytest.fixture(scope="module")
def data():
    rows = [Row(f"{text} {n}", label, "en", "sms", "written", "own") for n in range(20) for label, text in SAID.items()]
    return MessageDataset(rows, train_tokenizer((row.text for row in rows), 120), TAXONOMY, seed=1)


@pytest.fixture(scope="module")
def ngrams(data):
    return fit_ngrams(data, row_weights(data.rows, TAXONOMY, 0.5), SETTINGS, 1)


def test_it_learns_the_leaf_of_texts_that_share_words(data, ngrams):
    logits = all_logits(ngrams, data)
    assert (logits.argmax(1) == data.allowed.float().argmax(1)).all()


def test_the_same_seed_gives_the_same_weights(data, ngrams):
    again = fit_ngrams(data, row_weights(data.rows, TAXONOMY, 0.5), SETTINGS, 1)
    assert torch.equal(again.weight, ngrams.weight)


def test_padding_changes_nothing_and_order_of_words_does(ngrams):
    ids = torch.tensor([[2, 9, 10, 11, 3]])
    padded = torch.tensor([[2, 9, 10, 11, 3, 0, 0]])
    mask = (padded != 0).long()
    assert torch.allclose(ngrams(ids, torch.ones_like(ids)), ngrams(padded, mask), atol=1e-6)
    fresh = PieceNgrams(120, 300, 4)
    fresh.keep(pair_codes(ids[0, :-1], ids[0, 1:]).tolist(), torch.randn(4, 4))
    turned = torch.tensor([[2, 11, 10, 9, 3]])
    assert not torch.allclose(fresh(ids, torch.ones_like(ids)), fresh(turned, torch.ones_like(ids)))


def test_pairs_that_were_kept_are_found_and_strangers_are_not():
    numbers = torch.Generator().manual_seed(0)
    codes = pair_codes(*torch.randint(4, 48_000, (2, 40_000), generator=numbers)).unique()
    codes = codes[torch.randperm(len(codes), generator=numbers)]
    table = PieceNgrams(8, 10_000, 2)
    kept, strangers = codes[: int(0.88 * len(table.keys))], codes[20_000:]
    rows = torch.arange(2.0 * len(kept)).reshape(-1, 2)
    assert table.keep(kept.tolist(), rows) >= len(kept) - 5
    found = table.find(kept)
    assert (table.weight[found] == rows).all(dim=1).sum() >= len(kept) - 5
    assert (table.find(strangers) > 0).float().mean() < 1e-3
    assert not table.weight[0].any()


def test_a_table_that_is_too_small_keeps_the_first_pairs():
    codes = list(range(1_000_000, 1_000_060))
    table = PieceNgrams(8, 30, 1)
    kept = table.keep(codes, torch.ones(60, 1))
    assert 0.7 * len(table.keys) < kept <= len(table.keys)
    assert (table.find(torch.tensor(codes[:15])) > 0).all()


def test_only_pairs_of_two_messages_are_candidates():
    first, second = View.of([[2, 7, 8, 3], [2, 9, 3]]), View.of([[2, 7, 8, 3], [2, 7, 3]])
    wanted = {pair_codes(2, 7)}  # 7-8 stands in one message twice, 3-2 across two messages
    assert set(pairs_of_two_messages([first, second]).tolist()) == wanted
    places, owner = first.batch(np.array([1, 0]))
    assert first.ids[places].tolist() == [2, 9, 3, 2, 7, 8, 3] and owner.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_even_one_piece_has_logits(ngrams):
    assert ngrams(torch.tensor([[2]]), torch.tensor([[1]])).isfinite().all()


def test_the_better_of_two_models_weighs_more_and_both_are_no_worse_than_one():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 3, (400,), generator=generator)
    allowed = torch.nn.functional.one_hot(truth, 3).bool()
    good = 2 * allowed.float() + torch.randn(400, 3, generator=generator)
    poor = 0.5 * allowed.float() + torch.randn(400, 3, generator=generator)
    a, b = blend(good, poor, allowed)
    assert a > 2 * b > 0
    assert coarse_loss(a * good + b * poor, allowed) < coarse_loss(good, allowed)


def test_what_is_saved_is_the_blend_that_validation_chose(data):
    ngrams = PieceNgrams(120, 300, len(TAXONOMY.names))
    shape = ModelConfig(layers=1, hidden=16, heads=2, intermediate=16, embedding=8, max_length=64)
    encoder = new_model(shape, 120, TAXONOMY).eval()
    torch.manual_seed(5)
    for parameter in ngrams.parameters():
        torch.nn.init.normal_(parameter)
    deep, wide = all_logits(encoder, data), all_logits(ngrams, data)
    found = combine(encoder, ngrams, data, TAXONOMY)
    expected = found["encoder_weight"] * deep + found["ngrams_weight"] * wide
    assert torch.allclose(all_logits(WithNgrams(encoder, ngrams), data), expected, atol=1e-4)


def test_a_checkpoint_folder_brings_its_branch_along(ngrams, tmp_path):
    shape = ModelConfig(layers=1, hidden=16, heads=2, intermediate=16, embedding=8, max_length=16)
    encoder = new_model(shape, 120, TAXONOMY).eval()
    encoder.save_pretrained(tmp_path)
    assert not isinstance(load_classifier(tmp_path), WithNgrams)
    save_ngrams(ngrams, tmp_path)
    both, ids = load_classifier(tmp_path).eval(), torch.tensor([[2, 9, 10, 3]])
    mask = torch.ones_like(ids)
    with torch.no_grad():
        expected = encoder(input_ids=ids, attention_mask=mask).logits + ngrams(ids, mask)
        assert torch.allclose(both(input_ids=ids, attention_mask=mask).logits, expected, atol=1e-6)
    (tmp_path / "forewarn.json").write_text('{"ngrams": true}')
    (tmp_path / "ngrams.safetensors").unlink()
    with pytest.raises(ForewarnError, match="half of this model"):
        load_classifier(tmp_path)
    assert output_layer(encoder).out_features == len(TAXONOMY.names)
