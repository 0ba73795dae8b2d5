"""Growing the corpus from the short written form."""

import io
import json
import re
from collections import Counter
from importlib.resources import files

import pytest
from forewarn.inference.cli import main
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.split import SPLITS
from forewarn.training.scripts import add
from forewarn.training.scripts.corpus import held_out

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


def run(monkeypatch, text, *arguments, new=True):
    """`data ARGUMENTS` with a text, or bytes, on standard input."""
    content = text if isinstance(text, bytes) else text.encode("utf-8")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))
    return main(["data", *arguments, *(["--new"] if new else [])])


def rows(corpus):
    return [json.loads(line) for line in (corpus / "en.jsonl").read_text(encoding="utf-8").splitlines()]


def test_messages_get_ids_and_what_the_header_says(corpus, monkeypatch, capsys):
    assert run(monkeypatch, FORM, "add", "en") == 0
    said = capsys.readouterr().out
    assert "en: 3 added, 0 refused, 3 in all" in said
    splits = Counter(held_out(row["id"] for row in rows(corpus)).values())
    assert ", ".join(f"{splits[split]} for {split}" for split in SPLITS) in said
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
        ("@ loan SG sms formal\nring 6581 234 5678 today", "literal long number"),
        ("@ loan SG sms formal\nwrite to wei@mail.test today", "e-mail"),
        ("@ loan SG sms formal\n!Hi, its Wei from the bank", "space after its '!'"),
        ("@ parcel SG sms formal\n", "did you mean parcel_delivery?"),
        ("@ loan UK sms formal\n", "GB"),
        ("@ loan SG sms formal [lever=gred]\n", "did you mean greed?"),
        ("@john are you coming tonight", "is written '\\@'"),
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
    assert main(["data", "remove", "en-tax_rebate-001", "en-tax_rebate-002"]) == 0
    assert not (corpus / "en.jsonl").exists()


def test_a_script_that_breaks_a_rule_can_be_removed(corpus, monkeypatch):
    run(monkeypatch, FORM, "add", "en")
    broken = (corpus / "en.jsonl").read_text(encoding="utf-8").replace("{bank}", "{bankk}")
    (corpus / "en.jsonl").write_text(broken, encoding="utf-8")
    assert main(["data", "remove", "en-tax_rebate-001"]) == 0
    assert len(rows(corpus)) == 2


def test_a_language_without_scripts_is_begun_on_purpose(corpus, monkeypatch, capsys):
    assert run(monkeypatch, FORM, "add", "eng", new=False) == 2
    assert "--new begins a language" in capsys.readouterr().err and not list(corpus.iterdir())
    assert run(monkeypatch, FORM, "add", "en") == 0
    assert run(monkeypatch, "@ loan SG sms casual\nCash in one hour\n", "add", "en", new=False) == 0


def test_a_bad_header_is_named_once_for_the_messages_under_it(corpus, monkeypatch, capsys):
    form = "too early\n@ parcel SG sms formal\none message\nanother one\n@ loan SG sms casual\nCash in an hour\n"
    assert run(monkeypatch, form, "add", "en") == 2
    said = capsys.readouterr()
    first, second = said.err.splitlines()
    assert first == "line 1: a message without a valid header above it"
    assert second.startswith("line 2:") and second.endswith("(messages under it that were skipped: 2)")
    assert "1 added, 4 refused" in said.out


@pytest.mark.parametrize("written", ["[lever=greed,fear]", "lever=greed,fear", "[lever=greed, fear]"])
def test_levers_are_written_with_brackets_or_without(corpus, monkeypatch, written):
    assert run(monkeypatch, f"@ loan SG sms casual {written}\nCash in an hour\n", "add", "en") == 0
    assert rows(corpus)[0]["levers"] == ["greed", "fear"]


def test_a_message_that_begins_with_a_mark_has_a_backslash(corpus, monkeypatch):
    form = "@ personal SG chat casual\n\\@john are you coming\n\\! fire drill at noon\n! \\!nobody told me of it\n"
    assert run(monkeypatch, form, "add", "en") == 0
    found = [(row["text"], row["hard"]) for row in rows(corpus)]
    assert found == [("@john are you coming", False), ("! fire drill at noon", False), ("!nobody told me of it", True)]


def test_text_is_utf_8_with_or_without_a_byte_order_mark(corpus, monkeypatch, capsys):
    form = "@ personal SG chat casual\nun café à midi ?\n"
    assert run(monkeypatch, form.encode("latin-1"), "add", "en") == 2
    error = capsys.readouterr().err
    assert "standard input: line 2 is not UTF-8" in error and len(error.splitlines()) == 1
    assert run(monkeypatch, form.replace("\n", "\r\n").encode("utf-8-sig"), "add", "en") == 0
    assert rows(corpus)[0]["text"] == "un café à midi ?"


def test_a_loud_message_is_not_a_hard_one(corpus, monkeypatch):
    run(monkeypatch, "@ loan SG sms casual\n!!!CASH in one hour, no questions asked!!!\n", "add", "en")
    assert (rows(corpus)[0]["text"][:3], rows(corpus)[0]["hard"]) == ("!!!", False)


def test_what_is_no_language_tag_is_refused(corpus, capsys):
    assert main(["data", "add", "../en"]) == 2
    assert "language tag" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_one_clear_line(corpus, capsys):
    assert main(["data", "add", "en", "nowhere.txt", "--new"]) == 2
    assert "nowhere.txt" in capsys.readouterr().err


def test_the_page_for_writers_shows_every_leaf_and_an_example_that_is_taken(corpus, monkeypatch, capsys):
    page = (files("forewarn.data_cards") / "forewarn_scripts" / "WRITING.md").read_text(encoding="utf-8")
    for leaf in Taxonomy.load().leaves:
        assert f"| `{leaf.name}` | {leaf.about} | {', '.join(leaf.levers) or 'none'} |" in page
    example = re.search(r"A whole file.*?\n\n((?:    .*\n)+)", page)[1]
    assert run(monkeypatch, example, "add", "en") == 0, capsys.readouterr().err
    assert {row["label"] for row in rows(corpus)} == {"parcel_delivery", "transactional", "personal"}
    assert all("@ " not in row["text"] for row in rows(corpus))
