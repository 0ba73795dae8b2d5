"""What training puts around messages, and the reserved domains that it puts into their links."""

import random
import re

import pytest
from forewarn.inference.labels import Taxonomy
from forewarn.training.augment import reserved_links
from forewarn.training.batches import MessageDataset
from forewarn.training.data.rows import Row
from forewarn.training.surroundings import surround
from forewarn.training.tokenizer import train_tokenizer
from hypothesis import given
from hypothesis import strategies as st

TAXONOMY = Taxonomy.load()


@given(text=st.text(), language=st.sampled_from(["en", "zh", "zh-Hant", "pt-BR", "sr-Cyrl", "und"]), seed=st.integers())
def test_the_message_stays_whole_and_a_seed_repeats(text, language, seed):
    dressed = surround(text, language, random.Random(seed), "see you\nat eight")
    assert text in dressed and len(dressed) > len(text)
    assert dressed == surround(text, language, random.Random(seed), "see you\nat eight")


def test_greetings_are_of_the_language_and_quotes_are_marked():
    def all_of(language, quoted=None):
        return "\n".join(surround("MESSAGE", language, random.Random(seed), quoted) for seed in range(200))

    assert "您好" in all_of("zh") and "Bom dia" in all_of("pt-BR") and "Hello" in all_of("und")
    assert "Hello" not in all_of("th") and "> " not in all_of("th")
    quoted = all_of("en", "first line\nsecond line")
    assert "> first line\n> second line\n\nMESSAGE" in quoted and "MESSAGE\n\n> first line\n> second line" in quoted


def test_both_sides_get_surroundings():
    rows = [Row("you won the draw", "prize", "en", "sms", "written", "x") for _ in range(100)]
    rows += [Row("rent is due", "transactional", "en", "sms", "real", "x") for _ in range(100)]
    tokenizer = train_tokenizer(["hi hello good morning thanks kind regards you won the draw rent is due"] * 9, 90)
    data = MessageDataset(rows, tokenizer, TAXONOMY, seed=1, surrounded_share=0.5)
    bare = [len(tokenizer.encode(row.text).ids) for row in rows]
    longer = [len(data[i]["input_ids"]) > bare[i] for i in range(200)]
    assert 30 <= sum(longer[:100]) <= 65 and 30 <= sum(longer[100:]) <= 65


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pay at https://dhl-fee.top/x1 now", r"Pay at https://dhl-fee\.RESERVED/x1 now"),
        ("www.royalmail.co.uk/track.", r"www\.royalmail\.RESERVED/track\."),
        ("看 qq.com/x 领取", r"看 qq\.RESERVED/x 领取"),
        ("Done today.Please mail a@b.com e.g. this, 3.14", r"Done today\.Please mail a@b\.com e\.g\. this, 3\.14"),
    ],
)
def test_links_move_to_reserved_domains(text, expected):
    pattern = expected.replace("RESERVED", r"(example|test|example\.com|example\.org)")
    for seed in range(10):
        assert re.fullmatch(pattern, reserved_links(text, random.Random(seed)))
