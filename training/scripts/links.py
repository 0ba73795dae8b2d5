"""Links for scripts, in shapes that both sides use: which side a link is on must not show in its form alone.

Honest: the official host where the text names one, a host from the sender's name, or a small site of nobody. Scams:
look-alikes of whom the text names, pages on free hosting, hosts of nobody, forms, and chats where the trick moves to
one. Both: shorteners. All paths and tokens are made up.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import phonenumbers
import yaml
from forewarn.training.scripts.corpus import Script

_BRANDED = ("bank", "shop", "courier", "operator", "company")
# "Brand: ..." or "[Brand] ..." at the beginning of a message.
_SENDER = re.compile(r"[\[【(]?([A-Za-z][\w&'-]{2,14}(?: [A-Z][\w&'-]{1,10})?)(?:[\]】)]|\s?[:：-] )")
# Words that open a message as a sender would.
_NO_SENDER = {"reminder", "urgent", "notice", "alert", "congrats", "congratulations", "info", "final", "important"}
# Tricks that move to a chat; the others ask for something on a page.
_CHATTY = {"romance", "job_offer", "investment", "prize", "loan", "illicit_offer", "marketplace", "boss_impersonation"}
_OPENING = 40  # characters
_LURES = ["pay", "secure", "verify", "update", "gift", "claim", "login"]
_PLAIN = ["track", "help", "service", "my", "info", "online"]  # words that honest hosts hold too
_CHEAP = ["top", "xyz", "icu", "vip", "cc", "shop", "site", "live", "info", "com", "net", "link", "online", "click"]
_FREE_HOSTS = ["web.app", "pages.dev", "weebly.com", "vercel.app", "blogspot.com", "netlify.app"]
_COUNTRY = {
    "GB": "co.uk", "TR": "com.tr", "KE": "co.ke", "TZ": "co.tz", "KH": "com.kh", "MM": "com.mm", "TH": "co.th",
    "BR": "com.br", "MX": "com.mx", "AR": "com.ar", "PE": "com.pe", "PK": "com.pk", "BD": "com.bd", "NG": "com.ng",
    "AU": "com.au", "SG": "com.sg", "MY": "com.my", "ID": "co.id", "PH": "com.ph", "KR": "co.kr",
    "TW": "com.tw", "HK": "com.hk", "UA": "com.ua", "SA": "com.sa", "EG": "com.eg", "US": "com", "BN": "com.bn",
    "CO": "com.co", "JO": "com.jo", "LB": "com.lb", "AF": "com.af", "IL": "co.il", "NP": "com.np", "ET": "com.et",
}  # fmt: skip
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


@cache
def _tables() -> dict[str, dict[str, list[str]]]:
    text = (files("forewarn.training") / "scripts" / "brands.yaml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, list[str]]] = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return tables


@cache
def brands(region: str) -> tuple[re.Pattern[str], dict[str, str]]:
    """What finds the first name of a known sender in a text of a region, and name -> official host.

    Names are looked up in lower case without spaces and hyphens. A Latin one must be a word of its own ("ing" is not in
    "korting"). Of two names that begin at one place the longer one is found.
    """
    tables = (_tables()["everywhere"], _tables().get(region, {}))
    hosts = {name: host for table in tables for host, names in table.items() for name in names}
    words = []
    for name in sorted(hosts, key=len, reverse=True):
        spelt = r"[ -]?".join(map(re.escape, re.split("[ -]", name)))
        words.append(rf"(?<![a-z0-9]){spelt}(?![a-z0-9])" if name.isascii() else re.escape(name))
    return re.compile("|".join(words)), {_bare(name): host for name, host in hosts.items()}


def _bare(name: str) -> str:
    return re.sub("[ -]", "", name)


def token(rng: random.Random, count: int) -> str:
    """Random letters and digits, without those that are easily taken for one another."""
    return "".join(rng.choice(_LETTERS) for _ in range(count))


def made_up_name(rng: random.Random) -> str:
    """Three or four syllables that mean nothing."""
    return "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(3, 4)))


def made_up_number(
    region: str, rng: random.Random, kind: int = phonenumbers.PhoneNumberType.MOBILE
) -> phonenumbers.PhoneNumber:
    """A number of the place's form: area and operator code of the library's example, and seven random digits."""
    number = phonenumbers.example_number_for_type(region, kind) or phonenumbers.parse("+12015550123")
    # Myanmar's example is a short number of the past, which the library does not even format.
    national = "9777456783" if region == "MM" else str(number.national_number)
    kept = max(2, len(national) - 7)
    number.national_number = int(national[:kept] + "".join(rng.choice("0123456789") for _ in national[kept:]))
    return number


@dataclass(frozen=True)
class LinkMaker:
    """Makes the link of one script: `values` are the slots filled so far."""

    script: Script
    rng: random.Random
    values: Mapping[str, str]
    honest: bool

    def make(self) -> str:
        """A link, with or without its scheme."""
        scheme = self.rng.choice(["https://", "", "", "www."])
        tail = "" if self.rng.random() < 0.4 else "/" + token(self.rng, self.rng.randint(3, 8))
        named = self.named_site()
        office = self.honest and self.script.label != "personal"
        # A known sender's honest message seldom hides its host, and an office's notice never: it warns of that.
        hidden = 0.2 if not (office and named) else 0.0 if self.script.label == "public_notice" else 0.06
        if self.rng.random() < hidden:
            return self._service_link()
        kind = self.rng.random()
        if self.honest:
            site, word = named or self._host_of_nobody(), self.rng.choice(_PLAIN)
            return f"{scheme}{site}/{word}{tail}" if kind < 0.25 else f"{scheme}{site}{tail}"
        if named is None and kind < 0.4:
            return f"{scheme}{self._host_of_nobody()}{tail}"
        brand = named.split(".")[0] if named else made_up_name(self.rng)
        lure = self.rng.choice(_LURES + _PLAIN)
        kind = self.rng.random()
        if kind < 0.2:
            return f"{brand}-{token(self.rng, 3)}.{self.rng.choice(_FREE_HOSTS)}{tail}"
        if kind < 0.35:
            return f"{scheme}{brand}.{token(self.rng, self.rng.randint(3, 5))}-{lure}.{self.rng.choice(_CHEAP)}{tail}"
        host = self.rng.choice(["-", "", "."]).join(self.rng.sample([brand, lure], 2))
        return f"{scheme}{host}-{token(self.rng, self.rng.randint(2, 4))}.{self.rng.choice(_CHEAP)}{tail}"

    def named_site(self) -> str | None:
        """The host of whom the text says it is from: a known one, else by the sender's name, else None."""
        before, _, after = self.script.text.partition("{url}")
        before = re.sub(r"\{(\w+)\}", lambda match: self.values.get(match[1], ""), before)
        pattern, hosts = brands(self.script.region)
        sender = _SENDER.match(before)
        if sender and not _NO_SENDER.isdisjoint(sender[1].lower().split()):
            sender = None
        opening = sender.end() if sender else _OPENING
        # Senders name themselves as a message begins, or beside the link; whom it names elsewhere may be anybody.
        named = list(pattern.finditer(before.lower())) or list(pattern.finditer(after[:_OPENING].lower()))
        for match in named:
            if match.start() <= opening or (sender is None and len(before) - match.end() <= _OPENING):
                return hosts[_bare(match[0])]
        filled = [self.values[kind] for kind in _BRANDED if kind in self.values]
        for value in filled:  # a name that is a common word too is known as a message's opening
            if opening_name := pattern.match(f"{value.lower()}:"):
                return hosts[_bare(opening_name[0])]
        # A single word may be any office's or a known brand's ("Bilet:", "DKB:"), whose host must not be guessed.
        if sender and self.honest and " " not in sender[1]:
            sender = None
        candidates = [sender[1]] if sender else filled
        name = re.sub(r"[^a-z0-9]", "", candidates[0].lower()) if candidates and candidates[0].isascii() else ""
        return f"{name}.{self.rng.choice(['com', self._country()])}" if 3 <= len(name) <= 16 else None

    def _country(self) -> str:
        return _COUNTRY.get(self.script.region, self.script.region.lower())

    def _host_of_nobody(self) -> str:
        """A small shop's, school's or club's own site: a name that says nothing to a stranger."""
        name = made_up_name(self.rng) + self.rng.choice(["", "", "n", "s"])
        return f"{name}.{self.rng.choice(['com', 'org', 'net', self._country(), self._country()])}"

    def _service_link(self) -> str:
        """A shortened link, or a chat or form; an office's honest message leads to neither of these."""
        path = token(self.rng, self.rng.randint(6, 9))
        mainland = self.script.region == "CN"  # what opens there is its own
        links = [f"t.cn/{path}", f"dwz.cn/{path}"] if mainland else [f"bit.ly/{path}", f"tinyurl.com/{path}"]
        if self.script.label == "personal":
            # What the link leads to stands in the text: a shared folder may hold most of it.
            folder = token(self.rng, 16)
            links.append(f"pan.baidu.com/s/{folder}" if mainland else f"drive.google.com/drive/folders/{folder}")
        if not self.honest:
            links.append(f"docs.qq.com/form/{path}" if mainland else f"forms.gle/{path}")
        if self.script.label in _CHATTY and not mainland:
            number = made_up_number(self.script.region, self.rng)
            written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).lstrip("+")
            links += [f"wa.me/{written}", f"t.me/{path}"]
        return self.rng.choice(links)
