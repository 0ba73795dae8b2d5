"""Our own scripts: filling, splits, and their way through the build."""

import json
import random
import re
from collections import Counter
from dataclasses import replace

import pytest
from forewarn.inference.cli import main
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from forewarn.training.batches import MessageDataset
from forewarn.training.data import registry
from forewarn.training.data.build import build
from forewarn.training.data.dataset import read_split
from forewarn.training.scripts.corpus import SLOTS, Script, all_scripts, held_out, read_scripts
from forewarn.training.scripts.links import brands
from forewarn.training.scripts.places import regions
from forewarn.training.scripts.slots import fill
from forewarn.training.tokenizer import train_tokenizer

SCRIPTS = all_scripts()
OURS = "forewarn_scripts"


def script(text, label="parcel_delivery", language="en", region="GB"):
    return Script("x-1", text, label, language, region, "sms", "neutral", (), False)


def test_a_filled_script_has_no_slot_left_and_repeats_under_a_seed():
    for item in SCRIPTS[::7]:
        text = fill(item, random.Random(1))
        assert not re.search(r"\{\w+\}", text)
        assert text == fill(item, random.Random(1))


@pytest.mark.parametrize("region", regions())
def test_every_place_fills_every_slot(region):
    text = " ".join(f"{{{slot}}}" for slot in SLOTS)
    for language in ("en", "th", "zh-Hans"):
        assert "{" not in fill(script(text, language=language, region=region), random.Random(3))


def test_a_slot_named_twice_has_one_value():
    one, two = fill(script("{amount}|{amount}"), random.Random(5)).split("|")
    assert one == two


def hosts_of(label, text="{url}"):
    links = (fill(script(text, label), random.Random(i)) for i in range(300))
    return [re.sub(r"^(https://|www\.)", "", link).split("/")[0] for link in links]


def test_scam_links_are_never_official_hosts():
    official = set(brands("GB")[1].values())
    assert not official & {*hosts_of("parcel_delivery"), *hosts_of("parcel_delivery", "{url} Royal Mail")}


def test_a_link_goes_to_whom_the_message_is_from():
    honest = [fill(script("Hillside Dental: book at {url}", "transactional"), random.Random(i)) for i in range(50)]
    assert sum("hillsidedental." in text for text in honest) > 30
    scams = [fill(script("Hillside Dental: book at {url}"), random.Random(i)) for i in range(50)]
    assert sum("hillsidedental" in text for text in scams) > 30
    assert not any(re.search(r"hillsidedental\.(com|co\.uk)", text) for text in scams)


def test_the_shape_of_a_link_does_not_tell_the_side():
    honest, scams = (hosts_of(label, "{url}") for label in ("transactional", "parcel_delivery"))
    for count_of in (lambda host: host.count("."), lambda host: len(host) > 12):
        assert len({count_of(host) for host in honest} & {count_of(host) for host in scams}) > 1


def test_real_services_stand_on_both_sides_where_people_use_them():
    def links(label, channel):
        chat = replace(script("{url}", label), channel=channel)
        return {fill(chat, random.Random(i)).split("/")[0] for i in range(300)}

    shorteners, chats = {"bit.ly", "tinyurl.com"}, {"wa.me", "t.me", "forms.gle"}
    assert shorteners | chats <= links("job_offer", "sms")
    assert shorteners | {"forms.gle"} <= links("parcel_delivery", "sms") and "wa.me" not in links("bank_alert", "sms")
    assert shorteners | {"drive.google.com"} <= links("personal", "chat")
    # An office's honest message does not lead to a chat or a form; a friend's says so where it does.
    assert not chats & (links("transactional", "chat") | links("personal", "chat"))


def test_a_brand_in_its_own_script_is_known():
    honest = replace(script("Нова пошта, {url}", "transactional"), language="uk", region="UA")
    found = [fill(honest, random.Random(i)) for i in range(50)]
    assert sum("novaposhta.ua" in text for text in found) > 30
    scam = replace(honest, label="parcel_delivery")
    assert not any(re.search(r"[ /.]novaposhta\.ua", fill(scam, random.Random(i))) for i in range(50))


def test_spoken_sums_are_round_and_dates_follow_the_place():
    call = replace(script("{amount}", "personal"), channel="call", region="US")
    assert not any("." in fill(call, random.Random(i)) for i in range(50))
    thai = replace(script("{date}", "personal"), language="th", region="TH")
    assert any("69" in fill(thai, random.Random(i)) for i in range(30))
    persian = replace(script("{date}", "personal"), language="fa", region="IR")
    assert any(fill(persian, random.Random(i)).startswith("140") for i in range(30))
    afghan = replace(persian, region="AF")
    assert any("جدی" in fill(afghan, random.Random(i)) for i in range(60))
    croatian = replace(script("do {date}. hvala", "personal"), language="hr", region="HR")
    assert not any(".." in fill(croatian, random.Random(i)) for i in range(50))


def test_names_follow_the_language_abroad_and_the_place_where_it_is_spoken():
    def names(region):
        return {fill(replace(script("{name}", language="fa"), region=region), random.Random(i)) for i in range(60)}

    assert names("TR") <= names("IR")
    assert "مرسل" in names("AF") - names("IR")


def test_fifteen_in_a_hundred_scripts_of_each_kind_are_held_out_by_hash():
    splits = held_out(s.id for s in SCRIPTS)
    for (language, label), count in Counter((s.language, s.label) for s in SCRIPTS).items():
        held = sum(splits[s.id] == "test" for s in SCRIPTS if (s.language, s.label) == (language, label))
        assert 1 <= held <= 0.3 * count
    assert 0.14 < sum(split == "test" for split in splits.values()) / len(splits) < 0.16


def test_a_script_stays_in_its_split_when_others_are_added_or_removed():
    ids = [f"en-loan-{n:03}" for n in range(1, 61)]
    whole = held_out(ids)
    assert Counter(whole.values()) == {"train": 45, "test": 9, "validation": 6}
    assert held_out(ids[5:25]) == {i: whole[i] for i in ids[5:25]}


def test_rows_that_break_a_rule_stop_a_build_with_file_and_line(tmp_path, monkeypatch, capsys):
    good = {
        "id": "en-loan-001", "text": "cash for {name} today", "label": "loan", "language": "en", "region": "GB",
        "channel": "sms", "register": "casual", "levers": ["need"], "hard": False,
    }  # fmt: skip
    bad = [
        ({"text": "cash for {nonslot} today"}, "unknown slot {nonslot}"),
        ({"text": "cash for {name today"}, "a broken slot"),
        ({"region": "Atlantis"}, "places.yaml"),
        ({"id": "en-loan-abc"}, "'en-loan-abc'"),
        ({"label": "lone"}, "unknown label 'lone'"),
        ({"levers": ["hunger"]}, "hunger"),
        ({"channel": "fax"}, "fax"),
        ({"text": 5}, "not a script row"),
    ]
    rows = [good, *(good | changes for changes, _ in bad)]
    path = tmp_path / "en.jsonl"
    path.write_bytes("\n".join(json.dumps(row) for row in rows).encode() + b'\n"\xff"\n')
    monkeypatch.setattr(registry, "fetch", lambda *_, **__: {path.name: path})
    assert main(["data", "build", OURS, "--out", str(tmp_path / "data")]) == 2
    told = capsys.readouterr().err.removeprefix("forewarn: ").splitlines()
    assert len(told) == len(bad) + 1
    for number, (line, (_, fault)) in enumerate(zip(told, [*bad, ({}, "not a script row")], strict=True), 2):
        assert line.startswith(f"en.jsonl:{number}: ") and fault in line
    path.write_text((json.dumps(good | bad[0][0]) + "\n") * 31)
    with pytest.raises(ForewarnError, match="and 11 more lines"):
        read_scripts([path])


def test_scripts_are_built_with_slots_for_training_and_filled_for_measuring(tmp_path):
    build(registry.select([OURS], []), tmp_path, 1, lambda _: None)
    kept = read_split(tmp_path, "train", keep_slots=True)
    assert any("{" in row.text for row in kept)
    for split in ("train", "validation", "test"):
        assert not any(re.search(r"\{\w+\}", row.text) for row in read_split(tmp_path, split))
    # A held-out script, and whatever is near it, is never trained on.
    splits = held_out(s.id for s in SCRIPTS)
    held = {s.text for s in SCRIPTS if splits[s.id] == "test"}
    assert held and not held & {row.text for row in kept}


def test_training_sees_new_values_each_epoch(tmp_path):
    build(registry.select([OURS], []), tmp_path, 1, lambda _: None)
    rows = [row for row in read_split(tmp_path, "train", keep_slots=True) if "{amount}" in row.text][:20]
    tokenizer = train_tokenizer((row.text for row in rows), 300)
    data = MessageDataset(rows, tokenizer, Taxonomy.load(), seed=1)
    first = [data[i]["input_ids"] for i in range(len(rows))]
    assert first == [data[i]["input_ids"] for i in range(len(rows))]
    data.set_epoch(1)
    assert first != [data[i]["input_ids"] for i in range(len(rows))]
