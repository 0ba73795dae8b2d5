"""Errors that a person can act on: one line each, with the exit code of the command line."""

from __future__ import annotations


class ForewarnError(Exception):
    """Wrong use or unreadable input (exit code 2). The message is one line: what is wrong, where, what to do."""

    exit_code = 2


class BundleError(ForewarnError):
    """A damaged or foreign bundle (exit code 3)."""

    exit_code = 3


class GateError(ForewarnError):
    """A quality gate that did not pass (exit code 4)."""

    exit_code = 4


class MissingExtraError(ForewarnError):
    """A command or format needs an extra that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra that is not installed: pip install 'forewarn[{extra}]'")
