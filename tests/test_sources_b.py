"""Loaders of the Swahili, South Slavic, Portuguese/English, multilingual synthetic, Thai and Indonesian sets."""

from __future__ import annotations

import csv
import importlib
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import openpyxl
import pytest
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.rows import Loaded
from forewarn.training.data.sources import (
    bongo_scam_swahili,
    deception_bench_pt_en,
    id_sms_1143,
    id_sms_sctian514,
    opentextshield_synth,
    south_slavic_nenasedaj,
    th_sms_ssivakorn,
)

ROOT = Path(__file__).resolve().parent.parent
MIRROR = Path(os.environ.get("FOREWARN_MIRROR", ROOT.parent / "shared" / "corpora" / "labelled"))


def load_text(source: ModuleType, tmp_path: Path, path: str, text: str) -> Loaded:
    file = tmp_path / Path(path).name
    file.write_text(text, encoding="utf-8")
    return source.load({path: file})


def load_csv(source: ModuleType, tmp_path: Path, path: str, table: list[list[str]]) -> Loaded:
    file = tmp_path / Path(path).name
    with file.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows(table)
    return source.load({path: file})


def reasons(loaded: Loaded) -> list[tuple[str, str]]:
    return [(r.line, r.reason) for r in loaded.rejected]


def test_bongo_labels_groups_and_rejects(tmp_path: Path) -> None:
    loaded = load_csv(
        bongo_scam_swahili,
        tmp_path,
        "data/b.csv",
        [
            ["Category", "Sms"],
            ["scam", "Iyo pesa tuma humu kwenye AIRTEL 0600000001 jina lije ZUHURA MFANO."],
            ["scam", "Iyo hela tuma humu kwenye tigo 0600000002 Jina lije Baraka Jaribio"],
            ["scam", "Hongera umepata zawadi Sh1,000 piga 0600000003"],
            ["scam", "We need staff, your CV has passed, reach us at 0600000004"],
            ["trust", "Tutaonana kesho\nasubuhi"],
            ["other", "Habari"],
            ["scam", " "],
        ],
    )
    assert [r.label for r in loaded.rows] == ["relative_in_trouble|marketplace"] * 2 + ["prize", "job_offer", "ham"]
    assert loaded.rows[0].group == loaded.rows[1].group != loaded.rows[2].group
    assert [r.language for r in loaded.rows] == ["sw", "sw", "sw", "en", "sw"]
    assert [r.origin for r in loaded.rows] == ["real"] * 4 + ["written"]
    # The message before it takes two lines of the file.
    assert reasons(loaded) == [("data/b.csv:8", "unknown label"), ("data/b.csv:9", "empty text")]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "Nitumie tu kwenye hii voda 0611111111 jina JUMA MFANO.",
            "Nitumie tu kwenye hii Airtel 0622-222-222 jina Asha.",
        ),
        ("MZEE JUMA MFANO tiba asili kazi piga (0611111111)", "MZEE ASHA tiba asili kazi piga (0622222222)"),
    ],
)
def test_bongo_template_key_ignores_names_numbers_and_operators(first: str, second: str) -> None:
    assert bongo_scam_swahili.template_key(first) == bongo_scam_swahili.template_key(second)


def test_south_slavic_columns_decide_label_and_language(tmp_path: Path) -> None:
    header = ["id", "text", "label", "language", "category", "technique", "has_link", "has_urgency", "alphabet"]
    rows = [
        ["1", "Banka: račun je blokiran", "phishing", "hr", "bank", "urgency", "", "", "latin"],
        ["2", "Освојили сте награду", "phishing", "sr", "reward", "false_reward", "", "", "cyrillic"],
        ["3", "Ne otvarajte linkove", "legitimate", "bs", "media", "security", "", "", "latin"],
        ["4", "Paket stiže sutra", "legitimate", "me", "post", "delivery", "", "", "latin"],
        ["5", "Pozdrav", "legitimate", "sr", "unknown", "unknown", "", "", "mixed"],
        ["6", "Kazna, platite", "phishing", "neutral", "police", "threat", "", "", "latin"],
        ["7", "Tekst", "spam", "sr", "bank", "urgency", "", "", "latin"],
        ["8", "Tekst", "phishing", "mk", "bank", "urgency", "", "", "latin"],
    ]
    loaded = load_csv(south_slavic_nenasedaj, tmp_path, "smishi_dataset_final.csv", [header, *rows])
    assert [(r.label, r.language) for r in loaded.rows] == [
        ("bank_alert", "hr"),
        ("prize", "sr-Cyrl"),
        ("public_notice", "bs"),
        ("transactional", "cnr"),
        ("ham", "sr-Latn"),
        ("authority_impersonation|bill_or_fine", "sh"),
    ]
    assert [r.reason for r in loaded.rejected] == ["unknown label", "unknown language"]


def test_south_slavic_table_without_categories_stays_coarse(tmp_path: Path) -> None:
    table = [["text", "label", "language", "alphabet"], ["Platite", "phishing", "sr", "latin"]]
    loaded = load_csv(south_slavic_nenasedaj, tmp_path, "sms_dataset_lc.csv", table)
    assert [(r.label, r.line) for r in loaded.rows] == [("scam", "sms_dataset_lc.csv:2")]


def test_south_slavic_twins_in_two_scripts_share_a_group(tmp_path: Path) -> None:
    table = [
        ["text", "label", "language", "alphabet"],
        ["Paket čeka. Platite 450 dinara", "phishing", "sr", "latin"],
        ["Пакет чека. Платите 900 динара", "phishing", "sr", "cyrillic"],
        ["Račun je plaćen", "legitimate", "sr", "latin"],
    ]
    first, second, other = load_csv(south_slavic_nenasedaj, tmp_path, "t.csv", table).rows
    assert first.group == second.group != other.group


def record(number: int, content: Any, source: str = "seed:EN-USPS-001:note", attack: str = "delivery_scam") -> str:
    item = {"id": f"m-{number}", "attack_type": attack, "platform": "sms", "content": content, "source": source}
    return json.dumps(item, ensure_ascii=False) + "\n"


def test_deception_bench_fills_placeholders_and_rejects_narration(tmp_path: Path) -> None:
    lines = [
        record(1, "[SMS]: Parcel held, [TARGET_NAME]. Pay here: [MALICIOUS_URL]"),
        record(2, "[SMS]: Parcel held, [TARGET_NAME]. Pay here: [MALICIOUS_URL]"),
        record(3, "Alô? [Vítima desliga]", "seed:BR-GOV-001:x", "government_impersonation"),
        record(4, "Pague a taxa", "seed:BR-GOV-001:x", "government_impersonation"),
        record(5, "Hello", "seed:EN-NEW-001:x", "new_attack"),
        "{broken\n",
    ]
    first = load_text(deception_bench_pt_en, tmp_path, "g/en.jsonl", "".join(lines))
    again = load_text(deception_bench_pt_en, tmp_path, "g/en.jsonl", "".join(lines))
    assert first == again
    assert [(r.label, r.language, r.channel) for r in first.rows] == [
        ("parcel_delivery", "en-US", "sms"),
        ("parcel_delivery", "en-US", "sms"),
        ("authority_impersonation|tax_rebate", "pt-BR", "sms"),
    ]
    assert not any("[" in r.text for r in first.rows)
    assert first.rows[0].text != first.rows[1].text
    assert first.rows[0].group == first.rows[1].group == "deception_bench_pt_en:EN-USPS-001"
    assert reasons(first) == [
        ("g/en.jsonl:3", "stage directions, not a message"),
        ("g/en.jsonl:5", "unknown attack_type"),
        ("g/en.jsonl:6", "not a record of this benchmark"),
    ]


def test_deception_bench_seeds_share_groups_and_their_flags_are_cut(tmp_path: Path) -> None:
    seeds, generated = tmp_path / "s.json", tmp_path / "g.jsonl"
    seed = {
        "seed_id": "BR-PET-001",
        "platform": "telefone",
        "example_messages": ["Filhote lindo, sinal de [VALOR]"],
        "red_flags": ["Pede sinal"],
    }
    seeds.write_text(json.dumps({"seeds": [seed]}), encoding="utf-8")
    generated.write_text(record(1, "Filhote [MALICIOUS_URL] Pede sinal", "seed:BR-PET-001:x", "phishing"), "utf-8")
    loaded = deception_bench_pt_en.load({"g.jsonl": generated, "s.json": seeds})
    assert [(r.label, r.channel, r.line) for r in loaded.rows] == [
        ("marketplace", "call", "s.json:1"),
        ("marketplace", "sms", "g.jsonl:1"),
    ]
    assert len({r.group for r in loaded.rows}) == 1
    assert "Pede sinal" not in loaded.rows[1].text


def test_opentextshield_labels(tmp_path: Path) -> None:
    table = [
        ["text", "label"],
        ["Your account is locked, verify now", "phishing"],
        ["Casino: free spins for you today", "spam"],
        ["FLASH SALE, everything off today", "spam"],
        ["Lose weight with this trick", "spam"],
        ["Are you home? See you at the station", "ham"],
        ["text", "unclear"],
    ]
    loaded = load_csv(opentextshield_synth, tmp_path, "d/x.csv", table)
    assert [r.label for r in loaded.rows] == ["scam", "illicit_offer|promotion", "promotion", "unwanted", "ham"]
    assert reasons(loaded) == [("d/x.csv:7", "unknown label")]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Your parcel is here, pay the fee: a.example.com", "en"),
        ("Ihr Paket wurde heute zugestellt", "de"),
        ("Votre colis est arrivé chez vous", "fr"),
        ("Uw rekening is geblokkeerd voor nu", "nl"),
        ("Aapka parcel aaj aaya hai", "hi-Latn"),
        ("Ваша посылка доставлена", "ru"),
        ("Yоur саrd hаs bееn lосkеd", "und"),
        ("Y0ur c@rd h@$ b33n l0ck3d", "und"),
        ("Y o u r c a r d", "und"),
        ("【银行】您的卡已冻结，请验证：id-check.example.com", "zh"),
        ("お荷物を本日お届けしました", "ja"),
        ("קוד האימות שלך", "he"),
        ("رمز التحقق الخاص", "ar"),
        ("12345", "und"),
    ],
)
def test_language_detector_prefers_und_to_a_guess(text: str, language: str) -> None:
    assert opentextshield_synth.detect_language(text) == language


def test_thai_prefix_is_the_label(tmp_path: Path) -> None:
    text = (
        "OK|พัสดุถึงแล้ว\nOTP|Your code: 1234\nscam|คาสิโนสด รับฟรี\nscam|สินเชื่อ อนุมัติไว\nscam|คุณได้รับรางวัล\nspam|ลด 50%|วันนี้\n"
        "unsure|ไม่แน่ใจ\nไม่มีป้าย\nOK|\nspam|ข้อความเดียวกัน\nscam|ข้อความเดียวกัน\nOTP|รับโบนัส\n"
    )
    loaded = load_text(th_sms_ssivakorn, tmp_path, "raw/2022.txt", text)
    assert [(r.label, r.language) for r in loaded.rows] == [
        ("ham", "th"),
        ("transactional", "en"),
        ("illicit_offer", "th"),
        ("loan", "th"),
        ("scam", "th"),
        ("promotion", "th"),
    ]
    assert loaded.rows[5].text == "ลด 50%|วันนี้"
    assert dict(reasons(loaded)) == {
        "raw/2022.txt:7": "labelled unsure",
        "raw/2022.txt:8": "no label",
        "raw/2022.txt:9": "empty text",
        "raw/2022.txt:10": "the same text has different labels",
        "raw/2022.txt:11": "the same text has different labels",
        "raw/2022.txt:12": "labelled OTP but holds no code",
    }


def test_id_1143_reads_the_table_and_not_the_note(tmp_path: Path) -> None:
    note = tmp_path / "penjelasan.txt"
    note.write_text("0: sms normal", encoding="utf-8")
    table = tmp_path / "t.csv"
    table.write_text(
        'Teks,label\nSampai besok,0\n"Anda menang,\nhubungi",1\nPromo kuota,2\nx,9\n,1\n', encoding="utf-8"
    )
    loaded = id_sms_1143.load({"penjelasan.txt": note, "t.csv": table})
    assert [r.label for r in loaded.rows] == ["ham", "scam", "promotion"]
    assert reasons(loaded) == [("t.csv:6", "unknown label"), ("t.csv:7", "empty text")]


def test_id_sctian_types(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in [
        ["pesan", "Jenis_spam", "kategori_spam"],
        ["Sampai besok", "Non-spam", "x"],
        ["Promo kuota", "Promo", "x"],
        ["Anda menang", "Penipuan", "x"],
        ["Dana cepat", "KTA", "x"],
        ["Slot gacor", "Judi", "x"],
        ["Apa ini", "Lain", "x"],
        [None, "Promo", "x"],
    ]:
        book.active.append(row)
    book.save(tmp_path / "spam.xlsx")
    loaded = id_sms_sctian514.load({"d/spam.xlsx": tmp_path / "spam.xlsx"})
    assert [r.label for r in loaded.rows] == ["ham", "promotion", "scam", "loan", "illicit_offer"]
    assert reasons(loaded) == [("d/spam.xlsx:7", "unknown label"), ("d/spam.xlsx:8", "empty text")]


@pytest.mark.skipif(not (MIRROR / "sources.json").is_file(), reason="no mirror of the public sets here")
@pytest.mark.parametrize(
    ("name", "least", "most", "rejected"),
    [
        ("bongo_scam_swahili", 1500, 1510, 0.01),
        ("south_slavic_nenasedaj", 1900, 1940, 0.01),
        ("deception_bench_pt_en", 2200, 2900, 0.2),
        ("opentextshield_synth", 1890, 1895, 0.01),
        ("th_sms_ssivakorn", 4700, 4945, 0.05),
        ("id_sms_1143", 1140, 1143, 0.01),
        ("id_sms_sctian514", 680, 691, 0.01),
    ],
)
def test_real_source_loads_whole(name: str, least: int, most: int, rejected: float) -> None:
    folders = {item["name"]: item["folder"] for item in json.loads((MIRROR / "sources.json").read_text("utf-8"))}
    card = json.loads((ROOT / "data_cards" / name / "source.json").read_text(encoding="utf-8"))
    files = {item["path"]: MIRROR / folders[name] / item["path"] for item in card["files"]}
    loaded = importlib.import_module(f"forewarn.training.data.sources.{name}").load(files)
    assert least <= len(loaded.rows) <= most
    assert len(loaded.rejected) <= rejected * (len(loaded.rows) + len(loaded.rejected))
    taxonomy = Taxonomy.load()
    assert all(taxonomy.resolve(label) for label in {row.label for row in loaded.rows})
    assert {row.source for row in loaded.rows} == {name}
    assert {row.channel for row in loaded.rows} <= {"sms", "chat", "call"}
    assert all(row.text == row.text.strip() != "" and row.line.rpartition(":")[2].isdigit() for row in loaded.rows)
