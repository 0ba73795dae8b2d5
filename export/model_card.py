"""MODEL_CARD.md of a bundle, from a template and what the export measured."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jinja2
from forewarn.inference.errors import ForewarnError


def data_sources(names: set[str] | None = None) -> list[dict[str, Any]]:
    """The `source.json` of every data card (or of those named), by name."""
    found = []
    for folder in files("forewarn.data_cards").iterdir():
        source = folder / "source.json"
        if source.is_file() and (names is None or folder.name in names):
            found.append({"name": folder.name} | json.loads(source.read_text(encoding="utf-8")))
    return sorted(found, key=lambda x: x["name"])


def render_model_card(**context: Any) -> str:
    """Fill `model_card.md.j2`; a value that the template needs and does not get is an error."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["tables"] = evaluation_tables
    environment.filters["cell"] = cell
    source = (files("forewarn.export") / "model_card.md.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(**context)


def evaluation_tables(evaluation: dict[str, Any], title: str = "", depth: int = 3) -> list[tuple[str, str]]:
    """Title and Markdown table of every `overall`, `by_*` and `per_*` section of a report, however deep."""
    found = []
    for key, value in evaluation.items():
        if not value or not isinstance(value, (dict, list)):
            continue
        path = f"{title} {key.replace('_', ' ')}".strip()
        if key == "overall" and isinstance(value, dict):
            # One set of measures, or one for each model.
            groups = value if all(isinstance(x, dict) and _flat(x) for x in value.values()) else {"all rows": value}
            found.append((path, metric_table(groups, "test rows")))
        elif key.startswith(("by_", "per_")) and _is_groups(value):
            found.append((path, metric_table(value, key.partition("_")[2])))
        elif isinstance(value, dict) and depth:
            found += evaluation_tables(value, path, depth - 1)
    return found


def before_and_after(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Markdown table: recall of scams at 1 % false alarms and AUROC of the model in two reports, a language a row.

    Raises:
        ForewarnError: the reports were not measured on the same number of rows.
    """
    if before.get("rows") != after.get("rows"):
        raise ForewarnError(
            f"--before was measured on {before.get('rows')} rows and --evaluation on {after.get('rows')}; "
            "run `forewarn evaluate` for both on the same data"
        )
    lines = [
        "| language | scams | others | recall before | recall after | AUROC before | AUROC after |",
        "|---|---|---|---|---|---|---|",
    ]
    old, new = (report["conditions"]["clean"]["model"] for report in (before, after))
    slices = {"all": (old["overall"], new["overall"])}
    slices |= {name: (old["by_language"].get(name, {}), found) for name, found in new["by_language"].items()}
    for name, (first, second) in slices.items():
        scam = second["scam"]
        if scam["auroc"] is None:
            continue
        figures = []
        for measure in ("recall", "auroc"):
            for part in (first.get("scam", {}), scam):
                figure = part.get("recall_at_fpr", {}).get("0.01") if measure == "recall" else part.get("auroc")
                figures.append("–" if figure is None else f"{figure['value']:.3f}")
        lines.append("| " + " | ".join([name, str(scam["positives"]), str(scam["negatives"]), *figures]) + " |")
    return "\n".join(lines)


def _is_groups(value: dict[str, Any] | list[Any]) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return all(isinstance(x, dict) for x in items)


def cell(value: Any) -> str:
    """One table cell: short numbers, no characters that end the cell."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    if isinstance(value, dict):
        # A measure with its interval: {"value": .., "low": .., "high": ..}
        inner = [cell(x) for x in value.values() if isinstance(x, (int, float))]
        return inner[0] + (f" ({'–'.join(inner[1:])})" if len(inner) > 1 else "") if inner else "–"
    if isinstance(value, (list, tuple)):
        return "–".join(cell(x) for x in value)
    return str(value).replace("|", "\\|").replace("\n", " ")


def metric_table(groups: dict[str, dict[str, Any]] | list[dict[str, Any]], first: str) -> str:
    """A Markdown table with a row a group and a column a measure, whatever the measures are called.

    Args:
        groups: name -> measures, or a list of measures that hold their name under `first`.
        first: heading of the first column.
    """
    if isinstance(groups, list):
        groups = {str(x.get(first, i)): {k: v for k, v in x.items() if k != first} for i, x in enumerate(groups)}
    rows = {name: _flat(measures) for name, measures in groups.items() if isinstance(measures, dict)}
    columns = list(dict.fromkeys(column for measures in rows.values() for column in measures))
    lines = [
        "| " + " | ".join([first, *(x.replace("_", " ") for x in columns)]) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    lines += [
        "| " + " | ".join([cell(name), *(cell(measures.get(x)) for x in columns)]) + " |"
        for name, measures in rows.items()
    ]
    return "\n".join(lines)


def _flat(measures: dict[str, Any]) -> dict[str, Any]:
    """Measures without nested sections (curves, bins), which belong to the report and not to a card."""
    flat: dict[str, Any] = {}
    for name, value in measures.items():
        is_interval = isinstance(value, dict) and value and all(isinstance(x, (int, float)) for x in value.values())
        is_pair = isinstance(value, (list, tuple)) and len(value) == 2
        if value is None or isinstance(value, (int, float, str)) or is_pair or (is_interval and len(value) <= 3):
            flat[name] = value
    return flat
