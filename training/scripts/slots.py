"""Fill the slots of a script as its place would write them: money, dates, numbers, names, links.

Money and dates come from Babel (CLDR), phone formats from phonenumbers, names from `places.yaml` and otherwise from
Faker, links from `links.py`. Phone numbers are drawn from the example ranges' shape, not from a directory.
"""

from __future__ import annotations

import random
import re
import unicodedata
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any

import phonenumbers
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal, get_currency_precision
from faker import Faker
from faker.config import AVAILABLE_LOCALES
from forewarn.training.data.rows import Row
from forewarn.training.scripts.corpus import Script
from forewarn.training.scripts.links import LinkMaker, made_up_name, made_up_number, token
from forewarn.training.scripts.places import places
from persiantools.jdatetime import JalaliDate

_SLOT = re.compile(r"\{(\w+)\}")
_MONTH_FIRST = {"US", "PH", "CN", "TW", "JP", "KR"}
_GERMAN = {"DE", "AT", "CH", "HR", "BA", "RS"}  # an ordinal takes a dot: 8.7.
_DOTTED = {"PL", "RU", "UA", "TR", "RO", "MD", "IL"}
_MAIL = {"RU": ["mail.ru", "yandex.ru"], "CN": ["qq.com", "163.com"], "KR": ["naver.com", "gmail.com"]}
_SLANG = ("bob", "quid", "bucks", "块", "块钱", "塊", "蚊", "تومن")
_SOLAR = {"IR", "AF"}  # the solar Hijri calendar
_AFGHAN_MONTHS = ["حمل", "ثور", "جوزا", "سرطان", "اسد", "سنبله", "میزان", "عقرب", "قوس", "جدی", "دلو", "حوت"]
_THOUSANDTHS = {"KWD", "JOD", "TND"}
_LAKHS = {"IN", "BD", "PK", "NP"}  # 1,25,000
_WHOLE = {"TWD", "AFN", "XOF", "ETB", "NPR"}  # currencies whose cents nobody uses
_PERSIAN_DIGITS = str.maketrans("0123456789,", "۰۱۲۳۴۵۶۷۸۹٬")
_OWN_LETTERS = {
    "hi", "ur", "bn", "ta", "my", "km", "lo", "th", "el", "ru", "uk", "ar", "fa", "he", "ne", "mr", "te", "si", "am",
}  # fmt: skip
_TWELVE_HOURS = {"US", "PH", "AU", "SG", "IN", "NG"}  # where English messages write 2 pm
_HOME = {
    "fil": "PH", "id": "ID", "my": "MM", "km": "KH", "lo": "LA", "ur": "PK", "fa": "IR", "tr": "TR", "ne": "NP",
    "si": "LK", "am": "ET",
}  # fmt: skip
_NAMES = ("names", "surnames", "full_name")
_INSTITUTIONS = ("banks", "shops", "couriers", "operators", "cities", "money")


@cache
def _locale(language: str, region: str) -> Locale:
    for tag in (f"{language}-{region}", language.split("-")[0]):
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale("en")


@cache
def _faker(language: str, region: str) -> Faker:
    base = {"zh-Hans": "zh", "zh-Hant": "zh", "fil": "fil"}.get(language, language.split("-")[0])
    for tag in (f"{base}_{region}", *sorted(x for x in AVAILABLE_LOCALES if x.startswith(f"{base}_"))):
        if tag in AVAILABLE_LOCALES:
            return Faker(tag)
    return Faker("en_US")


def _letters(text: str) -> str:
    return "".join(c for c in _SLOT.sub("", text) if c.isalpha())


def _is_latin(text: str) -> bool:
    letters = _letters(text)
    return bool(letters) and sum(unicodedata.name(c, "").startswith("LATIN") for c in letters) > 0.9 * len(letters)


@cache
def _place(language: str, region: str, romanised: bool) -> dict[str, Any]:
    """What fills the slots of a region's messages in a language; not to be changed."""
    place = {**places()["default"], **places().get(region, {})}
    base = language.split("-")[0]
    if place.get("speaks") not in (None, base):
        place |= {kind: places()["default"][kind] for kind in (*_INSTITUTIONS, "day")}
        place |= {"money": [f"{{}} {place['currency']}"], "long": "medium"}
    home = _HOME.get(base, region)
    if home != region and place.get("speaks") != base:  # people abroad keep their names
        names = {key: value for key, value in places()[home].items() if key in _NAMES}
        place = {key: value for key, value in place.items() if key not in _NAMES} | names
    place |= places().get(f"{region}-{language}", {})
    if base in _OWN_LETTERS:
        # Romanised rows take what is in Latin letters, the others names in their own.
        for kind in _INSTITUTIONS if romanised else ():
            # A sum may have a sign and no letter.
            latin = [x for x in place[kind] if _is_latin(x) or kind == "money" and _letters(x) == ""]
            place[kind] = latin or place[kind]
        for kind in ("names", "surnames", "cities"):
            fitting = [x for x in place.get(kind, ()) if _is_latin(x) == romanised]
            if fitting:
                place[kind] = fitting
    return place


class Filler:
    """Fills one script; the same `rng` state gives the same text, and a slot named twice has one value."""

    def __init__(self, script: Script, rng: random.Random) -> None:
        self.script = script
        self.rng = rng
        self.values: dict[str, str] = {}
        romanised = script.language.split("-")[0] in _OWN_LETTERS and _is_latin(script.text)
        self.place = _place(script.language, script.region, romanised)
        self.locale = _locale("en" if romanised else script.language, script.region)
        # Links of honest rows are official ones; what counts as honest is the leaf's verdict.
        self.honest = script.label in ("promotion", "personal", "transactional", "public_notice")
        self.office = self.honest and script.label != "personal"

    def fill(self) -> str:
        """The script's text with every slot filled."""

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name not in self.values:
                self.values[name] = str(getattr(self, f"_{name}")())
            written = self.values[name]
            # A date that ends in a dot (Croatian) also ends the sentence.
            ends = written.endswith(".") and match.string[match.end() : match.end() + 1] == "."
            return written[:-1] if ends else written

        return _SLOT.sub(value, self.script.text)

    def _digits(self, count: int) -> str:
        return "".join(self.rng.choice("0123456789") for _ in range(count))

    def _money(self, low: float, high: float) -> str:
        unit = float(self.place["unit"])
        value = unit * low * (high / low) ** self.rng.random()
        spoken = self.script.channel != "sms"
        # People write and say round sums; banks and shops write exact ones, but for loans and limits.
        exact = not spoken and high <= 500 and self.place["currency"] not in _WHOLE and self.rng.random() < 0.5
        # A sum under one keeps its cents, or it would be nothing.
        value = round(value, 2) if exact or value < 1 else round(value, -max(0, len(str(int(value))) - 2))
        if unit >= 100:
            value = round(value / 100) * 100 or 100
        whole = value == int(value)
        style = self.rng.random()
        if style < (0.2 if spoken else 0.55) and self.script.region not in _SOLAR:  # CLDR puts the currency first
            written = format_currency(value, self.place["currency"], locale=self.locale).replace("\xa0", " ")
            written = re.sub("[\u200e\u200f]", "", written)  # direction marks, which nobody types
            decimals = get_currency_precision(self.place["currency"])
            return re.sub(rf"[.,]0{{{decimals}}}(?=\D*$)", "", written) if whole and decimals else written
        group = "#,##,##0" if self.script.region in _LAKHS else "#,##0"
        cents = "" if whole else ".000" if self.place["currency"] in _THOUSANDTHS else ".00"
        number = format_decimal(value, format=group + cents, locale=self.locale).replace("\xa0", " ")
        # Banks and offices do not write slang.
        forms = [form for form in self.place["money"] if spoken or not form.endswith(_SLANG)]
        written = self.rng.choice(forms).format(number)
        return written.translate(_PERSIAN_DIGITS) if self.script.region in _SOLAR and style < 0.4 else written

    def _amount(self) -> str:
        return self._money(10, 500)

    def _small_amount(self) -> str:
        return self._money(0.5, 8)

    def _big_amount(self) -> str:
        return self._money(500, 20_000)

    def _name(self) -> str:
        if "names" in self.place:
            return self._pick("names")
        fake = self._fake()
        name = str(fake.first_name())
        # A Chinese given name of one character is not used alone.
        return f"小{name}" if len(name) == 1 and self.script.language.startswith("zh") else name

    def _full_name(self) -> str:
        if "surnames" in self.place:
            return str(self.place["full_name"]).format(self._pick("names"), self._pick("surnames"))
        if "names" in self.place:
            return " ".join(self.rng.sample(self.place["names"], 2))
        fake = self._fake()
        if self.script.language.split("-")[0] in ("zh", "ja", "ko"):
            return str(fake.name())
        return f"{fake.first_name()} {fake.last_name()}"  # fake.name() adds titles

    def _fake(self) -> Faker:
        fake = _faker(self.script.language, self.script.region)
        fake.seed_instance(self.rng.randrange(2**32))
        return fake

    def _url(self) -> str:
        return LinkMaker(self.script, self.rng, self.values, self.honest).make()

    def _phone(self) -> str:
        kind = phonenumbers.PhoneNumberType.MOBILE
        named = any(slot in self.script.text for slot in ("{name}", "{full_name}"))
        if self.office and self.script.channel != "chat" and not named and self.rng.random() < 0.3:
            kind = phonenumbers.PhoneNumberType.FIXED_LINE  # an office's line
        # At home people write numbers without the country's code.
        abroad = self.rng.random() < 0.2 and self.script.region != "TH"  # there numbers are payment addresses
        style = phonenumbers.PhoneNumberFormat.INTERNATIONAL if abroad else phonenumbers.PhoneNumberFormat.NATIONAL
        written = phonenumbers.format_number(made_up_number(self.script.region, self.rng, kind), style)
        return re.sub(r"[ -]", "", written) if self.rng.random() < 0.5 else written

    def _pick(self, kind: str) -> str:
        return str(self.rng.choice(self.place[kind]))

    def _bank(self) -> str:
        return self._pick("banks")

    def _shop(self) -> str:
        return self._pick("shops")

    def _courier(self) -> str:
        return self._pick("couriers")

    def _operator(self) -> str:
        return self._pick("operators")

    def _city(self) -> str:
        return self._pick("cities")

    def _company(self) -> str:
        return self._pick("shops")

    def _day(self) -> date:
        # A window around a fixed day: the text must not depend on when it is filled.
        return date(2026, 6, 1) + timedelta(days=self.rng.randrange(-300, 300))

    def _date(self) -> str:
        day = self._day()
        # Nobody says "8/7/26"; Koreans and Chinese seldom write it either.
        spoken = self.script.channel == "call"
        written_out = spoken or self.script.language in ("ko", "zh-Hans")
        style = 0.5 if written_out else self.rng.random()
        if self.script.region in _SOLAR:
            local = JalaliDate(day)
            afghan = self.script.region == "AF"
            month = _AFGHAN_MONTHS[local.month - 1] if afghan else local.strftime("%B", locale="fa")
            written = f"{local.day} {month}"
            written = written.translate(_PERSIAN_DIGITS) if style > 0.7 else written
            return local.strftime("%Y/%m/%d") if style < 0.4 else written
        if self.script.region == "TH" and style < 0.7:
            # The Buddhist era; no day of the window is a 29 February, which the year 2569 would lack.
            day = day.replace(year=day.year + 543)
        if style < 0.4:
            return format_date(day, "short", locale=self.locale)
        if style < 0.7:
            pattern = "M月d日" if self.script.language.startswith("zh") else self.place["day"]
            if spoken and "MMMM" not in pattern:
                pattern = pattern.replace("MMM", "MMMM")
            written = format_date(day, pattern, locale=self.locale)
            return re.sub(r"^1\b", "1er", written) if self.script.language == "fr" else written
        if style < 0.9:
            month_first = self.script.region in _MONTH_FIRST
            if self.script.region in _GERMAN:
                return f"{day.day}.{day.month}."
            if self.script.region in _DOTTED:
                return f"{day.day}.{day.month:02d}"
            return f"{day.month}/{day.day}" if month_first else f"{day.day}/{day.month}"
        return format_date(day, self.place.get("long", "medium"), locale=self.locale).replace("\u202f", " ")

    def _time(self) -> str:
        # Offices keep office hours, and round times.
        minute = self.rng.choice([0, 0, 15, 30, 45] if self.office else [0, 0, 10, 15, 20, 30, 40, 45])
        moment = time(self.rng.randint(8, 17) if self.office else self.rng.randint(7, 22), minute)
        if self.script.language == "en" and self.script.region in _TWELVE_HOURS:
            hour, half = (moment.hour - 1) % 12 + 1, "am" if moment.hour < 12 else "pm"
            half = self.rng.choice([half, f" {half}", f" {half.upper()}"])
            return f"{hour}{half}" if minute == 0 and self.rng.random() < 0.6 else f"{hour}:{minute:02d}{half}"
        if self.script.language == "ms":
            part = "pagi" if moment.hour < 12 else "tengah hari" if moment.hour < 14 else "petang"
            part = part if moment.hour < 19 else "malam"
            return f"{(moment.hour - 1) % 12 + 1}.{minute:02d} {part}"
        if self.rng.random() < 0.6:
            separator = "h" if self.script.language == "fr" else ":"
            return f"{moment.hour}{separator}{moment.minute:02d}"
        if self.script.language == "ko":
            return f"{'오전' if moment.hour < 12 else '오후'} {(moment.hour - 1) % 12 + 1}:{minute:02d}"
        return format_time(datetime.combine(self._day(), moment), "short", locale=self.locale).replace("\u202f", " ")

    def _code(self) -> str:
        return self._digits(self.rng.choice([4, 6, 6, 6, 6]))

    def _ref(self) -> str:
        letters = "".join(self.rng.choice("ABCDEFGHKLMNPRSTUVWXYZ") for _ in range(self.rng.choice([0, 2, 2, 3])))
        return letters + self._digits(self.rng.randint(6, 11))

    def _account(self) -> str:
        return self._pick("account").format(self._digits(4))

    def _card4(self) -> str:
        return self._digits(4)

    def _days(self) -> str:
        return str(self.rng.choice([2, 3, 5, 7, 10, 14, 30]))

    def _percent(self) -> str:
        return f"{self.rng.choice([2, 3, 5, 8, 10, 12, 15, 20, 25, 30, 40, 50])}%"

    def _handle(self) -> str:
        # KakaoTalk and WeChat names have no sign before them.
        sign = "" if self.script.language == "ko" or self.script.region == "CN" else "@"
        return sign + self.rng.choice("abcdefghkmnprstz") + token(self.rng, self.rng.randint(4, 8))

    def _email(self) -> str:
        hosts = _MAIL.get(self.script.region, ["gmail.com", "outlook.com", "yahoo.com"])
        return f"{made_up_name(self.rng)}.{made_up_name(self.rng)}{self._digits(2)}@{self.rng.choice(hosts)}"

    def _plate(self) -> str:
        letters, digits = self.place["plate_letters"], "123456789"
        swap = {"?": letters, "#": digits}
        plate = self._pick("plate")
        return "".join(self.rng.choice(swap[c]) if c in swap else c for c in plate)


def fill_row(row: Row, rng: random.Random) -> str:
    """Fill the slots of a row of built data that came from a script; rows without slots stay as they are."""
    return fill(Script(row.group, row.text, row.label, row.language, row.region, row.channel, "", (), False), rng)


def fill(script: Script, rng: random.Random) -> str:
    """The script's text with its slots filled by `rng`."""
    return Filler(script, rng).fill()
