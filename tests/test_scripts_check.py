"""The validator finds what it is for."""

import random
from dataclasses import replace

import pytest
from forewarn.inference.cli import main
from forewarn.inference.labels import Taxonomy
from forewarn.training.scripts.check import (
    HONEST_SCRIPTS,
    SCAM_SCRIPTS,
    check_language,
    copies_across,
    distinct_share,
    likeness,
)
from forewarn.training.scripts.corpus import Script

TAXONOMY = Taxonomy.load()
SYLLABLES = [
    "ka",
    "lo",
    "mi",
    "ne",
    "ru",
    "sa",
    "ti",
    "vo",
    "pe",
    "du",
    "ha",
    "ji",
    "ku",
    "ma",
    "no",
    "ra",
    "su",
    "te",
    "va",
    "zo",
    "bi",
    "ce",
    "da",
    "fe",
    "go",
]


def corpus():
    """A made-up language in Greek letters that passes: random words, no tell, half of the rows hard."""
    rng = random.Random(4)
    greek = str.maketrans("abcdefghijklmnoprstuvz", "αβξδεφγηιζκλμνοπρστυωψ")
    scripts = []
    for leaf in TAXONOMY.names:
        count = HONEST_SCRIPTS.get(leaf, SCAM_SCRIPTS)
        for n in range(1, count + 1):
            words = ["".join(rng.choices(SYLLABLES, k=3)).translate(greek) for _ in range(rng.choice([3, 8, 30, 60]))]
            scripts.append(
                Script(f"el-{leaf}-{n:03d}", " ".join(words)[:590], leaf, "el", "GR", "sms", "neutral", (), n % 2 == 0)
            )
    return scripts


@pytest.fixture(scope="module")
def good():
    return corpus()


def faults(scripts):
    return "\n".join(check_language("el", scripts, TAXONOMY).errors)


def test_a_good_corpus_passes(good):
    report = check_language("el", good, TAXONOMY)
    assert report.errors == []
    assert report.rows == len(good) and max(report.tells.values()) <= 0.60


def change(scripts, position, **changes):
    return [replace(s, **changes) if i == position else s for i, s in enumerate(scripts)]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"text": "μια {bankk} εδω"}, "unknown slot {bankk}"),
        ({"text": "μια {bank εδω"}, "broken slot"),
        ({"text": "καλεσε 6971234567890 τωρα"}, "long number"),
        ({"text": "γραψε στο a.b@mail.test"}, "e-mail"),
        ({"region": "XX"}, "places.yaml"),
        ({"label": "prize"}, "do not agree"),
        ({"text": "οχι" * 500}, "1500 characters"),
    ],
)
def test_single_faults_are_named_with_their_row(good, changes, fault):
    found = faults(change(good, 5, **changes))
    assert fault in found and good[5].id in found


def test_a_broken_row_does_not_hide_the_figures_of_the_others(good):
    report = check_language("el", change(good, 5, text="καλεσε 6971234567890 τωρα"), TAXONOMY)
    assert len(report.errors) == 1
    assert report.likeness > 0 and report.hard_scams == pytest.approx(0.5, abs=0.01) and "length" in report.tells


@pytest.mark.filterwarnings("error")
def test_a_language_with_one_side_has_no_figures_of_both(good):
    scams = {leaf.name for leaf in TAXONOMY.leaves if leaf.verdict == "scam"}
    for side in (True, False):
        report = check_language("el", [s for s in good if (s.label in scams) is side], TAXONOMY)
        assert "one side alone" in report.errors[-1]
        assert report.hard_scams is None and report.tells == {}
    assert check_language("el", [replace(good[0], region="XX")], TAXONOMY).lengths == (0, 0, 0)


def test_missing_scripts_are_counted(good):
    assert "tax_rebate: 15 scripts, 16 needed" in faults([s for s in good if s.id != "el-tax_rebate-001"])


def test_near_copies_are_named(good):
    assert "el-loan-002: nearly the same as el-loan-001" in faults(
        [replace(s, text=next(x.text for x in good if x.id == "el-loan-001") + " ναι") if s.id == "el-loan-002" else s
         for s in good]
    )  # fmt: skip


def test_a_tell_is_found(good):
    scams = {leaf.name for leaf in TAXONOMY.leaves if leaf.verdict == "scam"}
    told = [replace(s, text=s.text[:500] + " {url}") if s.label in scams else s for s in good]
    assert "any link alone tells scams from honest rows" in faults(told)


def test_another_writing_system_is_found(good):
    assert "look like el" in faults(
        [replace(s, text=f"plain english words {s.text[:3]} {i} here") for i, s in enumerate(good)]
    )


def test_rows_with_the_same_frame_in_two_languages_are_reported():
    frame = "{bank} {amount} {date} {url} 24"
    one = Script("el-loan-001", f"αα {frame}", "loan", "el", "GR", "sms", "neutral", (), False)
    two = Script(
        "ru-loan-001", "бб {bank} вв {amount}, {date} гг {url} 24", "loan", "ru", "RU", "sms", "neutral", (), False
    )
    assert len(copies_across([one, two])) == 1
    assert copies_across([one, replace(one, id="el-loan-002")]) == []


def test_measures_of_variety():
    assert likeness(["the same words", "the same words"]) == 1.0
    assert likeness(["alpha beta", "zzzz qqqq"]) == 0.0
    assert distinct_share(["abcdefgh"]) == 1.0 > distinct_share(["abcdefgh"] * 4)


def test_an_unknown_language_is_one_line(capsys):
    assert main(["data", "check", "tlh"]) == 2
    assert "tlh" in capsys.readouterr().err


def test_the_whole_corpus_passes(capsys):
    assert main(["data", "check"]) == 0, capsys.readouterr().err
