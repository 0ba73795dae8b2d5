from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forewarn.inference import batch
from forewarn.inference.cli import main
from forewarn.inference.readers import read_rows, split
from tinybundle import FOREWARNINGS, HAM, SCAM, seal

MARK = "MARK-7781"
KILLED_IN_BLOCK_4 = """
import os, signal, sys
from forewarn.inference import batch, cli

def score_block(classifier, source, number, *rest):
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole_block(classifier, source, number, *rest)

whole_block, batch.score_block, batch.BLOCK_ROWS = batch.score_block, score_block, 100
sys.exit(cli.main(sys.argv[1:]))
"""
KILLED_BEFORE_A_FILE_APPEARS = """
import os, signal, sys
from forewarn.inference import batch, cli

def replace(unfinished, path):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole_replace(unfinished, path)

left = int(sys.argv.pop(1))
whole_replace, batch.os.replace = os.replace, replace
sys.exit(cli.main(sys.argv[1:]))
"""


def message(i: int) -> dict[str, object]:
    return {
        "id": f"m{i}",
        "text": f"{(SCAM + HAM)[i % 12]} {i}",
        "sender": "+15550100" if i % 3 else None,
        "locale": "en-SG" if i % 5 else None,
    }


def write_folder(folder: Path, rows: int = 500) -> Path:
    """A file of each kind, one of them empty, with bad rows in the .jsonl."""
    (folder / "deep").mkdir(parents=True)
    lines = [json.dumps(message(i)) for i in range(rows)]
    lines[7] = f'{{"text": "{MARK}'
    lines[rows - 2] = f'{{"text": ["{MARK}"]}}'
    lines.insert(20, "")
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "b.txt").write_bytes(f"{HAM[0]}\n\n{SCAM[2]}\n".encode() + MARK.encode() + b"\xff\nlast")
    (folder / "c.csv").write_text(f'text,id\n"{SCAM[0]},\nsecond line",x\n{HAM[1]},\n', encoding="utf-8")
    table = pa.Table.from_pylist([message(i) for i in range(rows)])
    pq.write_table(table, folder / "deep" / "d.parquet", row_group_size=70)
    (folder / "e.jsonl").touch()
    (folder / ".hidden.jsonl").write_text("no", encoding="utf-8")
    (folder / "notes.md").write_text("no messages", encoding="utf-8")
    return folder


def ids(path: Path) -> list[object]:
    return [json.loads(line).get("id") for line in path.open(encoding="utf-8")]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(x.relative_to(folder)): x.read_bytes() for x in folder.rglob("*") if x.is_file()}


@pytest.fixture
def score(tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch, "BLOCK_ROWS", 100)

    def run(*args: object) -> tuple[int, str, str]:
        code = main(["score", "--bundle", str(tiny_bundle), *map(str, args)])
        return code, *capsys.readouterr()

    return run


def test_a_folder_gives_a_file_of_verdicts_for_each_file(score, tmp_path: Path) -> None:
    source, output = write_folder(tmp_path / "in"), tmp_path / "out"
    code, out, err = score("--input", source, "--output", output)
    assert code == 2  # for the bad rows
    assert err.splitlines() == [
        f"forewarn: {source}: 1 files are left out (1 .md); .txt, .jsonl, .csv, .parquet are read",
        f"forewarn: {source}/a.jsonl, line 8: not valid JSON; one object a line is expected",
        f"forewarn: {source}/a.jsonl, line 500: `text` is missing or not a string",
        f"forewarn: {source}/b.txt, line 4: not UTF-8; convert the file to UTF-8 first",
        "forewarn: 1004 messages of 5 files scored; 3 rows and 0 files could not be (named above)",
    ]
    assert sorted(x for x in contents(output) if not x.startswith(".forewarn-done/")) == [
        ".forewarn.json", "a.jsonl", "b.txt.jsonl", "c.csv.jsonl", "deep/d.parquet.jsonl", "e.jsonl",
    ]  # fmt: skip
    rows = [json.loads(line) for line in (output / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [x.get("id") for x in rows] == [None if i in (7, 498) else f"m{i}" for i in range(500)]
    assert rows[7] == {"line": 8, "error": "not valid JSON; one object a line is expected"}
    assert (output / "e.jsonl").read_bytes() == b""
    assert ids(output / "b.txt.jsonl") == [1, 2, 3, None, 5]
    assert not any(MARK.encode() in x for x in contents(output).values())
    assert MARK not in out + err


def test_one_file_is_scored_as_without_output(score, tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text("\n".join(json.dumps(message(i)) for i in range(100)), encoding="utf-8")
    _, printed, _ = score("--input", tmp_path / "m.jsonl", "--format", "jsonl", "--explain", "--locale", "zh-TW")
    code, out, err = score(
        "--input", tmp_path / "m.jsonl", "--output", tmp_path / "out", "--explain", "--locale", "zh-TW"
    )
    assert (code, out, err) == (0, "100 messages of 1 files scored\n", "")
    assert (tmp_path / "out" / "m.jsonl").read_text(encoding="utf-8") == printed


def test_what_is_there_is_not_scored_again(score, tmp_path: Path) -> None:
    source, output = write_folder(tmp_path / "in"), tmp_path / "out"
    score("--input", source, "--output", output)
    first = contents(output)
    (output / "c.csv.jsonl").unlink()
    (output / "a.jsonl").write_text("kept as it is\n", encoding="utf-8")
    code, out, err = score("--input", source, "--output", output)
    assert (code, out) == (2, "")  # the bad rows of before are still bad
    assert err.splitlines()[1:] == [
        "forewarn: 2 messages of 1 files scored; 4 files were done before, but for 3 rows "
        f"(lines with `error` in {output}); mend them and run again"
    ]
    assert contents(output) == {**first, "a.jsonl": b"kept as it is\n"}
    assert score("--input", source, "--output", output)[0] == 2


def test_a_file_that_has_changed_is_scored_anew(score, tmp_path: Path) -> None:
    source, output = write_folder(tmp_path / "in", rows=30), tmp_path / "out"
    (source / "b.txt").unlink()
    score("--input", source, "--output", output)
    (output / "c.csv.jsonl").write_text("kept as it is\n", encoding="utf-8")
    mended = [json.dumps(message(i)) for i in range(31)]
    (source / "a.jsonl").write_text("\n".join(mended), encoding="utf-8")
    code, out, _ = score("--input", source, "--output", output)
    assert (code, out) == (0, "31 messages of 1 files scored; 3 files were done before\n")
    assert ids(output / "a.jsonl") == [f"m{i}" for i in range(31)]
    assert (output / "c.csv.jsonl").read_bytes() == b"kept as it is\n"
    (source / "a.jsonl").write_text("{", encoding="utf-8")
    assert score("--input", source, "--output", output)[0] == 2
    assert score("--input", source, "--output", output)[2].endswith(
        f"4 files were done before, but for 1 rows (lines with `error` in {output}); mend them and run again\n"
    )


def test_a_file_that_can_no_longer_be_read_has_no_verdicts(score, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("text\nhello\n", encoding="utf-8")
    assert score("--input", tmp_path / "m.csv", "--output", tmp_path / "out")[0] == 0
    (tmp_path / "m.csv").write_text("body\nhello\n", encoding="utf-8")
    for _ in range(2):
        code, _, err = score("--input", tmp_path / "m.csv", "--output", tmp_path / "out")
        assert (code, "no `text` column" in err) == (2, True)
        assert not (tmp_path / "out" / "m.csv.jsonl").exists()


@pytest.mark.parametrize("file", [1, 2, 3])  # a part, the record, the verdicts
def test_a_run_that_is_killed_while_it_scores_anew_leaves_no_old_verdicts(
    score, tiny_bundle: Path, tmp_path: Path, file: int
) -> None:
    source, output = tmp_path / "m.txt", tmp_path / "out"
    source.write_text("one", encoding="utf-8")
    assert score("--input", source, "--output", output)[0] == 0
    source.write_text("one\ntwo", encoding="utf-8")
    command = ["score", "--bundle", str(tiny_bundle), "--input", str(source), "--output", str(output)]
    killed = subprocess.run([sys.executable, "-c", KILLED_BEFORE_A_FILE_APPEARS, str(file), *command])
    assert killed.returncode == -signal.SIGKILL
    assert not (output / "m.txt.jsonl").exists()
    assert score("--input", source, "--output", output)[:2] == (0, "2 messages of 1 files scored\n")
    assert ids(output / "m.txt.jsonl") == [1, 2]


def test_verdicts_without_a_record_stay_as_they_are(score, tmp_path: Path) -> None:
    source, output = tmp_path / "m.jsonl", tmp_path / "out"
    source.write_text('{"text": "one"}\n{\n', encoding="utf-8")
    score("--input", source, "--output", output)
    shutil.rmtree(output / ".forewarn-done")  # as earlier versions left it
    before = contents(output)
    source.write_text('{"text": "one"}\n', encoding="utf-8")
    code, _, err = score("--input", source, "--output", output)
    assert code == 2 and "1 files were done before, but for 1 rows" in err
    assert contents(output) == before


@pytest.mark.parametrize("name", ["m.jsonl", "m.csv", "m.parquet"])
@pytest.mark.parametrize("explain", [True, False])
def test_a_row_may_have_a_locale_of_its_own(score, tmp_path: Path, name: str, explain: bool) -> None:
    locales = ["zh-TW", None, "en-SG", "zh-TW", "pt-BR"]
    # A doubtful text: the risk of a plain one could not rise.
    rows = [{"id": f"m{i}", "text": "tax seven", "sender": "+886912345678", "locale": x} for i, x in enumerate(locales)]
    path = tmp_path / name
    if name == "m.parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif name == "m.csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    else:
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    options = ["--locale", "zh-TW", *(["--explain"] if explain else [])]
    _, printed, _ = score("--input", path, "--format", "jsonl", *options)
    assert score("--input", path, "--output", tmp_path / "out", *options)[0] == 0
    assert (tmp_path / "out" / f"m{'' if name == 'm.jsonl' else path.suffix}.jsonl").read_text("utf-8") == printed
    answers = [json.loads(line) for line in printed.splitlines()]
    assert [x["id"] for x in answers] == [f"m{i}" for i in range(5)]
    home, abroad = answers[0]["risk"], answers[2]["risk"]
    assert home < abroad
    assert [x["risk"] for x in answers] == [home, home, abroad, home, abroad]
    if explain:
        told = FOREWARNINGS["tax_rebate"]
        expected = [told["zh-Hant"], told["zh-Hant"], told["en"], told["zh-Hant"], told["pt-BR"]]
        assert [x["forewarning"] for x in answers] == expected


def test_files_that_are_left_out_are_counted_by_their_endings(score, tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    for name in ("m.txt", "a.xlsx", "b.jsonl.gz", "deep/c.GZ", "LICENSE", ".hidden.zip"):
        (source / name).touch()
    code, _, err = score("--input", source, "--output", tmp_path / "out")
    told = "4 files are left out (2 .gz, 1 .xlsx, 1 no ending); .txt, .jsonl, .csv, .parquet are read"
    assert (code, err) == (0, f"forewarn: {source}: {told}\n")


def test_a_killed_run_goes_on_within_a_file(score, tiny_bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    text = "\n".join(json.dumps(message(i)) for i in range(1000))
    for name in ("a.jsonl", "b.jsonl"):
        (source / name).write_text(text, encoding="utf-8")
    score("--input", source, "--output", tmp_path / "whole")
    output = tmp_path / "out"
    command = ["score", "--bundle", str(tiny_bundle), "--input", str(source), "--output", str(output)]
    assert subprocess.run([sys.executable, "-c", KILLED_IN_BLOCK_4, *command]).returncode == -signal.SIGKILL
    [parts] = (output / ".forewarn-parts").iterdir()
    assert sorted(x.name for x in parts.iterdir()) == ["000001", "000002", "000003"]
    # A part that was made before is taken as it is: this one shows.
    (parts / "000001").write_bytes((parts / "000001").read_bytes().replace(b'"m0"', b'"M0"'))
    assert not (output / "a.jsonl").exists()
    score("--input", source, "--output", output)
    whole = contents(tmp_path / "whole")
    assert contents(output) == {**whole, "a.jsonl": whole["a.jsonl"].replace(b'"m0"', b'"M0"')}


def test_parts_of_a_file_that_has_changed_are_not_used(score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    lines = [json.dumps(message(i)) for i in range(300)]
    (source / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(batch, "_join", fail)
        assert score("--input", source, "--output", output)[0] == 130
    (source / "a.jsonl").write_text("\n".join(lines[5:]), encoding="utf-8")
    score("--input", source, "--output", output)
    assert ids(output / "a.jsonl") == [f"m{i}" for i in range(5, 300)]


def test_a_file_that_cannot_be_read_does_not_stop_the_others(score, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "in", rows=30)
    (source / "broken.parquet").write_text("nonsense", encoding="utf-8")
    (source / "f.csv").write_text("id,body\n1,x\n", encoding="utf-8")
    code, _, err = score("--input", source, "--output", tmp_path / "out")
    assert code == 2
    assert "broken.parquet: not a readable Parquet file" in err and "f.csv: no `text` column" in err
    assert len(list((tmp_path / "out").rglob("*.jsonl"))) == 5
    (source / "broken.parquet").unlink()
    (source / "f.csv").write_text("id,text\n1,x\n", encoding="utf-8")
    _, _, err = score("--input", source, "--output", tmp_path / "out")
    assert "forewarn: 1 messages of 1 files scored; 5 files were done before, but for 3 rows" in err


def test_many_bad_rows_are_counted_and_a_few_are_named(score, tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text("{\n" * 250, encoding="utf-8")
    code, _, err = score("--input", tmp_path / "m.jsonl", "--output", tmp_path / "out")
    assert code == 2
    assert len(err.splitlines()) == 12
    assert "240 rows more" in err and "250 rows and 0 files" in err


def test_results_of_two_kinds_do_not_mix(score, tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("hello", encoding="utf-8")
    assert score("--input", tmp_path / "m.txt", "--output", tmp_path / "out")[0] == 0
    code, _, err = score("--input", tmp_path / "m.txt", "--output", tmp_path / "out", "--explain")
    assert code == 2 and "another --output" in err
    other = shutil.copytree(tiny_bundle, tmp_path / "other")
    seal(other, version="2026.12.0")
    assert (
        main(["score", "--bundle", str(other), "--input", str(tmp_path / "m.txt"), "--output", str(tmp_path / "out")])
        == 2
    )


def test_wrong_use(score, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "in", rows=20)
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").touch()
    output = tmp_path / "out"
    for args, told in [
        (("--input", source), "--output"),
        (("--input", source, "--engine", "ray"), "--output"),
        (("--input", source, "--output", source / "out"), "another --output"),
        (("--input", source, "--output", tmp_path), "is not empty"),
        (("--input", source, "--output", tmp_path / "taken"), "cannot be written"),
        (("--input", tmp_path / "empty", "--output", output), "holds no file"),
        (("--input", tmp_path / "none", "--output", output), "no such file"),
        (("--input", "-", "--output", output), "--output"),
        (("--output", output, "hello"), "--output"),
        (("--input", source, "--output", output, "--format", "table"), "JSON lines"),
    ]:
        code, _, err = score(*args)
        assert (code, err.count("\n")) == (2, 1), args
        assert told in err
    (source / "b.txt.jsonl").touch()
    assert "rename one" in score("--input", source, "--output", output)[2]


def test_without_ray_the_engine_says_what_to_install(score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.txt").write_text("hello", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = score("--input", tmp_path / "m.txt", "--output", tmp_path / "out", "--engine", "ray")
    assert (code, err.count("\n")) == (2, 1)
    assert "pip install 'forewarn[scale]'" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ending", ["\n", "", "\n\n"])
@pytest.mark.parametrize("rows", [1, 7, 10, 100, 1000])
def test_the_parts_of_a_file_are_the_whole(tmp_path: Path, ending: str, rows: int) -> None:
    lines = [json.dumps(message(i) if i % 5 else {"text": "x" * 70_000}) for i in range(100)]
    path = tmp_path / "m.jsonl"
    path.write_text("\ufeff" + "\n".join(lines) + ending, encoding="utf-8")
    spans = list(split(path, rows))
    assert spans[0].start == 0 and spans[-1].end == os.path.getsize(path)
    assert [x.start for x in spans[1:]] == [x.end for x in spans[:-1]]
    read = [row for span in spans for part in read_rows(path, 64, span) for row in part]
    assert read == [row for part in read_rows(path) for row in part]
