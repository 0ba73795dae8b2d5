"""Growing the corpus from the short written form."""

import io
import json

import pytest
from forewarn.inference.cli import main
from forewarn.training.scripts import add

FORM = """
@ tax_rebate SG sms formal
IRAS: your rebate of {amount} came back from {bank}. Enter your details again at {url}
! Hi, its Wei from the tax counter just now,\\nyou left your form here

@ personal SG chat casual
! Mum, I left my form at the counter, can you fetch it
"""


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(add, "corpus_folder", lambda: tmp_path)
    return tmp_path


def run(monkeypatch, text, *arguments):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return main(["data", *arguments])


def rows(corpus):
    return [json.loads(line) for line in (corpus / "en.jsonl").read_text(encoding="utf-8").splitlines()]


def test_messages_get_ids_and_what_the_header_says(corpus, monkeypatch, capsys):
    assert run(monkeypatch, FORM, "add", "en") == 0
    assert "en: 3 added, 0 refused, 3 in all" in capsys.readouterr().out
    first, second, third = rows(corpus)
    assert (first["id"], first["levers"], first["hard"]) == ("en-tax_rebate-001", ["greed", "authority"], False)
    assert (second["id"], second["text"].count("\n"), second["hard"]) == ("en-tax_rebate-002", 1, True)
    assert (third["id"], third["channel"], third["region"]) == ("en-personal-001", "chat", "SG")


def test_numbers_go_on_and_near_copies_are_refused(corpus, monkeypatch, capsys):
    run(monkeypatch, FORM, "add", "en")
    more = "@ tax_rebate SG sms formal\nIRAS: your rebate of {amount} came back from {bank}. Enter your details again\n"
    assert run(monkeypatch, more + "A new wording altogether for the relief office\n", "add", "en") == 2
    assert "line 2: too like en-tax_rebate-001" in capsys.readouterr().err
    assert [row["id"] for row in rows(corpus)][-1] == "en-tax_rebate-003"


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ("hello there, whoever you are", "without a valid header"),
        ("@ nonsense SG sms formal\n", "no leaf"),
        ("@ loan Atlantis sms formal\n", "places.yaml"),
        ("@ loan SG fax formal\n", "channel"),
        ("@ loan SG sms formal lever=hunger\n", "no lever"),
        ("@ loan SG sms\n", "a header is"),
        ("@ loan SG sms formal\nmoney for {nobody} today", "unknown slot"),
        ("@ loan SG sms formal\nmoney for {amount today", "broken slot"),
        ("@ loan SG sms formal\nhi", "2 characters"),
    ],
)
def test_what_cannot_be_taken_is_named_by_line(corpus, monkeypatch, capsys, form, reason):
    assert run(monkeypatch, form, "add", "en") == 2
    error = capsys.readouterr().err
    assert error.startswith("line ") and reason in error
    assert not (corpus / "en.jsonl").exists()


def test_removing_takes_all_or_nothing(corpus, monkeypatch, capsys):
    run(monkeypatch, FORM, "add", "en")
    assert main(["data", "remove", "en-personal-001", "en-loan-009"]) == 2
    assert "en-loan-009" in capsys.readouterr().err and len(rows(corpus)) == 3
    assert main(["data", "remove", "en-personal-001"]) == 0
    assert [row["label"] for row in rows(corpus)] == ["tax_rebate", "tax_rebate"]


def test_a_loud_message_is_not_a_hard_one(corpus, monkeypatch):
    run(monkeypatch, "@ loan SG sms casual\n!!!CASH in one hour, no questions asked!!!\n", "add", "en")
    assert (rows(corpus)[0]["text"][:3], rows(corpus)[0]["hard"]) == ("!!!", False)


def test_what_is_no_language_tag_is_refused(corpus, capsys):
    assert main(["data", "add", "../en"]) == 2
    assert "language tag" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_one_clear_line(corpus, capsys):
    assert main(["data", "add", "en", "nowhere.txt"]) == 2
    assert "nowhere.txt" in capsys.readouterr().err
