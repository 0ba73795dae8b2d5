"""What a sender adds to a verdict: a small, bounded push, and only upwards.

Names and short codes are forged every day, so no sender makes a message safer. A private number or a mail address that
speaks for a bank, an office or a courier is what such senders do not use, and a number from abroad is one more step.
The sizes are set by hand, since no collection of messages tells its senders: they move a doubtful message over a
threshold and leave a plainly honest one where it is.
"""

from __future__ import annotations

import math
import re

# Types in which an institution speaks; a real one has a name or a short code.
INSTITUTIONAL = frozenset(
    {
        "authority_impersonation", "tax_rebate", "bank_alert", "account_takeover", "parcel_delivery", "bill_or_fine",
        "refund_service", "loan", "prize", "transactional", "public_notice", "promotion",
    }
)  # fmt: skip
PRIVATE_FOR_INSTITUTION = 1.0  # log-odds
FROM_ABROAD = 0.7
_LONGEST_SHORT_CODE = 6
_IGNORED = re.compile(r"[\s().\-\u2010-\u2015/\u200e\u200f\u202a-\u202e]+")
# Country calling codes (ITU-T E.164 annex) of the regions that the training data covers, and their neighbours.
_CALLING_CODES = {
    "AE": "971", "AR": "54", "AT": "43", "AU": "61", "BA": "387", "BD": "880", "BE": "32", "BN": "673", "BR": "55",
    "CA": "1", "CH": "41", "CL": "56", "CN": "86", "CO": "57", "CY": "357", "CZ": "420", "DE": "49", "DK": "45",
    "DZ": "213", "EG": "20", "ES": "34", "ET": "251", "FI": "358", "FR": "33", "GB": "44", "GH": "233", "GR": "30",
    "HK": "852", "HR": "385", "HU": "36", "ID": "62", "IE": "353", "IL": "972", "IN": "91", "IQ": "964", "IR": "98",
    "IT": "39", "JO": "962", "JP": "81", "KE": "254", "KH": "855", "KR": "82", "KW": "965", "KZ": "7", "LA": "856",
    "LB": "961", "LK": "94", "MA": "212", "ME": "382", "MM": "95", "MO": "853", "MX": "52", "MY": "60", "NG": "234",
    "NL": "31", "NO": "47", "NP": "977", "NZ": "64", "OM": "968", "PE": "51", "PH": "63", "PK": "92", "PL": "48",
    "PT": "351", "QA": "974", "RO": "40", "RS": "381", "RU": "7", "SA": "966", "SE": "46", "SG": "65", "TH": "66",
    "TR": "90", "TW": "886", "TZ": "255", "UA": "380", "UG": "256", "US": "1", "VN": "84", "ZA": "27",
}  # fmt: skip


def log_odds(sender: str | None, type: str, locale: str | None = None) -> float:
    """What a sender adds to the log-odds of scam; 0.0 without one, never negative.

    Args:
        sender: as the network gave it: a number, a short code, a name, or a mail address.
        type: the verdict's leaf.
        locale: BCP 47 tag of the person who was written to; its region decides what is abroad.
    """
    if not sender:
        return 0.0
    plain = _IGNORED.sub("", sender)
    number = plain.removeprefix("+")
    is_number = number.isdecimal() and len(number) > _LONGEST_SHORT_CODE
    private = is_number or "@" in plain
    added = PRIVATE_FOR_INSTITUTION if private and type in INSTITUTIONAL else 0.0
    if is_number and _abroad(plain, locale):
        added += FROM_ABROAD
    return added


def moved(risk: float, added: float) -> float:
    """A probability after its log-odds have been added to; 0 and 1 stay what they are."""
    if not added or not 0.0 < risk < 1.0:
        return risk
    odds = risk / (1.0 - risk) * math.exp(added)
    return odds / (1.0 + odds)


def _abroad(plain: str, locale: str | None) -> bool:
    """Whether a number in international form is of another country than the locale's region; False where unknown."""
    parts = re.split("[-_]", locale or "")[1:]
    region = next((part.upper() for part in parts if len(part) == 2 and part.isalpha()), "")
    home = _CALLING_CODES.get(region)
    international = plain.removeprefix("+") if plain.startswith("+") else plain.removeprefix("00")
    if home is None or international == plain:
        return False
    return not international.startswith(home)
