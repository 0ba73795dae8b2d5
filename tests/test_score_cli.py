from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from forewarn.inference import ScamClassifier
from forewarn.inference.cli import main
from forewarn.inference.errors import ForewarnError
from forewarn.inference.readers import Record, Row, read_rows

SCAM = "Claim your tax rebate today at http://refund.example"
HAM = "Running late, be home at seven"
MARK = "MARK-7781"


@pytest.fixture
def score(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]):
    def run(*args: str) -> tuple[int, str, str]:
        code = main(["score", "--bundle", str(tiny_bundle), *args])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def feed_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def read(path: Path) -> list[Row]:
    return [row for rows in read_rows(path) for row in rows]


def write(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return path


def test_texts_as_jsonl(score) -> None:
    code, out, err = score("--format", "jsonl", SCAM, HAM)
    first, second = map(json.loads, out.splitlines())
    assert (code, err) == (0, "")
    assert (first["id"], first["verdict"], first["type"]) == (1, "scam", "tax_rebate")
    assert (second["id"], second["verdict"]) == (2, "legitimate")
    assert SCAM not in out


def test_a_table_is_aligned_and_without_colour(score) -> None:
    code, out, _ = score(SCAM, HAM, "x\x1b[31m\ny" + "z" * 100)
    lines = out.splitlines()
    assert code == 0
    assert len(lines) == 4
    assert "\033" not in out
    for line in lines[1:]:
        assert line[lines[0].index("ACTION") :].split()[0] in ("allow", "warn", "block")
    assert lines[3].endswith("…")


def test_explain_in_a_locale(score) -> None:
    _, out, _ = score("--explain", "--locale", "zh-TW", "--format", "jsonl", SCAM)
    answer = json.loads(out)
    assert answer["forewarning"].startswith("稅務局")
    assert SCAM[answer["evidence"][0]["start"] :].startswith(answer["evidence"][0]["text"])
    assert "稅務局" in score("--explain", "--locale", "zh-TW", SCAM)[1]


def test_stdin_mixes_json_and_plain_lines(score, monkeypatch: pytest.MonkeyPatch) -> None:
    feed_stdin(monkeypatch, b'\xef\xbb\xbf{"id": "a", "text": "tax rebate", "sender": "+1"}\r\n\n' + HAM.encode())
    _, out, _ = score("--input", "-", "--format", "jsonl")
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["a", 3]


def test_every_file_format_reads_the_same(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"id": "a", "text": 'one, "two"\u2028three', "sender": "+1", "locale": ""},
        {"id": "b", "text": "四", "sender": "BANK", "locale": "zh-TW"},
    ]
    jsonl = write(tmp_path / "m.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n\n")
    table = tmp_path / "m.csv"
    with table.open("w", encoding="utf-8-sig", newline="") as handle:
        writer = csv.DictWriter(handle, ["sender", "text", "locale", "id"])
        writer.writeheader()
        writer.writerows(rows)
    parquet = tmp_path / "m.parquet"
    pq.write_table(pa.Table.from_pylist(rows), parquet)
    expected = [Record(row["text"], row["id"], row["sender"], row["locale"] or None) for row in rows]
    assert [read(path) for path in (jsonl, table, parquet)] == [expected] * 3
    text = write(tmp_path / "m.txt", "\ufeffone\u2028two\r\n\nthree")
    assert read(text) == [Record("one\u2028two", 1), Record("", 2), Record("three", 3)]


@pytest.mark.parametrize(
    ("name", "data", "where"),
    [
        ("m.txt", b"fine\n" + MARK.encode() + b"\xff\n", "line 2"),
        ("m.jsonl", '{"text": "fine"}\n{"text": "' + MARK, "line 2"),
        ("m.jsonl", '{"text": "fine"}\n"' + MARK + '"', "line 2"),
        ("m.jsonl", '{"text": "fine"}\n{"text": ["' + MARK + '"]}', "line 2"),
        ("m.jsonl", '{"text": "fine"}\n{"text": "x", "id": ["' + MARK + '"]}', "line 2"),
        ("m.jsonl", '{"text": "fine"}\n{"text": "x", "sender": 15550100}', "line 2"),
        ("m.jsonl", '{"text": "fine"}\n{"text": "x", "locale": ["' + MARK + '"]}', "line 2"),
        ("m.jsonl", '{"text": "fine"}\n' + "[" * 100_000, "line 2"),
        ("m.csv", 'id,text\n1,fine\n2,"' + MARK + '"x\n', "line 3"),
        ("m.csv", "id,text\n1,fine\n" + MARK + "\n", "line 3"),
        ("m.csv", b"id,text\n1,fine\n" + b"2,\xff\n", "line 3"),
    ],
)
def test_a_malformed_line_is_named_and_not_shown(
    score, tmp_path: Path, name: str, data: str | bytes, where: str
) -> None:
    path = write(tmp_path / name, data)
    code, out, err = score("--input", str(path), "--format", "jsonl")
    assert code == 2
    assert err.startswith(f"forewarn: {path}: 1 of 2 rows could not be scored; the first is {where}: ")
    assert err.count("\n") == 1
    assert MARK not in out + err
    answer, error = map(json.loads, out.splitlines())
    assert answer["verdict"] and list(error) == ["line", "error"]
    code, out, again = score("--input", str(path))
    assert (code, again) == (2, err)
    assert out.splitlines()[2].startswith(f"{where}        error") and MARK not in out


def test_a_malformed_line_does_not_stop_the_others(score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"id": f"m{i}", "text": HAM}) for i in range(600)]
    lines[1] = lines[300] = '{"text": '
    path = write(tmp_path / "m.jsonl", "\n".join(lines))
    code, out, err = score("--input", str(path), "--format", "jsonl")
    assert code == 2
    assert "2 of 600 rows could not be scored; the first is line 2: not valid JSON" in err
    answers = [json.loads(line) for line in out.splitlines()]
    assert [x.get("id", x.get("line")) for x in answers] == [i + 1 if i in (1, 300) else f"m{i}" for i in range(600)]
    feed_stdin(monkeypatch, path.read_bytes())
    piped = score("--input", "-", "--format", "jsonl")
    assert (piped[0], piped[1]) == (2, out)
    assert piped[2].startswith("forewarn: standard input: 2 of 600 rows")


def test_a_bad_row_of_parquet_is_told_by_its_row(score, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["fine", None, "fine"]}), tmp_path / "m.parquet")
    code, out, _ = score("--input", str(tmp_path / "m.parquet"), "--format", "jsonl")
    assert code == 2
    assert json.loads(out.splitlines()[1]) == {"row": 2, "error": "`text` is missing or not a string"}
    assert json.loads(out.splitlines()[2])["id"] == 3


def test_a_locale_from_standard_input(score, monkeypatch: pytest.MonkeyPatch) -> None:
    feed_stdin(monkeypatch, json.dumps({"text": SCAM, "locale": "zh-TW"}).encode() + b"\n" + SCAM.encode())
    _, out, _ = score("--input", "-", "--format", "jsonl", "--explain", "--locale", "pt-BR")
    assert [json.loads(line)["forewarning"][:4] for line in out.splitlines()] == ["稅務局不", "A Re"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("m.csv", "id,body\n1,x\n", "no `text` column"),
        ("m.csv", "", "no `text` column"),
        ("m.parquet", "nonsense", "not a readable Parquet"),
        ("m.docx", "", "cannot tell its format"),
    ],
)
def test_an_unusable_file(score, tmp_path: Path, name: str, data: str, message: str) -> None:
    code, _, err = score("--input", str(write(tmp_path / name, data)))
    assert code == 2
    assert message in err


@pytest.mark.parametrize("name", ["m.txt", "m.parquet"])
def test_a_missing_file(score, tmp_path: Path, name: str) -> None:
    code, _, err = score("--input", str(tmp_path / name))
    assert code == 2
    assert "no such file" in err.lower()


def test_wrong_use(score) -> None:
    assert score()[0] == 2
    assert score("text", "--input", "-")[0] == 2
    code, _, err = score(f"--{MARK}")
    assert code == 2
    assert MARK not in err
    assert score("--", "--win")[0] == 0


def test_the_versions_of_package_and_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert main(["--version"]) == 0
    package, model = capsys.readouterr().out.splitlines()
    assert package == f"forewarn {version('forewarn')}"
    assert model == f"model {ScamClassifier.load().version}"
    monkeypatch.setattr("forewarn.inference.bundle.default_bundle_path", lambda: tmp_path)
    assert main(["--version"]) == 3
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == (f"{package}\n", 1)


def test_a_damaged_bundle_exits_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--bundle", str(tmp_path), MARK]) == 3
    assert MARK not in capsys.readouterr().err


def test_parquet_without_its_extra(score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = score("--input", str(tmp_path / "m.parquet"))
    assert code == 2
    assert "forewarn[parquet]" in err


def test_a_record_hides_its_text() -> None:
    assert MARK not in repr(Record(MARK, 1, MARK))


def test_a_file_is_read_in_bounded_batches(tmp_path: Path) -> None:
    path = write(tmp_path / "m.txt", "".join(f"message {i}\n" for i in range(20_000)))
    sizes = [len(rows) for rows in read_rows(path)]
    assert sum(sizes) == 20_000
    assert max(sizes) == 256


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForewarnError, match="longer than 16 MiB"):
        read(write(tmp_path / "m.txt", b"a" * ((1 << 24) + (1 << 17))))


def test_a_live_pipe_is_answered_line_by_line(tiny_bundle: Path) -> None:
    command = [sys.executable, "-m", "forewarn.inference.cli", "score", "--input", "-", "--format", "jsonl"]
    command += ["--bundle", str(tiny_bundle)]
    # Its output is buffered, as it is for a user.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    begin = time.monotonic()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text, verdict in ((SCAM, "scam"), ('{"text', None), (HAM, "legitimate")):
            process.stdin.write(text + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()).get("verdict") == verdict
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 2  # for the bad line
    assert time.monotonic() - begin < 10  # loose, for a busy machine; alone it takes well under a second
