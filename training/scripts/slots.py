"""Fill the slots of a script as its place would write them: money, dates, numbers, names, links.

Money and dates come from Babel (CLDR), phone formats from phonenumbers, names from Faker where it knows the locale. All
links of scams are invented: a brand's name, a lure word, random characters and a cheap top-level domain, or a made-up
invitation on a real chat or form service. Phone numbers are drawn from the example ranges' shape, not from a directory.
"""

from __future__ import annotations

import random
import re
from datetime import date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import phonenumbers
import yaml
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal
from faker import Faker
from faker.config import AVAILABLE_LOCALES
from forewarn.training.data.rows import Row
from forewarn.training.scripts.corpus import Script
from persiantools.jdatetime import JalaliDate

_SLOT = re.compile(r"\{(\w+)\}")
_BRANDED = ("bank", "shop", "courier", "operator", "company")
# "Brand: ..." or "[Brand] ..." at the beginning of a message.
_SENDER = re.compile(r"[\[【(]?([A-Za-z][\w&' -]{2,18}?)(?:[\]】)]|\s?[:：-] )")
_MONTH_FIRST = {"US", "PH", "CN", "TW", "HK", "JP", "KR"}
_DOTTED = {"DE", "AT", "CH", "PL", "RU", "UA", "TR", "HR"}
_PERSIAN_DIGITS = str.maketrans("0123456789,", "۰۱۲۳۴۵۶۷۸۹٬")
_INSTITUTIONS = ("banks", "shops", "couriers", "operators", "cities", "money")
_LURES = [
    "pay",
    "secure",
    "track",
    "verify",
    "update",
    "help",
    "service",
    "gift",
    "claim",
    "login",
    "my",
    "info",
    "online",
]
_CHEAP = ["top", "xyz", "icu", "vip", "cc", "shop", "site", "live", "info", "com", "net", "link", "online", "click"]
_FREE_HOSTS = ["web.app", "pages.dev", "weebly.com", "vercel.app", "blogspot.com", "netlify.app"]
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


@cache
def places() -> dict[str, dict[str, Any]]:
    """Region -> currency, price level and local names; `default` for what a region lacks."""
    text = (files("forewarn.training") / "scripts" / "places.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return loaded


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


def _names(text: str, host: str) -> bool:
    """Whether a lower-case text names the owner of a host; a short name must be a word ("ing" is not in "korting")."""
    whole = re.search(rf"(?<![a-z0-9]){re.escape(host)}(?![a-z0-9])", text)
    return bool(whole) or (len(host) >= 5 and host in text.replace(" ", ""))


class Filler:
    """Fills one script; the same `rng` state gives the same text, and a slot named twice has one value."""

    def __init__(self, script: Script, rng: random.Random) -> None:
        self.script = script
        self.rng = rng
        self.values: dict[str, str] = {}
        self.place = {**places()["default"], **places().get(script.region, {})}
        if self.place.get("speaks") not in (None, script.language.split("-")[0]):
            self.place |= {kind: places()["default"][kind] for kind in _INSTITUTIONS}
            self.place.pop("names", None)
        self.locale = _locale(script.language, script.region)
        # Links of honest rows are official ones; what counts as honest is the leaf's verdict.
        self.honest = script.label in ("promotion", "personal", "transactional", "public_notice")

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

    def _token(self, count: int) -> str:
        return "".join(self.rng.choice(_LETTERS) for _ in range(count))

    def _money(self, low: float, high: float) -> str:
        unit = float(self.place["unit"])
        value = unit * low * (high / low) ** self.rng.random()
        # People write round sums; banks write exact ones.
        value = round(value, -max(0, len(str(int(value))) - 2)) if self.rng.random() < 0.6 else round(value, 2)
        if unit >= 100:
            value = round(value / 100) * 100 or 100
        currency = self.place["currency"]
        whole = value == int(value)
        style = self.rng.random()
        if self.script.region == "IR":  # CLDR would put the rial before the sum
            written = self.rng.choice(self.place["money"]).format(format_decimal(int(value), locale=self.locale))
            return written.translate(_PERSIAN_DIGITS) if style < 0.4 else written
        if style < 0.55:
            written = format_currency(value, currency, locale=self.locale).replace("\xa0", " ")
            return re.sub(r"[.,]00(?!\d)", "", written) if whole else written
        number = format_decimal(value, format="#,##0" if whole else "#,##0.00", locale=self.locale)
        return self.rng.choice(self.place["money"]).format(number) if style < 0.95 else str(number)

    def _amount(self) -> str:
        return self._money(10, 500)

    def _small_amount(self) -> str:
        return self._money(0.5, 8)

    def _big_amount(self) -> str:
        return self._money(500, 50_000)

    def _name(self) -> str:
        if "names" in self.place:
            return self._pick("names")
        fake = _faker(self.script.language, self.script.region)
        fake.seed_instance(self.rng.randrange(2**32))
        return str(fake.first_name())

    def _full_name(self) -> str:
        if "names" in self.place:
            return " ".join(self.rng.sample(self.place["names"], 2))
        fake = _faker(self.script.language, self.script.region)
        fake.seed_instance(self.rng.randrange(2**32))
        return str(fake.name())

    def _url(self) -> str:
        """A link as both sides write them; which side it is must not show in its shape alone.

        Honest: the official host, now and then with a word like "track" before or behind it. Scam: a look-alike with
        the same words, a page on free hosting, a host of nobody. Both: shorteners, forms and chats.
        """
        scheme = self.rng.choice(["https://", "", "", "www."])
        tail = "" if self.rng.random() < 0.4 else "/" + self._token(self.rng.randint(3, 8))
        kind = self.rng.random()
        if kind < 0.2:
            return self._service_link()
        named = self._named_site()
        lure = self.rng.choice(_LURES)
        if self.honest:
            site = named or self._host_of_nobody()
            if kind < 0.3:
                return f"{scheme.replace('www.', '')}{lure}.{site}{tail}"
            return f"{scheme}{site}/{lure}{tail}" if kind < 0.4 else f"{scheme}{site}{tail}"
        if named is None and kind < 0.5:
            return f"{scheme}{self._host_of_nobody()}{tail}"
        brand = (named or str(self.rng.choice(self.place["sites"]))).split(".")[0]
        if kind < 0.65:
            return f"{brand}-{self._token(3)}.{self.rng.choice(_FREE_HOSTS)}{tail}"
        if kind < 0.75:
            return f"{scheme}{brand}.{self._token(self.rng.randint(3, 5))}-{lure}.{self.rng.choice(_CHEAP)}{tail}"
        host = self.rng.choice(["-", "", "."]).join(self.rng.sample([brand, lure], 2))
        return f"{scheme}{host}-{self._token(self.rng.randint(2, 4))}.{self.rng.choice(_CHEAP)}{tail}"

    def _named_site(self) -> str | None:
        """The host of whom the text says it is from: one of the place's, else by the brand, else None."""
        text = self.script.text.lower()
        named = [site for site in self.place["sites"] if _names(text, site.split(".")[0])]
        if named:
            return str(self.rng.choice(named))
        sender = _SENDER.match(self.script.text)
        brands = [self.values[kind] for kind in _BRANDED if kind in self.values] or ([sender[1]] if sender else [])
        name = re.sub(r"[^a-z0-9]", "", brands[0].lower()) if brands and brands[0].isascii() else ""
        return f"{name}.{self.rng.choice(['com', self._country_domain()])}" if 3 <= len(name) <= 16 else None

    def _country_domain(self) -> str:
        return "co.uk" if self.script.region == "GB" else self.script.region.lower()

    def _host_of_nobody(self) -> str:
        """A small shop's, school's or office's own site: a name that says nothing to a stranger."""
        syllables = (
            self.rng.choice("bdfgklmnprstvz") + self.rng.choice("aeiou") for _ in range(self.rng.randint(2, 4))
        )
        name = "".join(syllables) + self.rng.choice(["", "", "n", "s", "shop", "info"])
        return f"{name}.{self.rng.choice(['com', 'org', 'net', self._country_domain()])}"

    def _service_link(self) -> str:
        token = self._token(self.rng.randint(6, 9))
        return self.rng.choice(
            [
                f"bit.ly/{token}",
                f"wa.me/{self._digits(11)}",
                f"t.me/{token}",
                f"forms.gle/{token}",
                f"tinyurl.com/{token}",
            ]
        )

    def _phone(self) -> str:
        example = phonenumbers.example_number_for_type(self.script.region, phonenumbers.PhoneNumberType.MOBILE)
        if example is None:
            return "+" + self._digits(11)
        national = str(example.national_number)
        example.national_number = int(national[:2] + self._digits(len(national) - 2))
        style = self.rng.choice([phonenumbers.PhoneNumberFormat.NATIONAL, phonenumbers.PhoneNumberFormat.INTERNATIONAL])
        written = phonenumbers.format_number(example, style)
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
        style = self.rng.random()
        if self.script.region == "IR":
            local = JalaliDate(day)
            written = f"{local.day} {local.strftime('%B', locale='fa')}"
            written = written.translate(_PERSIAN_DIGITS) if style > 0.7 else written
            return local.strftime("%Y/%m/%d") if style < 0.4 else written
        if self.script.region == "TH" and style < 0.7:
            # The Buddhist era; no day of the window is a 29 February, which the year 2569 would lack.
            day = day.replace(year=day.year + 543)
        if style < 0.4:
            return format_date(day, "short", locale=self.locale)
        if style < 0.7:
            return format_date(day, self.place["day"], locale=self.locale)
        if style < 0.9:
            month_first = self.script.region in _MONTH_FIRST
            if self.script.region in _DOTTED:
                return f"{day.day}.{day.month:02d}"
            return f"{day.month}/{day.day}" if month_first else f"{day.day}/{day.month}"
        return format_date(day, "medium", locale=self.locale)

    def _time(self) -> str:
        moment = time(self.rng.randint(7, 22), self.rng.choice([0, 5, 15, 20, 30, 45, self.rng.randrange(60)]))
        if self.rng.random() < 0.6:
            return f"{moment.hour}:{moment.minute:02d}"
        return format_time(datetime.combine(self._day(), moment), "short", locale=self.locale).replace("\u202f", " ")

    def _code(self) -> str:
        return self._digits(self.rng.choice([4, 6, 6, 6, 8]))

    def _ref(self) -> str:
        letters = "".join(self.rng.choice("ABCDEFGHKLMNPRSTUVWXYZ") for _ in range(self.rng.choice([0, 2, 2, 3])))
        return letters + self._digits(self.rng.randint(6, 11))

    def _account(self) -> str:
        return self._pick("account").format(self._digits(4))

    def _card4(self) -> str:
        return self._digits(4)

    def _days(self) -> str:
        return str(self.rng.choice([1, 2, 3, 5, 7, 10, 14, 30]))

    def _percent(self) -> str:
        return f"{self.rng.choice([1.5, 3, 5, 8, 10, 12, 15, 20, 25, 30, 40, 50, 70]):g}%"

    def _handle(self) -> str:
        return self.rng.choice(["@", "", ""]) + self._token(self.rng.randint(5, 9))

    def _email(self) -> str:
        return f"{self._token(6)}@{self.rng.choice(['gmail.com', 'outlook.com', 'example.com', 'mail.com'])}"

    def _plate(self) -> str:
        letters, digits = "ABCDEFGHJKLMNPRSTUVWXYZ", "0123456789"
        swap = {"A": letters, "0": digits}
        return "".join(self.rng.choice(swap[c]) if c in swap else c for c in self.place["plate"])


def fill_row(row: Row, rng: random.Random) -> str:
    """Fill the slots of a row of built data that came from a script; rows without slots stay as they are."""
    return fill(Script(row.group, row.text, row.label, row.language, row.region, row.channel, "", (), False), rng)


def fill(script: Script, rng: random.Random) -> str:
    """The script's text with its slots filled by `rng`."""
    return Filler(script, rng).fill()
