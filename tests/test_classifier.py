from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from forewarn.inference import ScamClassifier, Verdict
from forewarn.inference.errors import ForewarnError
from forewarn.inference.explain import clean, forewarning_for, origins
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tinybundle import FOREWARNINGS, VERSION

SCAM = "Claim your tax rebate today at http://refund.example"
HAM = "Running late, be home at seven"


def check(verdict: Verdict) -> None:
    assert verdict.verdict in ("scam", "promotion", "legitimate")
    assert verdict.action in ("allow", "warn", "block")
    assert 0 <= verdict.risk <= 1
    assert 0 <= verdict.type_score <= 1


def test_a_scam_and_an_honest_message(tiny_classifier: ScamClassifier) -> None:
    scam, ham = tiny_classifier.score([SCAM, HAM])
    assert (scam.verdict, scam.type, scam.levers) == ("scam", "tax_rebate", ("greed", "authority"))
    assert scam.action == "block"
    assert (ham.verdict, ham.type, ham.action) == ("legitimate", "personal", "allow")
    assert scam.to_dict(id="a1") == {
        "id": "a1",
        "verdict": "scam",
        "risk": round(scam.risk, 6),
        "action": "block",
        "type": "tax_rebate",
        "type_score": round(scam.type_score, 6),
        "levers": ["greed", "authority"],
        "model": VERSION,
    }
    assert "id" not in ham.to_dict()


def test_risk_follows_the_manifest(tiny_classifier: ScamClassifier) -> None:
    logits = tiny_classifier.logits([SCAM])
    assert logits.shape == (1, 21)
    assert logits.dtype == np.float32
    scam = tiny_classifier.taxonomy.indices("scam")
    shifted = logits[0].astype(float)
    shifted[scam] += 0.25
    p = np.exp(shifted / 1.5) / np.exp(shifted / 1.5).sum()
    assert tiny_classifier.score([SCAM])[0].risk == pytest.approx(p[scam].sum())


def test_actions_begin_at_their_thresholds(tiny_classifier: ScamClassifier) -> None:
    assert [tiny_classifier.action(r) for r in (0.49, 0.5, 0.89, 0.9)] == ["allow", "warn", "warn", "block"]


def test_golden_vectors(tiny_classifier: ScamClassifier, tiny_bundle: Path) -> None:
    vectors = [json.loads(line) for line in (tiny_bundle / "vectors.jsonl").read_text(encoding="utf-8").splitlines()]
    logits = tiny_classifier.logits([x["text"] for x in vectors])
    assert np.allclose(logits, [x["logits"] for x in vectors], atol=1e-4)
    assert [x.verdict for x in tiny_classifier.score([x["text"] for x in vectors])] == [x["verdict"] for x in vectors]


def test_batches_keep_order_and_values(tiny_classifier: ScamClassifier) -> None:
    texts = [f"{SCAM if i % 3 else HAM} {'dinner ' * (i * 7 % 50)}{i}" for i in range(300)]
    together = tiny_classifier.logits(texts)
    alone = np.concatenate([tiny_classifier.logits([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-4)
    risks = [x.risk for x in tiny_classifier.score(texts)]
    assert risks == pytest.approx([x.risk for x in tiny_classifier.score_stream(texts, batch=7)], abs=1e-4)


@pytest.mark.parametrize("text", ["", "   \n\t", "\0\0", "\u200b\u200f\ufeff", "\u3000"])
def test_nothing_to_read_is_legitimate(tiny_classifier: ScamClassifier, text: str) -> None:
    (verdict,) = tiny_classifier.score([text], explain=True)
    assert (verdict.verdict, verdict.risk, verdict.action) == ("legitimate", 0.0, "allow")
    assert (verdict.evidence, verdict.forewarning) == ([], None)


@pytest.mark.parametrize(
    "text",
    [
        "\ud83d",
        "a\udc00b\ud800" * 50,
        "win\0 a prize\0",
        "\u202eevah uoy\u202c \u200f\u200e",
        "😂🎉👨‍👩‍👧‍👦🇰🇷",
        "x" * 100_000,
        "退税" * 50_000,
        " " * 99_999 + "!",
        "\u0301" * 5000,
    ],
)
def test_odd_texts_get_a_verdict(tiny_classifier: ScamClassifier, text: str) -> None:
    (verdict,) = tiny_classifier.score([text], explain=True)
    check(verdict)
    json.dumps(verdict.to_dict(), ensure_ascii=False).encode("utf-8")


# Surrogates are part of Python's strings, so they are part of this too.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=80)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(ANY_TEXT, max_size=5))
def test_any_text_gets_a_verdict(tiny_classifier: ScamClassifier, texts: list[str]) -> None:
    verdicts = tiny_classifier.score(texts, explain=True)
    assert len(verdicts) == len(texts)
    for text, verdict in zip(texts, verdicts, strict=True):
        check(verdict)
        for span in verdict.evidence or []:
            assert 0 <= span["start"] < span["end"] <= len(text)
            assert len(span["text"]) == span["end"] - span["start"]


@given(text=ANY_TEXT)
def test_every_cleaned_character_has_its_origin(text: str) -> None:
    cleaned = clean(text)
    assert "\0" not in cleaned
    cleaned.encode("utf-8")
    places = origins(text)
    assert len(places) == len(cleaned)
    assert all(c in (text[i], "\ufffd") for c, i in zip(cleaned, places, strict=True))


def test_a_long_text_keeps_head_and_tail() -> None:
    text = "a" * 3000 + "b" * 50_000 + "c" * 1000
    assert clean(text) == "a" * 3000 + "\n" + "c" * 1000
    assert origins(text)[-1] == len(text) - 1


def test_what_is_not_text_is_an_error_without_its_content(tiny_classifier: ScamClassifier) -> None:
    with pytest.raises(ForewarnError, match="text 1 is a bytes") as error:
        tiny_classifier.score(["fine", b"MARK-7781"])  # type: ignore[list-item]
    assert "MARK" not in str(error.value)
    with pytest.raises(ForewarnError, match="a list of texts"):
        tiny_classifier.score("MARK-7781")
    with pytest.raises(ForewarnError, match="text 0 is a NoneType"):
        tiny_classifier.logits([None])  # type: ignore[list-item]


def test_no_texts(tiny_classifier: ScamClassifier) -> None:
    assert tiny_classifier.score([]) == []
    assert tiny_classifier.logits([]).shape == (0, 21)


def test_a_stream_is_read_lazily(tiny_classifier: ScamClassifier) -> None:
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for i in range(20_000):
            taken += 1
            yield f"message {i}"

    verdicts = tiny_classifier.score_stream(lines(), batch=64)
    next(verdicts)
    assert taken == 64
    assert 1 + sum(1 for _ in verdicts) == 20_000


def test_evidence_points_at_the_original(tiny_classifier: ScamClassifier) -> None:
    text = "Dear\0 friend, \u200bclaim your TAX REBATE today"
    (verdict,) = tiny_classifier.score([text], explain=True)
    assert verdict.evidence
    weights = [span["weight"] for span in verdict.evidence]
    assert weights == sorted(weights, reverse=True)
    assert min(weights) > 0
    assert all(text[span["start"] : span["end"]] == span["text"] for span in verdict.evidence)


def test_evidence_is_finer_than_a_line_without_spaces(tiny_classifier: ScamClassifier) -> None:
    text = "今天下班早点回家妈妈等你领取退税退款今天下班早点回家"
    (verdict,) = tiny_classifier.score([text], explain=True)
    assert verdict.evidence
    assert "退税" in verdict.evidence[0]["text"]
    assert len(verdict.evidence[0]["text"]) < len(text) / 2


def test_evidence_only_when_asked_for(tiny_classifier: ScamClassifier) -> None:
    assert "evidence" not in tiny_classifier.score([SCAM])[0].to_dict()
    answer = tiny_classifier.score([SCAM], explain=True)[0].to_dict()
    assert answer["evidence"]
    assert answer["forewarning"] == FOREWARNINGS["tax_rebate"]["en"]
    assert tiny_classifier.score([HAM], explain=True)[0].forewarning is None


@pytest.mark.parametrize(
    ("locale", "found"),
    [
        ("zh-Hant-TW", "zh-Hant"),
        ("zh_TW", "zh-Hant"),
        ("zh-CN", "zh"),
        ("PT-br", "pt-BR"),
        ("pt_BR.UTF-8", "pt-BR"),
        ("fr-CA", "en"),
        ("", "en"),
        ("---", "en"),
        (None, "en"),
    ],
)
def test_the_forewarning_falls_back_by_locale(tiny_classifier: ScamClassifier, locale: str | None, found: str) -> None:
    (verdict,) = tiny_classifier.score([SCAM], explain=True, locale=locale)
    assert verdict.forewarning == FOREWARNINGS["tax_rebate"][found]


def test_no_forewarning_in_any_locale() -> None:
    assert forewarning_for({}, "en") is None


@pytest.mark.parametrize(
    "module", ["forewarn.inference", "forewarn.inference.classifier", "forewarn.inference.cli_score"]
)
def test_the_runtime_is_light(module: str) -> None:
    heavy = {"torch", "transformers", "fastapi", "pyarrow", "pandas", "onnx", "sklearn"}
    code = f"import {module}, sys; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
