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


def evaluation_tables(evaluation: dict[str, Any]) -> list[tuple[str, str]]:
    """Title and Markdown table of each part of an evaluation report: overall, by language, source and leaf.

    Raises:
        ForewarnError: it is not a report of `forewarn evaluate`.
    """
    try:
        return [
            ("All rows", _overall_table(evaluation)),
            ("By language", _slice_table(evaluation, "by_language", "language")),
            ("By source", _slice_table(evaluation, "by_source", "source")),
            ("By leaf", _leaf_table(evaluation)),
            ("Honest messages flagged, by language and leaf", _honest_table(evaluation)),
        ]
    except (KeyError, TypeError, AttributeError):
        raise ForewarnError("the evaluation report is not one of `forewarn evaluate`; run it again") from None


def _overall_table(evaluation: dict[str, Any]) -> str:
    rows = []
    for condition, systems in evaluation["conditions"].items():
        for system, report in systems.items():
            scam, unwanted, leaf = (report["overall"][part] for part in ("scam", "unwanted", "leaf"))
            rows.append(
                [
                    f"{system}, {condition}",
                    scam["positives"],
                    scam["negatives"],
                    scam["recall_at_fpr"]["0.001"],
                    scam["recall_at_fpr"]["0.01"],
                    scam["auroc"],
                    unwanted["average_precision"],
                    leaf["accuracy"],
                    leaf["macro_f1"],
                    scam["ece"],
                ]
            )
    head = [
        "",
        "scams",
        "others",
        "recall at 0.1 %",
        "recall at 1 %",
        "AUROC",
        "average precision, unwanted against ham",
    ]
    return _table([*head, "leaf accuracy", "leaf macro F1", "ECE"], rows)


def _slice_table(evaluation: dict[str, Any], part: str, first: str) -> str:
    """Recall of scams at 1 % false alarms and AUROC of each system on each slice, clean and obfuscated."""
    columns = [(condition, system) for condition, systems in evaluation["conditions"].items() for system in systems]
    rows = []
    for name, found in evaluation["conditions"]["clean"]["model"][part].items():
        row = [name, found["scam"]["positives"], found["scam"]["negatives"]]
        for condition, system in columns:
            row.append(evaluation["conditions"][condition][system][part][name]["scam"]["recall_at_fpr"]["0.01"])
        for system in evaluation["conditions"]["clean"]:
            row.append(evaluation["conditions"]["clean"][system][part][name]["scam"]["auroc"])
        rows.append(row)
    head = [f"recall, {system}" + ("" if condition == "clean" else f", {condition}") for condition, system in columns]
    head += [f"AUROC, {system}" for system in evaluation["conditions"]["clean"]]
    return _table([first, "scams", "others", *head], rows)


def _leaf_table(evaluation: dict[str, Any]) -> str:
    systems = evaluation["conditions"]["clean"]
    rows = []
    for name, found in systems["model"]["by_leaf"].items():
        row = [name, found["positives"]]
        for report in systems.values():
            leaf = report["by_leaf"][name]
            row += [leaf["recall"] if found["verdict"] == "scam" else leaf["false_alarm_rate"], leaf["f1"]]
        rows.append(row)
    head = [column for system in systems for column in (f"flagged, {system}", f"F1, {system}")]
    return _table(["leaf", "rows", *head], rows)


def _honest_table(evaluation: dict[str, Any]) -> str:
    """How many honest messages of each leaf are flagged in each language, of how many; most cells hold few rows."""
    report = evaluation["conditions"]["clean"]["model"]
    leaves = [name for name, found in report["by_leaf"].items() if found["verdict"] != "scam"]
    rows = []
    for language, cells in report["honest_by_language"].items():
        counts = [cells.get(leaf) for leaf in leaves]
        rows.append([language, *(f"{x['flagged']} of {x['rows']}" if x else None for x in counts)])
    return _table(["language", *leaves], rows)


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *([cell(x) for x in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def before_and_after(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Markdown table: recall of scams at 1 % false alarms and AUROC of the model in two reports, a language a row.

    Raises:
        ForewarnError: the reports were not measured on the same rows.
    """
    for key in ("rows", "split", "data_fingerprint"):
        if before.get(key) != after.get(key):
            raise ForewarnError(
                f"--before and --evaluation were not measured on the same rows ({key} differs); "
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


def cell(value: Any) -> str:
    """One table cell: short numbers, no characters that end the cell."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.3f}"
    if isinstance(value, dict):
        # A figure with its interval: {"value": .., "low": .., "high": ..}
        if value["value"] is None:
            return "–"
        low, high = value.get("low"), value.get("high")
        return cell(value["value"]) + ("" if low is None or high is None else f" ({cell(low)}–{cell(high)})")
    return str(value).replace("|", "\\|").replace("\n", " ")
