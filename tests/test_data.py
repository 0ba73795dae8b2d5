"""Cleaning, masking, de-duplication, splits and the built folder."""

import json
import shutil

import pytest
from forewarn.inference.cli import main
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.data import registry
from forewarn.training.data.build import build
from forewarn.training.data.clean import clean, mask
from forewarn.training.data.dataset import read_split
from forewarn.training.data.dedupe import cluster, merge_exact
from forewarn.training.data.rows import Row
from forewarn.training.data.split import SPLITS, split_rows
from hypothesis import given, settings
from hypothesis import strategies as st


def row(text, label="ham", source="a", group=""):
    return Row(text, label, "en", "sms", "written", source, group, "file:1")


@given(st.text())
def test_cleaning_is_settled_after_once(text):
    assert clean(clean(text)) == clean(text)


@given(st.text(alphabet=st.characters()))
def test_clean_text_can_always_be_written(text):
    clean(text).encode("utf-8")


def test_cleaning_keeps_what_carries_meaning():
    assert clean(" a\x00b\r\n\r\n c\u200bd  e\ud800 ") == "a b\nc\u200bd e\ufffd"


def test_masking_takes_numbers_and_names_and_leaves_amounts_and_codes():
    masked = mask("Dear Peter Mwakyusa, send 50,000 to 0689 933 027 or pm@mail.test. Code 482913.")
    assert "Peter" not in masked and "933" not in masked and "pm@" not in masked
    assert "50,000" in masked and "482913" in masked
    assert len(masked.split()) == 13


@given(st.from_regex(r"\+?[0-9]{9,14}", fullmatch=True))
def test_masked_numbers_keep_their_shape(number):
    assert [c.isdigit() for c in mask(number)] == [c.isdigit() for c in number]
    assert mask(number) == mask(number)


def test_copies_merge_to_the_narrowest_label_and_contradictions_go():
    rows = [row("Win now", "unwanted"), row("win NOW", "prize", "b"), row("hello", "ham"), row("hello", "scam", "b")]
    kept, removed = merge_exact(rows, Taxonomy.load())
    assert [(r.text, r.label) for r in kept] == [("Win now", "prize")]
    assert [r.reason for r in removed].count("copies with contradicting labels") == 2
    assert len(kept) + len(removed) == len(rows)


def test_one_template_is_one_group():
    rows = [
        row("Your parcel 8812 is held at the depot, pay 2.99 at http://post-a.example/x today"),
        row("Your parcel 5521 is held at the depot, pay 1.45 at http://other.example/y today"),
        row("Are we still on for dinner at your sister's on Saturday?"),
    ]
    groups = cluster(rows)
    assert groups[0] == groups[1] != groups[2]


def test_a_source_group_holds_together():
    groups = cluster([row("first of a kind", group="t1"), row("quite another wording", group="t1"), row("alone here")])
    assert groups[0] == groups[1] != groups[2]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 40), st.text(max_size=5)), max_size=80), st.integers())
def test_no_group_is_on_two_sides(items, seed):
    rows = [row(text, group=f"g{group}") for group, text in items]
    splits = split_rows(rows, seed)
    assert sum(map(len, splits.values())) == len(rows)
    sides = [{r.group for r in splits[name]} for name in SPLITS]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_adding_rows_moves_no_old_group():
    old = [row(str(i), group=f"g{i}") for i in range(100)]
    new = old + [row(str(i), group=f"g{i}") for i in range(100, 200)]
    before, after = split_rows(old, 1), split_rows(new, 1)
    assert all({r.group for r in before[name]} <= {r.group for r in after[name]} for name in SPLITS)


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror with one source, a small file of our own in the format of the Korean set."""
    [source] = registry.select(["ko_chatbot_ham"], [])
    path = tmp_path / "mirror" / source.folder / source.files[0].path
    path.parent.mkdir(parents=True)
    lines = [f"오늘 저녁에 뭐 먹을까 {word},좋아요,0" for word in ("김밥", "라면", "국수", "찌개", "비빔밥", "만두")]
    path.write_text("Q,A,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setenv("FOREWARN_MIRROR", str(tmp_path / "mirror"))
    fixed = registry.SourceFile(source.files[0].path, path.stat().st_size, registry.sha256_of(path))
    return registry.Source(**{**source.__dict__, "files": (fixed,)}), path


def test_build_writes_splits_and_says_what_was_left_out(mirror, tmp_path):
    source, _ = mirror
    info = build([source], tmp_path / "data", 1, lambda _: None)
    rows = [r for split in SPLITS for r in read_split(tmp_path / "data", split)]
    assert sum(info["rows"].values()) == len(rows) == 6
    assert {r.source for r in rows} == {"ko_chatbot_ham"} and all(r.group for r in rows)
    again = build([source], tmp_path / "again", 1, lambda _: None)
    assert again["fingerprint"] == info["fingerprint"]
    assert json.loads((tmp_path / "data" / "build.json").read_text())["seed"] == 1


def test_changed_or_missing_files_name_the_source(mirror, tmp_path):
    source, path = mirror
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ForewarnError, match="ko_chatbot_ham.*sha256.*--skip"):
        registry.fetch(source)
    shutil.rmtree(path.parent)
    with pytest.raises(ForewarnError, match="ko_chatbot_ham.*not in the mirror.*--skip"):
        registry.fetch(source)


def test_the_command_line(capsys, tmp_path):
    assert main(["data", "list"]) == 0
    header, *sources = capsys.readouterr().out.splitlines()
    assert header.split() == ["source", "size", "languages", "licence"]
    assert len(sources) == len(registry.all_sources()) == 21
    [ours] = [line for line in sources if line.startswith("forewarn_scripts ")]
    assert float(ours.split()[1]) > 1
    assert main(["data", "build", "uci_sms_spam", "--skip", "uci_sms_spam", "--out", str(tmp_path / "data")]) == 2
    assert "leaves out every source" in capsys.readouterr().err and not (tmp_path / "data").exists()
    assert main(["data", "fetch", "no_such_source"]) == 2
    assert "no_such_source" in capsys.readouterr().err
    assert main(["data", "stats", "--data", str(tmp_path)]) == 2
