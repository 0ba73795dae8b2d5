"""`forewarn keys`: make, list and revoke the keys of the HTTP service."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from forewarn.inference.errors import ForewarnError
from forewarn.inference.service.app import CONFIG_VARIABLE
from forewarn.inference.service.keys import SCOPES, Key, new_key
from forewarn.inference.service.keys_store import KeyStore, open_store
from forewarn.inference.service.settings import PREFIX, load_settings

_VARIABLE = f"{PREFIX}KEYS"


def main(argv: Sequence[str]) -> int:
    """Run one of the subcommands; returns 0.

    Raises:
        ForewarnError: wrong use, an unknown key, or a store that cannot be used.
    """
    args = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace, KeyStore], None] = args.run
    store = _store(args.store)
    try:
        run(args, store)
    finally:
        store.close()
    return 0


def _store(given: str | None) -> KeyStore:
    config = os.environ.get(CONFIG_VARIABLE)
    url = given or load_settings(Path(config) if config else None).keys
    if not url:
        raise ForewarnError(f"no store of keys: give --store sqlite:///keys.db, or set {_VARIABLE}")
    return open_store(url)


def _add(args: argparse.Namespace, store: KeyStore) -> None:
    key, token = new_key(args.name, args.scope or ["score"], args.per_minute)
    store.add(key)
    # Alone on standard output, for whoever pipes it into a vault.
    print(token)
    print(f"key {key.id}: {_allows(key)}; it is shown this once and stored nowhere", file=sys.stderr)


def _list(args: argparse.Namespace, store: KeyStore) -> None:
    head = ("ID", "NAME", "ALLOWS", "CREATED", "REVOKED")
    rows = [head, *((x.id, x.name, _allows(x), x.created, x.revoked or "-") for x in store.all())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _revoke(args: argparse.Namespace, store: KeyStore) -> None:
    if not store.revoke(args.id):
        # What was given is not repeated: it may be a whole key.
        raise ForewarnError("no key has this ID; `forewarn keys list` shows the IDs, of 12 characters")
    print(f"{args.id}: revoked; running services know within keys_refresh_s seconds")


def _allows(key: Key) -> str:
    rate = "any number of messages" if key.per_minute is None else f"{key.per_minute} messages a minute"
    return f"{', '.join(key.scopes)}, {rate}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="forewarn keys", description="Keys of the HTTP service.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    stored = argparse.ArgumentParser(add_help=False)
    urls = "sqlite:///PATH, postgresql://HOST/DATABASE or redis://HOST"
    stored.add_argument("--store", metavar="URL", help=f"{urls} (default: ${_VARIABLE})")

    add = commands.add_parser("add", parents=[stored], help="make a key, and show it this once")
    add.add_argument("name", metavar="NAME", help="whose it is")
    scopes = "what it is for; may be given several times (default: score)"
    add.add_argument("--scope", action="append", choices=SCOPES, help=scopes)
    add.add_argument("--per-minute", type=int, metavar="N", help="messages a minute (default: no limit)")
    add.set_defaults(run=_add)

    show = commands.add_parser("list", parents=[stored], help="every key, without its secret")
    show.set_defaults(run=_list)

    revoke = commands.add_parser("revoke", parents=[stored], help="make a key useless")
    revoke.add_argument("id", metavar="ID", help="from `forewarn keys list`")
    revoke.set_defaults(run=_revoke)
    return parser
