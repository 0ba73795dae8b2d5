"""The attack suite: what each rewrite does, that a seed repeats it, and that it is measured on what it changes."""

import random

import pytest
from attacks.run import measure, table
from attacks.search import attack
from attacks.tricks import TRICKS, answering, buried, everyday, padded
from forewarn.training.data.rows import Row
from hypothesis import given
from hypothesis import strategies as st

SEEN = {
    "cyrillic_letters": ("Your bank account", "Ьапk"),
    "chinese_doubles": ("加我微信", ""),
    "thai_spelling": ("ด่วน กู้เงิน", "ดวน กูเงิน"),
    "vietnamese_telex": ("tài khoản của bạn bị khóa", ""),
    "kashida": ("حسابك مغلق", ""),
    "romanised": ("мама у меня новый номер", "mama u menja novyj nomer"),
    "broken_links": ("see post-fee.example/pay code 123456", ""),
    "full_width": ("pay 5", "ｐａｙ ５"),
    "pictures": ("your parcel LİNKE, para esperar", "your 📦 LİNKE, para esperar"),
}


@pytest.mark.parametrize("name", sorted(SEEN))
def test_a_rewrite_does_what_its_name_says(name):
    text, expected = SEEN[name]
    changed = {TRICKS[name](text, random.Random(i)) for i in range(20)}
    assert changed != {text}
    assert not expected or any(expected in one for one in changed)


@pytest.mark.parametrize("name", sorted(TRICKS))
@given(text=st.text(max_size=60), seed=st.integers(0, 9))
def test_any_text_is_taken_and_a_seed_repeats(name, text, seed):
    assert TRICKS[name](text, random.Random(seed)) == TRICKS[name](text, random.Random(seed))


def test_padding_keeps_the_message():
    text = padded("claim your prize", "see you at eight", random.Random(1))
    assert "claim your prize" in text and "see you at eight" in text


def test_an_answer_carries_what_it_answers():
    text = answering("claim your prize", "see you\nat eight", random.Random(1))
    assert text.startswith("claim your prize\n") and text.endswith("| see you\n| at eight")


def test_a_buried_message_lies_in_the_middle_of_a_long_text():
    text = buried("claim your prize", ["see you at eight", "the bus is late"], random.Random(1))
    assert 600 <= text.index("claim your prize") <= 700 and 1200 <= len(text) <= 1400


def test_the_search_finds_the_word_that_the_model_leans_on():
    def risks(texts):
        return [0.9 if "prize" in text else 0.1 for text in texts]

    outcome = attack("you won a prize today", risks, 0.5)
    assert not outcome.survived and outcome.changes == 1
    assert attack("you won a prize today", lambda texts: [0.9] * len(texts), 0.5).survived


def test_warnings_before_and_after_are_measured(tiny_classifier):
    rows = [Row(f"win a prize {i} now", "prize", "en", "sms", "written", "x") for i in range(6)]
    rows += [Row(f"dinner at {i} tonight", "personal", "en", "sms", "written", "x") for i in range(6)]
    found = measure(tiny_classifier, rows, searched=2)
    assert found["tricks"]["cyrillic_letters"]["rows"] >= 4 and "kashida" not in found["tricks"]
    assert set(found["families"]) == {"prize"} and found["honest"]["rows"] == 6
    assert "| cyrillic_letters |" in table(found)


def test_everyday_slips_leave_a_message_readable():
    text = "can you pick up the children at five"
    seen = {everyday(text, random.Random(i)) for i in range(20)}
    assert len(seen) > 5
    for one in seen:
        assert sorted(one.lower())[-len(text) :] and len(set(text.split()) & set(one.lower().split())) > 4
