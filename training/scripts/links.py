"""Links for scripts, in shapes that both sides use: which side a link is on must not show in its form alone.

Honest: the official host where the text names one, a host from the sender's name, or a small site of nobody. Scams:
look-alikes of whom the text names, pages on free hosting, hosts of nobody. Both: shorteners, forms and chats. All paths
and tokens are made up.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import phonenumbers
import yaml
from forewarn.training.scripts.corpus import Script

_BRANDED = ("bank", "shop", "courier", "operator", "company")
# "Brand: ..." or "[Brand] ..." at the beginning of a message.
_SENDER = re.compile(r"[\[【(]?([A-Za-z][\w&'-]{2,14}(?: [A-Z][\w&'-]{1,10})?)(?:[\]】)]|\s?[:：-] )")
_LURES = ["pay", "secure", "verify", "update", "gift", "claim", "login"]
_PLAIN = ["track", "help", "service", "my", "info", "online"]  # words that honest hosts hold too
_CHEAP = ["top", "xyz", "icu", "vip", "cc", "shop", "site", "live", "info", "com", "net", "link", "online", "click"]
_FREE_HOSTS = ["web.app", "pages.dev", "weebly.com", "vercel.app", "blogspot.com", "netlify.app"]
_COUNTRY = {
    "GB": "co.uk", "TR": "com.tr", "KE": "co.ke", "TZ": "co.tz", "KH": "com.kh", "MM": "com.mm", "TH": "co.th",
    "BR": "com.br", "MX": "com.mx", "AR": "com.ar", "PE": "com.pe", "PK": "com.pk", "BD": "com.bd", "NG": "com.ng",
    "AU": "com.au", "SG": "com.sg", "MY": "com.my", "ID": "co.id", "PH": "com.ph", "JP": "co.jp", "KR": "co.kr",
    "TW": "com.tw", "HK": "com.hk", "UA": "com.ua", "SA": "com.sa", "EG": "com.eg", "US": "com", "BN": "com.bn",
}  # fmt: skip
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


@cache
def brands() -> dict[str, str]:
    """Name as messages write it, in lower case -> official host."""
    text = (files("forewarn.training") / "scripts" / "brands.yaml").read_text(encoding="utf-8")
    return {str(name).lower(): host for host, names in yaml.safe_load(text).items() for name in names}


def token(rng: random.Random, count: int) -> str:
    """Random letters and digits, without those that are easily taken for one another."""
    return "".join(rng.choice(_LETTERS) for _ in range(count))


def made_up_number(
    region: str, rng: random.Random, kind: int = phonenumbers.PhoneNumberType.MOBILE
) -> phonenumbers.PhoneNumber:
    """A number of the place's form: area and operator code of the library's example, and seven random digits."""
    number = phonenumbers.example_number_for_type(region, kind) or phonenumbers.parse("+12015550123")
    national = str(number.national_number)
    kept = max(2, len(national) - 7)
    number.national_number = int(national[:kept] + "".join(rng.choice("0123456789") for _ in national[kept:]))
    return number


@dataclass(frozen=True)
class LinkMaker:
    """Makes the link of one script: `values` are the slots filled so far, `sites` the official hosts of the place."""

    script: Script
    rng: random.Random
    values: Mapping[str, str]
    sites: Sequence[str]
    honest: bool

    def make(self) -> str:
        """A link, with or without its scheme."""
        scheme = self.rng.choice(["https://", "", "", "www."])
        tail = "" if self.rng.random() < 0.4 else "/" + token(self.rng, self.rng.randint(3, 8))
        named = self.named_site()
        office = self.honest and self.script.label != "personal"
        # A known sender's honest message seldom hides its host.
        if self.rng.random() < (0.06 if office and named else 0.2):
            return self._service_link(shorteners_only=office)
        kind = self.rng.random()
        if self.honest:
            site, word = named or self._host_of_nobody(), self.rng.choice(_PLAIN)
            if named and kind < 0.12:
                return f"{scheme.replace('www.', '')}{word}.{site}{tail}"
            return f"{scheme}{site}/{word}{tail}" if kind < 0.25 else f"{scheme}{site}{tail}"
        if named is None and kind < 0.4:
            return f"{scheme}{self._host_of_nobody()}{tail}"
        brand = named.split(".")[0] if named else self._name_of_nobody()
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
        text = self.script.text.lower()
        filled = [self.values[kind] for kind in _BRANDED if kind in self.values]
        known = [site for site in self.sites if _names(text, site.split(".")[0])]
        known = known or [host for name, host in brands().items() if _names(" ".join([text, *filled]).lower(), name)]
        if known:
            return str(self.rng.choice(known))
        sender = _SENDER.match(self.script.text)
        candidates = filled or ([sender[1]] if sender else [])
        name = re.sub(r"[^a-z0-9]", "", candidates[0].lower()) if candidates and candidates[0].isascii() else ""
        return f"{name}.{self.rng.choice(['com', self._country()])}" if 3 <= len(name) <= 16 else None

    def _country(self) -> str:
        return _COUNTRY.get(self.script.region, self.script.region.lower())

    def _name_of_nobody(self) -> str:
        count = self.rng.randint(2, 4)
        return "".join(self.rng.choice("bdfgklmnprstvz") + self.rng.choice("aeiou") for _ in range(count))

    def _host_of_nobody(self) -> str:
        """A small shop's, school's or club's own site: a name that says nothing to a stranger."""
        name = self._name_of_nobody() + self.rng.choice(["", "", "n", "s"])
        return f"{name}.{self.rng.choice(['com', 'org', 'net', self._country(), self._country()])}"

    def _service_link(self, shorteners_only: bool) -> str:
        """A shortened link, or a chat or form; an office's honest message leads to neither of these."""
        path = token(self.rng, self.rng.randint(6, 9))
        short = [f"bit.ly/{path}", f"tinyurl.com/{path}"]
        if shorteners_only:
            return self.rng.choice(short)
        number = made_up_number(self.script.region, self.rng)
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).lstrip("+")
        return self.rng.choice([*short, f"wa.me/{written}", f"t.me/{path}", f"forms.gle/{path}"])


def _names(text: str, name: str) -> bool:
    """Whether a lower-case text names somebody; a short Latin name must be a word ("ing" is not in "korting")."""
    if not name.isascii():
        return name in text
    whole = re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", text)
    return bool(whole) or (len(name) >= 5 and name in text.replace(" ", ""))
