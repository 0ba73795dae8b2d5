"""The cache of verdicts: alike texts, its bound, and that it holds no text."""

import gc
import tracemalloc
from dataclasses import replace

import httpx
import pytest
from forewarn.inference.service.cache import ENTRY_BYTES, VerdictCache
from forewarn.inference.service.settings import Settings
from test_server import serving

TEXT = "Claim your tax rebate today or it expires"


class Counting:
    """A classifier that keeps which texts reached the model."""

    def __init__(self, classifier):
        self.inner, self.texts = classifier, []

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def score(self, texts, *args, **kwargs):
        self.texts += texts
        return self.inner.score(texts, *args, **kwargs)


def ask(client: httpx.Client, *texts, **fields):
    answer = client.post(
        "/v1/score", json={"messages": [{"id": str(i), "text": x} for i, x in enumerate(texts)], **fields}
    )
    assert answer.status_code == 200
    return answer.json()["results"]


def metric(client, name):
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"forewarn_{name}"))


def test_a_text_that_reads_alike_is_scored_once(tiny_classifier, tiny_bundle):
    counting = Counting(tiny_classifier)
    with serving(counting, tiny_bundle, Settings()) as client:
        first = ask(client, TEXT)
        again = ask(client, TEXT, TEXT.upper(), TEXT.replace("tax", "t\u200bax"), "See you at seven")
        assert [x["risk"] for x in again[:3]] == [first[0]["risk"]] * 3
        assert [x["id"] for x in again] == ["0", "1", "2", "3"]
        assert again[3]["verdict"] == "legitimate"
        assert [x for x in counting.texts if "expires" in x.lower()] == [TEXT]
        assert metric(client, "cache_hits_total") == 3
        assert metric(client, "cache_misses_total") == 2
        assert metric(client, "cache_bytes") == 2 * ENTRY_BYTES
        assert metric(client, "messages_total") == 5


def test_an_explanation_does_not_come_from_the_cache(tiny_classifier, tiny_bundle):
    with serving(tiny_classifier, tiny_bundle, Settings()) as client:
        assert "evidence" not in ask(client, TEXT)[0]
        assert ask(client, TEXT, explain=True)[0]["evidence"]
        assert "evidence" not in ask(client, TEXT)[0]


def test_no_cache_with_zero_bytes(tiny_classifier, tiny_bundle):
    counting = Counting(tiny_classifier)
    with serving(counting, tiny_bundle, Settings(cache_bytes=0)) as client:
        assert ask(client, TEXT) == ask(client, TEXT)
        assert counting.texts.count(TEXT) == 2
        assert metric(client, "cache_hits_total") == metric(client, "cache_misses_total") == 0


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Tax Refund", "TAX refund", True),
        ("tax refund", "ｔａｘ refund", True),
        ("", "  ", True),
        ("pay \ud800 now", "pay \ufffd now", True),
        ("tax refund", "tax refunds", False),
        ("end [SEP]", "end [sep]", False),  # the tokenizer reads the first as a special token
    ],
)
def test_alike_is_what_the_model_reads_alike(tiny_classifier, one, other, alike):
    assert (tiny_classifier.canonical(one) == tiny_classifier.canonical(other)) == alike
    if alike:
        same, as_well = tiny_classifier.score([one, other])
        assert same == as_well


def test_the_longest_unused_goes_first(tiny_classifier):
    [verdict] = tiny_classifier.score([TEXT])
    cache = VerdictCache(2 * ENTRY_BYTES)
    one, two, three = (cache.key(x) for x in ("one", "two", "three"))
    cache.put(one, verdict)
    cache.put(two, verdict)
    assert cache.get(one) == verdict
    cache.put(three, verdict)
    assert cache.get(two) is None
    assert cache.get(one) == cache.get(three) == verdict
    assert cache.size_bytes == 2 * ENTRY_BYTES


def test_it_takes_no_more_memory_than_it_was_given(tiny_classifier):
    [verdict] = tiny_classifier.score([TEXT])
    limit = 2_000_000
    gc.collect()
    tracemalloc.start()
    cache = VerdictCache(limit)
    for i in range(10_000):
        cache.put(cache.key(str(i)), replace(verdict, risk=i / 10_000, type_score=i / 20_000))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert limit / 3 < used <= limit
    assert cache.size_bytes <= limit


def test_keys_differ_between_processes_and_hold_no_text():
    assert VerdictCache(ENTRY_BYTES).key(TEXT) != VerdictCache(ENTRY_BYTES).key(TEXT)
    assert b"rebate" not in VerdictCache(ENTRY_BYTES).key(TEXT)
