"""The linear n-gram branch: what it learns, that padding does not touch it, and how it is weighed."""

import pytest
import torch
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.batches import MessageDataset
from forewarn.training.cli_train import combine
from forewarn.training.config import ModelConfig, NgramConfig
from forewarn.training.data.rows import Row
from forewarn.training.model import coarse_loss, new_model, output_layer
from forewarn.training.ngrams import (
    HashedNgrams,
    WithNgrams,
    all_logits,
    blend,
    fit_ngrams,
    load_classifier,
    save_ngrams,
)
from forewarn.training.tokenizer import train_tokenizer

TAXONOMY = Taxonomy.load()
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
    return fit_ngrams(data, NgramConfig(buckets=509, epochs=10, learning_rate=0.1), 0.5, 1)


def test_it_learns_the_leaf_of_texts_that_share_words(data, ngrams):
    logits = all_logits(ngrams, data)
    assert (logits.argmax(1) == data.allowed.float().argmax(1)).all()


def test_the_same_seed_gives_the_same_weights(data, ngrams):
    again = fit_ngrams(data, NgramConfig(buckets=509, epochs=10, learning_rate=0.1), 0.5, 1)
    assert torch.equal(again.weight, ngrams.weight)


def test_padding_changes_nothing_and_order_of_words_does(ngrams):
    ids = torch.tensor([[2, 9, 10, 11, 3]])
    padded = torch.tensor([[2, 9, 10, 11, 3, 0, 0]])
    mask = (padded != 0).long()
    assert torch.allclose(ngrams(ids, torch.ones_like(ids)), ngrams(padded, mask), atol=1e-6)
    turned = torch.tensor([[2, 11, 10, 9, 3]])
    fresh = HashedNgrams(120, 509, 4)
    torch.nn.init.normal_(fresh.weight)
    assert not torch.allclose(fresh(ids, torch.ones_like(ids)), fresh(turned, torch.ones_like(ids)))


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
    ngrams = HashedNgrams(120, 509, len(TAXONOMY.names))
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
