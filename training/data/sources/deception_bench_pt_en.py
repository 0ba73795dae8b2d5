"""Synthetic scam messages in Brazilian Portuguese and US English, expanded from seeds after official warnings.

Placeholders such as `[MALICIOUS_URL]` are filled with invented values, chosen by a checksum of the row's id, so that
the placeholder is no tell and every build gives the same text. Host names carry a hash, so that they belong to nobody.
"""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "deception_bench_pt_en"

# Seed codes (EN-IRS-001 -> "IRS") are finer than attack_type. A code that is absent here holds several tricks.
_SEED_LEAF = {
    "IRS": "tax_rebate|authority_impersonation",
    "SSA": "authority_impersonation|tax_rebate",
    "MED": "authority_impersonation|tax_rebate",
    "FBI": "authority_impersonation",
    "JURY": "authority_impersonation",
    "USPS": "parcel_delivery",
    "FEDEX": "parcel_delivery",
    "AMZ": "account_takeover|refund_service|prize|parcel_delivery",
    "GP": "relative_in_trouble",
    "TECH": "account_takeover|refund_service",
    "TECHSUP": "account_takeover|refund_service",
    "CHASE": "bank_alert",
    "BOA": "bank_alert",
    "WELLS": "bank_alert",
    "ZELLE": "bank_alert|marketplace",
    "PIG": "investment|romance",
    "ROM": "romance",
    "DATING": "romance|extortion",
    "SUGAR": "romance|extortion|prize",
    "SEXTORTION": "extortion|romance",
    "JOB": "job_offer",
    "FAKEJOB": "job_offer",
    "UTIL": "bill_or_fine",
    "BOLETO": "bill_or_fine",
    "LOT": "prize",
    "LOTTERY": "prize",
    "INHERIT": "prize",
    "KIDNAP": "relative_in_trouble|extortion",
    "URG": "relative_in_trouble|extortion",
    "CARD": "bank_alert|marketplace",
    "CALLCENTER": "bank_alert",
    "MOTOBOY": "bank_alert",
    "CRYPTO": "investment",
    "CRYPTO2": "investment",
    "PYRAMID": "investment|job_offer",
    "TICKET": "marketplace",
    "RENTAL": "marketplace",
    "TEMPRENT": "marketplace",
    "PET": "marketplace",
    "VEHICLE": "marketplace",
    "ECOM": "marketplace",
    "FAKESTORE": "marketplace",
    "COUNTERFEIT": "marketplace|illicit_offer",
    "FAKEMEDS": "marketplace|illicit_offer",
    "CHARITY": "marketplace",
    "MILES": "marketplace|account_takeover|prize",
}
# "LOAN" is student-loan relief in the English seeds and loan offers in the Portuguese ones, so it stays coarse, as do
# families like phishing, impersonation and financial_fraud.
_ATTACK_LEAF = {
    "bank_impersonation": "bank_alert",
    "romance_scam": "romance",
    "job_scam": "job_offer|marketplace",
    "tech_support": "account_takeover|refund_service",
    "delivery_scam": "parcel_delivery|refund_service|marketplace",
    "family_emergency": "relative_in_trouble|extortion",
    "government_impersonation": "authority_impersonation|tax_rebate",
    "financial_fraud": "scam",
    "phishing": "scam",
    "impersonation": "scam",
}
_CALL = {"phone", "telefone", "voicemail", "phone call", "ligação"}
_SMS = {"sms", "text message", "generic"}

# A mark at the start that names the medium or the speaker and is no part of the message.
_MARK_NAMES = """
email|alert|voicemail|site|notification|sms|text message|phone call|dm|whatsapp|dm instagram|mensagem|telegram
ligação|entregador|anúncio|stories|stories falso|motoboy|email falso|email falso stf|email falso instagram
falso atendente|central falsa|site falso|site clone|pop-up|post hackeado|dm de perfil clonado
mensagem que contatos recebem|do golpista para contatos|para vendedor|para comprador|promoção|panfleto|choro
voz desesperada|voz grave|variante|número oficial|ligação do banco|ticket falso|ong falsa|falso ajudante
live falsa|app falso|ameaça
"""
_MARKS = frozenset(re.split(r"[|\n]", _MARK_NAMES.strip()))
_LEADING = re.compile(r"^\s*\[([^\[\]]+)\]\s*:?\s*")
_BRACKET = re.compile(r"\[[^\[\]]*\]")

_HOST_WORDS = {
    "pt": re.split(" ", "acesso conta cliente seguro atendimento regularize consulta central entrega suporte oferta"),
    "en": re.split(" ", "account secure verify client support portal update service claim login billing"),
}
_TLDS = ("com", "net", "info", "top", "xyz", "online", "site", "app", "com.br")
_PEOPLE = {
    "pt": ["Marcos Lima", "Ana Souza", "Carlos Prado", "Juliana Reis", "Paulo Nunes", "Beatriz Alves"],
    "en": ["Daniel Moore", "Sarah Ellis", "Kevin Grant", "Laura Bennett", "James Porter", "Emily Stone"],
}
_COMPANIES = {"pt": ["Norte Sul", "Prima", "Alvorada", "Vitória"], "en": ["Northgate", "Lakeside", "Summit", "Redwood"]}
_PLACES = {"pt": ["Recife", "Campinas", "Curitiba", "Santos"], "en": ["Springfield", "Franklin", "Clayton", "Madison"]}
_THINGS = {"pt": ["geladeira", "bicicleta", "celular", "sofá"], "en": ["bike", "couch", "laptop", "desk"]}


def _fill(mark: str, language: str, seed: int) -> str | None:
    """The invented value for a placeholder, or None where the bracket is no known placeholder."""
    digits = str(10**9 + seed % 10**9)
    words = _HOST_WORDS[language]
    if mark in ("MALICIOUS_URL", "URL CLONADA", "SITE FALSO"):
        first, second = words[seed % len(words)], words[seed // 11 % len(words)]
        separator = ("-", ".", "")[seed // 7 % 3]
        host = f"{first}{separator}{second}-{seed & 0xFFFFF:05x}.{_TLDS[seed // 131 % len(_TLDS)]}"
        return ("https://", "http://", "", "www.")[seed // 17 % 4] + host + ("", "/", f"/{digits[-4:]}")[seed // 19 % 3]
    choices = {
        "SENDER_NAME": _PEOPLE,
        "TARGET_NAME": _PEOPLE,
        "COMPANY": _COMPANIES,
        "EMPRESA FAMOSA": _COMPANIES,
        "LOCATION": _PLACES,
        "item": _THINGS,
        "ELETRÔNICO": _THINGS,
    }
    if mark in choices:
        values = choices[mark][language]
        return values[seed % len(values)]
    if mark in ("AMOUNT", "VALOR", "VALOR BAIXO"):
        amount = 40 + seed % 960
        return f"R$ {amount}" if language == "pt" else f"{amount}"
    if mark in ("PHONE_NUMBER", "NÚMERO", "NÚMERO_FALSO", "NOVO NÚMERO DO GOLPISTA"):
        # 555-01xx is kept free for fiction in North America; the Brazilian form has an area code that does not exist.
        return f"(20) 9{digits[-8:-4]}-{digits[-4:]}" if language == "pt" else f"1-{digits[-3:]}-555-01{digits[-5:-3]}"
    if mark == "ACCOUNT_INFO":
        return digits[-4:]
    if mark == "YEAR":
        return str(2021 + seed % 5)
    if mark == "DATE":
        return f"{1 + seed % 28:02d}/{1 + seed // 28 % 12:02d}"
    if mark in ("EMAIL", "CHAVE", "CHAVE_GOLPISTA", "CHAVE PIX"):
        return f"{words[seed % len(words)]}.{digits[-4:]}@{words[seed // 11 % len(words)]}-{seed & 0xFFFF:04x}.com"
    return None


def fill_placeholders(text: str, language: str, row_id: str) -> str | None:
    """The message with its placeholders filled, or None where stage directions remain, so that it is no message.

    Args:
        text: the content as published.
        language: "pt" or "en".
        row_id: what the choice of invented values hangs on.
    """
    for _ in range(2):
        leading = _LEADING.match(text)
        if leading and leading.group(1).lower() in _MARKS:
            text = text[leading.end() :]
    failed = False

    def value(match: re.Match[str]) -> str:
        nonlocal failed
        # One value a mark and row: a message names the same person and address throughout.
        mark = match.group()[1:-1]
        filled = _fill(mark, language, zlib.crc32(f"{row_id}/{mark}".encode()))
        failed = failed or filled is None
        return filled or ""

    filled = _BRACKET.sub(value, text).strip()
    if len(filled) > 2 and filled[0] == filled[-1] == "'" and filled.count("'") == 2:
        filled = filled[1:-1].strip()
    return None if failed or not filled else filled


def _label(seed_id: str, attack: str | None) -> str | None:
    parts = seed_id.split("-")
    if len(parts) == 3 and parts[1] in _SEED_LEAF:
        return _SEED_LEAF[parts[1]]
    return "scam" if attack is None else _ATTACK_LEAF.get(attack)


def _channel(platform: str, text: str) -> str:
    leading = _LEADING.match(text)
    names = {platform.lower(), leading.group(1).lower() if leading else ""}
    if names & _CALL:
        return "call"
    return "sms" if names & _SMS else "chat"


def _add(loaded: Loaded, line: str, row_id: str, seed_id: str, attack: str | None, platform: str, text: Any) -> None:
    """Add one message, or the reason why it is none."""
    language = "pt" if seed_id.startswith("BR") else "en"
    label = _label(seed_id, attack)
    filled = fill_placeholders(text, language, row_id) if isinstance(text, str) and text.strip() else None
    if label is None:
        reason = "unknown attack_type"
    elif not isinstance(text, str) or not text.strip():
        reason = "empty text"
    elif filled is None:
        reason = "stage directions, not a message"
    else:
        tag = "pt-BR" if language == "pt" else "en-US"
        group = f"{NAME}:{seed_id}" if seed_id else ""
        loaded.rows.append(Row(filled, label, tag, _channel(platform, text), "synthetic", NAME, group, line))
        return
    loaded.rejected.append(Rejected(NAME, line, reason))


def _read_seeds(file: Path) -> list[dict[str, Any]] | None:
    try:
        seeds = json.loads(file.read_text(encoding="utf-8"))["seeds"]
        return [seed for seed in seeds if isinstance(seed, dict)]
    except (ValueError, KeyError, TypeError):
        return None


def _without_flag(text: Any, flags: tuple[str, ...]) -> Any:
    """Cut a red flag ("asks for a fee") that the generator put after the link: it speaks about the scam, not in it."""
    if not isinstance(text, str):
        return text
    head, link, tail = text.rpartition("[MALICIOUS_URL]")
    return head + link if link and tail.strip() in flags else text


def _load_seeds(loaded: Loaded, path: str, seeds: list[dict[str, Any]]) -> None:
    for index, seed in enumerate(seeds, start=1):
        seed_id = str(seed.get("id") or seed.get("seed_id") or "")
        messages = [seed["content"]] if "content" in seed else seed.get("example_messages") or []
        for number, text in enumerate(messages, start=1):
            # The seed's place in the list stands for its line: the file is one JSON document.
            _add(loaded, f"{path}:{index}", f"{seed_id}/{number}", seed_id, None, str(seed.get("platform") or ""), text)


def load(files: dict[str, Path]) -> Loaded:
    """Read the generated JSON lines and the messages that the seed files hold."""
    loaded = Loaded()
    flags: dict[str, tuple[str, ...]] = {}
    generated: list[tuple[str, Path]] = []
    for path, file in files.items():
        if not path.endswith(".json"):
            generated.append((path, file))
            continue
        seeds = _read_seeds(file)
        if seeds is None:
            loaded.rejected.append(Rejected(NAME, f"{path}:1", "not a seeds file"))
            continue
        _load_seeds(loaded, path, seeds)
        flags |= {str(seed.get("seed_id")): tuple(map(str, seed.get("red_flags") or ())) for seed in seeds}
    for path, file in generated:
        # Only "\n" ends a record; splitlines would also cut at separators inside a message.
        for number, raw in enumerate(file.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
            if not raw.strip():
                continue
            line = f"{path}:{number}"
            try:
                record = json.loads(raw)
                seed_id = str(record["source"]).split(":")[1]
                attack, platform, text = record["attack_type"], record.get("platform") or "", record["content"]
                row_id = str(record["id"])
            except (ValueError, KeyError, IndexError, TypeError):
                loaded.rejected.append(Rejected(NAME, line, "not a record of this benchmark"))
                continue
            text = _without_flag(text, flags.get(seed_id, ()))
            _add(loaded, line, row_id, seed_id, str(attack), str(platform), text)
    return loaded
