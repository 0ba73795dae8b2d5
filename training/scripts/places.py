"""`places.yaml`: what money, names and institutions are like in each place that scripts come from."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def places() -> dict[str, dict[str, Any]]:
    """Region -> currency, price level and local names; `default` for what a region lacks."""
    text = (files("forewarn.training") / "scripts" / "places.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return loaded


@cache
def regions() -> tuple[str, ...]:
    """The countries that can fill slots (the other keys are defaults, and languages within a country)."""
    return tuple(sorted(key for key in places() if len(key) == 2))
