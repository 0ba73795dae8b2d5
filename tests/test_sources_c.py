"""Loaders of the Philippine, Chinese, Korean, Burmese and Bangla sets, on tiny invented files and on the mirror."""

from __future__ import annotations

import csv
import importlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.rows import Loaded, Row

openpyxl = pytest.importorskip("openpyxl")

ROOT = Path(__file__).resolve().parents[1]
MIRROR = Path(os.environ.get("FOREWARN_MIRROR") or ROOT.parent / "shared" / "corpora" / "labelled")
# How many rows each set gives at least, and the share of its records that may be rejected.
EXPECTED = {
    "tl_ph_sms_yissuh": (1400, 0.03),
    "teleantifraud_dialogues": (9900, 0.01),
    "ko_chatbot_ham": (11800, 0.001),
    "my_moneyscam_myanmar": (2300, 0.25),
    "bn_banglabarta": (4900, 0.01),
    "ko_smishing_forecast": (370, 0.01),
}


def load(name: str, files: dict[str, Path]) -> Loaded:
    return importlib.import_module(f"forewarn.training.data.sources.{name}").load(files)


def write_csv(path: Path, rows: list[list[str]], start: str = "") -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        handle.write(start)
        csv.writer(handle).writerows(rows)
    return path


def write_sheet(path: Path, rows: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    for number, row in enumerate(rows, start=1):
        for column, value in enumerate(row, start=1):
            book.active.cell(number, column, value)
    book.save(path)
    return path


def labels(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row.label, row.language) for row in rows]


def test_philippine_labels_and_languages(tmp_path: Path) -> None:
    file = write_csv(
        tmp_path / "data-set.csv",
        [
            ["label", "message"],
            ["ham", "Malapit na po ako sa\nterminal"],
            ["ham", "Your parcel arrives at noon"],
            ["ham", "Enjoy 20% off and a free drink at our new branch"],
            ["spam", "Maglaro ka na, libre ang 500 sa example.com"],
            ["spam", "483920 is your Example code"],
            ["spam", "Verification code: 483920. Not you? Cancel at example-login.app"],
            ["spam", "<<Content not supported.>>"],
            ["maybe", "hello"],
        ],
    )
    loaded = load("tl_ph_sms_yissuh", {"data-set.csv": file})
    assert labels(loaded.rows) == [
        ("ham", "fil"),
        ("ham", "en"),
        ("not_scam", "en"),
        ("unwanted", "fil"),
        ("transactional", "en"),
        ("unwanted", "en"),
    ]
    assert [row.line for row in loaded.rows[:2]] == ["data-set.csv:2", "data-set.csv:4"]
    assert [rejected.line for rejected in loaded.rejected] == ["data-set.csv:9", "data-set.csv:10"]


def test_philippine_mask_is_filled_and_broken_bytes_are_rejected(tmp_path: Path) -> None:
    file = tmp_path / "data-set.csv"
    file.write_bytes(b"label,message\nspam,<REAL NAME> win now\nspam,Get \x83 5000\n")
    loaded = load("tl_ph_sms_yissuh", {"data-set.csv": file})
    assert len(loaded.rows) == 1 and "<" not in loaded.rows[0].text
    assert loaded.rejected[0].reason == "bytes that are not UTF-8"
    assert loaded.rows == load("tl_ph_sms_yissuh", {"data-set.csv": file}).rows


def test_chinese_call_keeps_the_callers_first_turns(tmp_path: Path) -> None:
    def call(kind: str, *left: str) -> str:
        return json.dumps({"tts_id": "t1", "left": left, "right": ["好的"], "fraud_type": kind, "terminator": "left"})

    long_turn = "请您按照我们的要求办理手续。" * 20
    lines = [
        call(
            "彩票诈骗",
            "（语气急切）您好，恭喜您中了大奖！",
            "##TERMINATE_SIGNAL##请先支付手续费。",
            long_turn,
            long_turn,
        ),
        call("邮件诈骗", "您好，您的包裹被扣留，需要付款。"),
        call("邮件诈骗", "您好，您的邮箱需要重新验证。"),
        call("交通咨询", "您好，这里是交通咨询服务。"),
        call("新类型", "您好，请问您方便接听吗？"),
        call("投资诈骗"),
        call("投资诈骗", "Sorry, I can not continue with this request today."),
        call("投资诈骗", "您好，[姓名]先生，请问您方便吗？"),
        "{not json",
    ]
    file = tmp_path / "calls.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    loaded = load("teleantifraud_dialogues", {"results/calls.jsonl": file})
    assert [row.label for row in loaded.rows] == ["prize", "parcel_delivery", "scam", "transactional|public_notice"]
    first = loaded.rows[0]
    assert first.text.startswith("您好，恭喜您中了大奖！ 请先支付手续费。") and 300 < len(first.text) <= 351
    assert (first.channel, first.language, first.group) == ("call", "zh", "calls/t1")
    assert [rejected.line.rsplit(":")[-1] for rejected in loaded.rejected] == ["5", "6", "7", "8", "9"]
    assert not any("Sorry" in rejected.reason for rejected in loaded.rejected)


def test_korean_chat_uses_the_question_only(tmp_path: Path) -> None:
    file = write_csv(
        tmp_path / "c.csv", [["Q", "A", "label"], ["점심 뭐 먹지", "맛있는 거요", "0"], [" ", "네", "1"], ["둘", "셋"]]
    )
    loaded = load("ko_chatbot_ham", {"c.csv": file})
    assert [(row.text, row.label, row.channel) for row in loaded.rows] == [("점심 뭐 먹지", "personal", "chat")]
    assert [rejected.reason for rejected in loaded.rejected] == ["empty message", "not three columns"]


def test_burmese_files_decide_the_labels(tmp_path: Path) -> None:
    real = write_sheet(
        tmp_path / "real.xlsx",
        [[None, "ဆုငွေ ၅၀၀၀၀ ရရှိပါသည်"], [None, "အကောင့် အတည်ပြုပါ"], [None, None], ["yellow flag", "ဈေးလျှော့"]],
    )
    made = write_csv(tmp_path / "s.csv", [[], ["MPT: ဆုငွေ: 300000Ks"], ["no such message"]])
    script = write_sheet(
        tmp_path / "k.xlsx",
        [
            ["*#* (2) Wrong Number (နံပါတ်မှားခြင်း)"],
            ["07-Sorry, I must have texted the wrong number."],
            ["What did you have for dinner this evening?"],
            ["တောင်းပန်ပါတယ် နံပါတ်မှားပို့မိပါတယ်"],
            ["- I am not married, thanks for asking"],
            ["I come from ............ and you?"],
            ["Hello!"],
        ],
    )
    loaded = load(
        "my_moneyscam_myanmar", {"datasets/real.xlsx": real, "s.csv": made, "datasets/kyarphyant/k.xlsx": script}
    )
    assert [(row.label, row.language, row.origin) for row in loaded.rows] == [
        ("prize", "my", "real"),
        ("bank_alert|account_takeover", "my", "real"),
        ("prize", "my", "synthetic"),
        ("romance", "en", "real"),
        ("romance|personal", "en", "real"),
        ("romance", "my", "translated"),
    ]
    assert loaded.rows[3].text.startswith("Sorry") and loaded.rows[3].line == "datasets/kyarphyant/k.xlsx:2"
    assert len(loaded.rejected) == 6


def test_bangla_labels(tmp_path: Path) -> None:
    rows = [
        ["label", "text"],
        ["smish", "কার্ড বন্ধ, পিন দিন"],
        ["promo", "আজ ২০% ছাড়"],
        ["promo", "আজ জাতীয় দিবস"],
        ["normal", "কেমন আছো"],
        ["other", "এক"],
    ]
    file = write_csv(tmp_path / "t.csv", rows, start="\ufeff\n")
    loaded = load("bn_banglabarta", {"t.csv": file})
    assert [row.label for row in loaded.rows] == ["scam", "promotion", "promotion|public_notice", "ham"]
    assert loaded.rows[0].line == "t.csv:3" and {row.language for row in loaded.rows} == {"bn"}
    assert [rejected.reason for rejected in loaded.rejected] == ["unknown label"]


def test_korean_smishing_formats_and_addresses(tmp_path: Path) -> None:
    table = write_csv(
        tmp_path / "t.csv", [["label", "text"], ["normal", "회의는 세 시입니다"], ["smishing", "확인: [링크]"]]
    )
    listed = tmp_path / "t.json"
    records: list[Any] = [{"text": f"소포 {n}번 확인 [링크]", "label": 1} for n in range(20)]
    records += [
        {"text": "산책하기 좋네요", "label": 0},
        {"text": "입금 [계좌번호]", "label": 1},
        {"text": "빈", "label": 7},
        3,
    ]
    records += [{"generated_message": "앱을 설치하세요", "intent_analysis": {"matched_intent_id": "X-1"}}]
    listed.write_text(json.dumps(records), encoding="utf-8")
    broken = tmp_path / "b.json"
    broken.write_text("[", encoding="utf-8")
    files = {"t.csv": table, "t.json": listed, "b.json": broken}
    loaded = load("ko_smishing_forecast", files)
    assert Counter(row.label for row in loaded.rows) == {"ham": 2, "scam": 23}
    assert [rejected.line for rejected in loaded.rejected] == ["t.json:23", "t.json:24", "b.json:1"]
    assert not any("[" in row.text for row in loaded.rows)
    addresses = {row.text.split()[-1] for row in loaded.rows if row.text.startswith("소포")}
    assert len(addresses) == 20 and len({address.split("/")[-1] for address in addresses}) > 10
    assert loaded.rows == load("ko_smishing_forecast", files).rows


@pytest.mark.skipif(not (MIRROR / "sources.json").is_file(), reason="the mirror of public files is not here")
@pytest.mark.parametrize("name", EXPECTED)
def test_whole_source(name: str) -> None:
    folders = {entry["name"]: entry["folder"] for entry in json.loads((MIRROR / "sources.json").read_text("utf-8"))}
    card = json.loads((ROOT / "data_cards" / name / "source.json").read_text(encoding="utf-8"))
    loaded = load(name, {file["path"]: MIRROR / folders[name] / file["path"] for file in card["files"]})
    at_least, rejected_share = EXPECTED[name]
    assert len(loaded.rows) >= at_least
    assert len(loaded.rejected) <= rejected_share * (len(loaded.rows) + len(loaded.rejected))
    taxonomy = Taxonomy.load()
    assert all(taxonomy.resolve(label) for label in {row.label for row in loaded.rows})
    assert {row.language for row in loaded.rows} == set(card["languages"])
    assert {row.source for row in loaded.rows} == {name}
    assert all(row.text.strip() and row.line for row in loaded.rows)
    assert len({row.line for row in loaded.rows}) == len(loaded.rows)
