"""Loaders of seven public sets: tiny invented files in each format, and the real files where they are present."""

from __future__ import annotations

import importlib
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.rows import Loaded
from forewarn.training.data.sources import (
    india_spam_sms_junioralive,
    mishra_soni_5971,
    persian_semnan,
    russian_telegram_monalenka,
    tg_spam_umputun,
    uci_sms_spam,
    uganda_mobile_money,
)

REPOSITORY = Path(__file__).resolve().parents[1]
MIRROR = Path(os.environ.get("FOREWARN_MIRROR") or REPOSITORY.parent / "shared" / "corpora" / "labelled")

# Name: least rows, greatest share of records that may be refused.
EXPECTED = {
    "uci_sms_spam": (5000, 0.01),
    "mishra_soni_5971": (5500, 0.01),
    "india_spam_sms_junioralive": (1500, 0.3),
    "uganda_mobile_money": (900, 0.05),
    "tg_spam_umputun": (500, 0.05),
    "russian_telegram_monalenka": (3500, 0.4),  # all of its spam
    "persian_semnan": (350, 0.4),  # what no safe rule recognises
}


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text(text, encoding=encoding, newline="")
    return path


def labels(loaded: Loaded) -> list[str]:
    return [row.label for row in loaded.rows]


def reasons(loaded: Loaded) -> list[str]:
    return [rejected.reason for rejected in loaded.rejected]


def test_uci_reads_tabs_and_takes_quotes_literally(tmp_path: Path) -> None:
    text = 'ham\t"Bring milk &amp; bread\nspam\tWin a cruise, call now, only ú1.50 a minute\nno tab here\nham\t \n'
    loaded = uci_sms_spam.load({"data/sms.tsv": write(tmp_path, "sms.tsv", text)})
    assert labels(loaded) == ["ham", "unwanted"]
    assert [row.text for row in loaded.rows] == ['"Bring milk & bread', "Win a cruise, call now, only £1.50 a minute"]
    assert loaded.rows[1].line == "data/sms.tsv:2"
    assert {(row.language, row.channel, row.origin) for row in loaded.rows} == {("en", "sms", "real")}
    assert [rejected.line for rejected in loaded.rejected] == ["data/sms.tsv:3", "data/sms.tsv:4"]


def test_mishra_maps_labels_of_any_case_and_mends_lost_characters(tmp_path: Path) -> None:
    text = (
        "LABEL,TEXT,URL,EMAIL,PHONE\n"
        "ham,See you at the station,No,No,No\n"
        'Smishing,"It\ufffds your bank,\ncall us\ufffd now",No,No,yes\n'
        "Spam,Half price shoes today,No,No,No\n"
        "maybe,Something,No,No,No\n"
    )
    path = "evals/datasets/mishra_soni_5971.csv"
    loaded = mishra_soni_5971.load({path: write(tmp_path, "m.csv", text)})
    assert labels(loaded) == ["ham", "scam", "unwanted"]
    assert loaded.rows[1].text == "It's your bank,\ncall us now"
    assert loaded.rows[2].line == f"{path}:5", "a record that spans two lines must not shift the numbers"
    assert reasons(loaded) == ["unknown label"]


def test_india_tells_languages_and_refuses_what_has_no_safe_label(tmp_path: Path) -> None:
    twice = "Great \U0001f44d".encode().decode("latin-1").encode().decode("latin-1")
    text = (
        "Msg,Label\n"
        "Flat 50% off on all kurtas this weekend,spam\n"
        "Naye plan ke saath recharge kare aur paaye 2GB,spam\n"
        "Beware of fake calls about your SIM,spam\n"
        f"{twice},ham\n"
        "मैं घर पर हूँ,ham\n"
        "?image omitted,ham\n"
        "????,ham\n"
        "I will sell these shares when the market opens,ham\n"
    )
    loaded = india_spam_sms_junioralive.load({"dataset/spam_ham_india.csv": write(tmp_path, "i.csv", text)})
    assert [(row.label, row.language, row.channel) for row in loaded.rows] == [
        ("unwanted", "en", "sms"),
        ("unwanted", "hi-Latn", "sms"),
        ("not_scam", "en", "sms"),
        ("ham", "en", "chat"),
        ("ham", "hi", "chat"),
    ]
    assert loaded.rows[3].text == "Great \U0001f44d"
    assert reasons(loaded) == [
        "media placeholder of a chat export",
        "no word in the text",
        "stock group chat, no safe label",
    ]


def test_uganda_separates_receipts_from_other_ham(tmp_path: Path) -> None:
    text = (
        "label,message\n"
        'ham,"You have sent UGX 900 to A B, 256700000000. New balance: 12. ID :1"\n'
        "ham,Dial *100# for weekend bundles. DND *196#\n"
        "ham,Weewale abafere! Togabana PIN yo n'omuntu yenna\n"
        'ham,"Earn 300,000 easily at home, click https://wa.me/256700000000"\n'
        "spam,You are selected for a 2m prize! Call 0700000000\n"
    )
    loaded = uganda_mobile_money.load({"spam-fraud-sms-dataset.csv": write(tmp_path, "u.csv", text)})
    assert [(row.label, row.language, row.origin) for row in loaded.rows] == [
        ("transactional", "en", "real"),
        ("not_scam", "en", "real"),
        ("not_scam", "lg", "real"),
        ("unwanted", "en", "written"),
    ]
    assert reasons(loaded) == ["marked ham, but worded like a scam"]


def test_telegram_language_survives_look_alike_letters(tmp_path: Path) -> None:
    disguised = "Ищy людeй в кoмaндy, пишитe в личкy"  # Latin y, e, o, a inside Russian words
    spam = f"{disguised}\nDrop your wallet for 1 ETH\n\n"
    ham = "Привет!nКто пробовал typescript?\nhttps://example.org/page\nSome One, [Jan 2, 2023 at 9:37:09 AM]:\n"
    loaded = tg_spam_umputun.load(
        {
            "data/spam-samples.txt": write(tmp_path, "s.txt", spam),
            "data/ham-samples.txt": write(tmp_path, "h.txt", ham),
        }
    )
    assert [(row.label, row.language) for row in loaded.rows] == [("unwanted", "ru"), ("unwanted", "en"), ("ham", "ru")]
    assert loaded.rows[2].text == "Привет!\nКто пробовал typescript?"
    assert reasons(loaded) == ["no words besides links and names", "header of a chat export"]


def test_russian_keeps_ham_only_and_flattens_entities(tmp_path: Path) -> None:
    text = (
        "text,label\n"
        "Приду в семь,ham\n"
        "\"[{'type': 'bold', 'text': 'Сбор'}, ' завтра в десять']\",ham\n"
        "\"[{'type': 'bold', 'text': 'оборвано\",ham\n"
        "купите наши часы,spam\n"
    )
    loaded = russian_telegram_monalenka.load({"data/combined.csv": write(tmp_path, "r.csv", text)})
    assert [row.text for row in loaded.rows] == ["Приду в семь", "Сбор завтра в десять"]
    assert set(labels(loaded)) == {"ham"}
    assert reasons(loaded) == ["no readable Russian text", "machine-translated e-mail, not used"]


def test_persian_labels_by_rule_and_leaves_the_rest_out(tmp_path: Path) -> None:
    messages = [
        "کد تایید شما: 135790",
        "تا ۵۰٪ تخفیف روی همه کفش‌ها",
        "",
        "هشدار: رمز خود را به کسی ندهید",
        "سلام فردا میای؟",
        "کسب درآمد دلاری از بیت کوین",
        "برنده شدی، کد 4455 را به ما بده",
    ]
    text = "".join(f"{message}\t\t\t\r\n" for message in messages)
    path = write(tmp_path, "sms_data.txt", text, encoding="utf-16")
    loaded = persian_semnan.load({"sms_data.txt": path, "sms_data.xlsx": tmp_path / "unused.xlsx"})
    assert labels(loaded) == ["transactional", "promotion", "public_notice", "not_scam"]
    assert loaded.rows[2].line == "sms_data.txt:4"
    assert reasons(loaded) == ["no label", "no label"]


@pytest.mark.parametrize("name", EXPECTED)
def test_real_files_load(name: str) -> None:
    if not (MIRROR / "sources.json").is_file():
        pytest.skip("no mirror of the public files here")
    card = json.loads((REPOSITORY / "data_cards" / name / "source.json").read_text(encoding="utf-8"))
    folder = MIRROR / f"{card['repository'].replace('/', '+')}@{card['commit'][:12]}"
    module = importlib.import_module(f"forewarn.training.data.sources.{name}")
    loaded = module.load({item["path"]: folder / item["path"] for item in card["files"]})

    least, greatest_share = EXPECTED[name]
    assert len(loaded.rows) >= least
    assert len(loaded.rejected) / (len(loaded.rows) + len(loaded.rejected)) <= greatest_share, Counter(reasons(loaded))
    taxonomy = Taxonomy.load()
    assert all(taxonomy.resolve(label) for label in set(labels(loaded)))
    assert all(row.text.strip() and row.source == name and ":" in row.line for row in loaded.rows)
    assert len({row.line for row in loaded.rows}) == len(loaded.rows)
