"""Who sent a message may raise its risk, a little, and never lowers it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from forewarn.inference.classifier import ScamClassifier, Verdict
from forewarn.inference.cli import main
from forewarn.inference.errors import ForewarnError
from forewarn.inference.sender import FROM_ABROAD, PRIVATE_FOR_INSTITUTION, log_odds, moved
from hypothesis import given
from hypothesis import strategies as st

PRIVATE, ABROAD = PRIVATE_FOR_INSTITUTION, FROM_ABROAD


@pytest.mark.parametrize(
    ("sender", "type", "locale", "added"),
    [
        (None, "bank_alert", "en-SG", 0.0),
        ("", "bank_alert", "en-SG", 0.0),
        ("DBS Bank", "bank_alert", "en-SG", 0.0),  # forged every day, and no worse than unknown
        ("74688", "transactional", "en-SG", 0.0),
        ("+65 8123 4567", "bank_alert", "en-SG", PRIVATE),
        ("8123-4567", "tax_rebate", None, PRIVATE),
        ("+65 8123 4567", "romance", "en-SG", 0.0),  # people write from private numbers
        ("+44 7700 900123", "romance", "en-SG", ABROAD),
        ("0044 7700 900123", "romance", "zh-Hans-SG", ABROAD),
        ("+44 7700 900123", "parcel_delivery", "en_SG", PRIVATE + ABROAD),
        ("+44 7700 900123", "romance", "en", 0.0),  # nobody said where the person is
        ("+44 7700 900123", "romance", "en-XX", 0.0),
        ("post@parcel.example", "parcel_delivery", "en-GB", PRIVATE),
        ("\u202a+1 (555) 010-0199\u202c", "personal", "es-US", 0.0),
    ],
)
def test_what_a_sender_adds(sender: str | None, type: str, locale: str | None, added: float) -> None:
    assert log_odds(sender, type, locale) == pytest.approx(added)


@given(st.text(), st.sampled_from(["bank_alert", "personal"]), st.one_of(st.none(), st.text(max_size=12)))
def test_any_sender_is_bounded_and_never_lowers(sender: str, type: str, locale: str | None) -> None:
    assert 0.0 <= log_odds(sender, type, locale) <= PRIVATE + ABROAD


@given(st.floats(0, 1), st.floats(0, 2))
def test_risk_stays_a_probability_and_rises(risk: float, added: float) -> None:
    assert risk - 1e-12 <= moved(risk, added) <= 1.0


def verdict(classifier: ScamClassifier, risk: float) -> Verdict:
    found = classifier.score(["hello"])[0]
    return replace(found, type="bank_alert", risk=risk, action=classifier.action(risk))


def test_a_text_that_is_allowed_for_itself_is_never_blocked(tiny_classifier: ScamClassifier) -> None:
    points = tiny_classifier.manifest["operating_points"]
    warn, block = points["warn"]["threshold"], points["block"]["threshold"]
    for step in range(1, 1000):
        text = verdict(tiny_classifier, step / 1000)
        hinted = tiny_classifier.with_sender(text, "+44 7700 900123", "en-SG")
        assert hinted.risk > text.risk and hinted.verdict == text.verdict
        if text.risk < warn:
            assert hinted.action != "block"
    assert tiny_classifier.with_sender(verdict(tiny_classifier, 0.02), "+44 7700 900123", "en-SG").action == "allow"
    near = verdict(tiny_classifier, (warn + block) / 2)
    assert near.action == "warn" and tiny_classifier.with_sender(near, "+447700900123", "en-SG").action == "block"


def test_no_sender_changes_nothing(tiny_classifier: ScamClassifier) -> None:
    texts = ["Claim your tax rebate today", "see you at dinner", ""]
    assert tiny_classifier.score(texts, senders=[None, "BANK", "+44 7700 900123"]) == tiny_classifier.score(texts)
    with pytest.raises(ForewarnError, match="1 senders for 3 texts"):
        tiny_classifier.score(texts, senders=["x"])


def test_the_command_line_takes_the_sender_of_a_line(tiny_bundle, tmp_path, capsys) -> None:
    lines = [{"text": "tax refund at home seven", "sender": sender} for sender in (None, "+44 7700 900123")]
    path = tmp_path / "messages.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    options = ["--bundle", str(tiny_bundle), "--format", "jsonl", "--locale", "en-SG"]
    assert main(["score", "--input", str(path), *options]) == 0
    without, with_one = (json.loads(line)["risk"] for line in capsys.readouterr().out.splitlines())
    assert with_one > without
