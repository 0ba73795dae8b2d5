"""A base model keeps its answers when its vocabulary is trimmed."""

import pytest
import torch
from forewarn.inference.errors import ForewarnError
from forewarn.training.cli_train import train
from forewarn.training.config import TrainConfig
from forewarn.training.trim import trim, with_explicit_normaliser
from test_training import TAXONOMY, built_data, messages
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedTokenizerFast, XLMRobertaConfig

TEXTS = [row.text for row in messages(60)]
OTHER = ["zebra quartz violin", "ωμέγα και άλφα", "Übermut täte gut"] * 20


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(TEXTS + OTHER, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 4), ("[CLS]", 3))
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=1,
                        num_attention_heads=2, intermediate_size=32, num_labels=21)  # fmt: skip
    return tokenizer, AutoModelForSequenceClassification.from_config(config).eval()


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator(TEXTS + OTHER, trainer)
    tokenizer.add_special_tokens(["<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    config = XLMRobertaConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=1,
                              num_attention_heads=2, intermediate_size=32, pad_token_id=1, num_labels=21)  # fmt: skip
    return tokenizer, AutoModelForSequenceClassification.from_config(config).eval()


@pytest.mark.parametrize("make", [wordpiece, unigram])
def test_logits_stay_and_the_vocabulary_shrinks(make):
    torch.manual_seed(0)
    tokenizer, model = make()
    tokenizer = with_explicit_normaliser(tokenizer)
    texts = TEXTS[:5]
    before_pieces = [tokenizer.encode(text).tokens for text in texts]
    before = [model(input_ids=torch.tensor([tokenizer.encode(text).ids])).logits for text in texts]
    size = tokenizer.get_vocab_size()
    trimmed = trim(model, tokenizer, TEXTS, vocabulary=size)
    assert trimmed.get_vocab_size() < size
    assert model.get_input_embeddings().num_embeddings == trimmed.get_vocab_size() == model.config.vocab_size
    assert [trimmed.encode(text).tokens for text in texts] == before_pieces
    after = [model(input_ids=torch.tensor([trimmed.encode(text).ids])).logits for text in texts]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(after, before, strict=True))


def test_byte_pair_vocabularies_are_refused():
    with pytest.raises(ForewarnError, match="BPE.*Unigram"):
        trim(unigram()[1], Tokenizer(models.BPE()), TEXTS, 100)


def test_a_base_model_is_trained_through_the_command(tmp_path):
    tokenizer, model = unigram()
    base = tmp_path / "base"
    model.save_pretrained(base)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(base)
    config = TrainConfig.model_validate(
        {
            "data": built_data(tmp_path), "out": tmp_path / "run", "base": str(base), "epochs": 1, "batch": 16,
            "tokenizer": {"vocabulary": 250, "bytes_per_language": 0, "require_scripts": False},
            "model": {"max_length": 48}, "public_text_rows": 0,
        }
    )  # fmt: skip
    metrics = train(config)
    assert metrics["steps"] == 10
    trained = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "model")
    assert trained.config.vocab_size <= 250 and trained.config.pad_token_id == 1
    assert trained.config.id2label[0] == TAXONOMY.names[0]
