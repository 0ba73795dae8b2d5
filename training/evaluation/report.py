"""The evaluation as files (JSON, and one HTML page that needs nothing else) and as a table for the terminal."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from forewarn.inference.errors import ForewarnError
from matplotlib.figure import Figure

COLOURS = {"model": "#0b6e99", "baseline": "#d98c3f"}
NONE = "–"


def write_report(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write evaluation.json and evaluation.html, each whole or not at all; returns their paths.

    Raises:
        ForewarnError: the folder cannot be written.
    """
    contents = {
        "evaluation.json": json.dumps(result, ensure_ascii=False, indent=1, allow_nan=False) + "\n",
        "evaluation.html": render_html(result),
    }
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            part = folder / f".{name}.{os.getpid()}.part"
            part.write_text(content, encoding="utf-8")
            os.replace(part, folder / name)
            paths.append(folder / name)
    except OSError as error:
        raise ForewarnError(f"{folder}: cannot write the report ({error.strerror}); choose another --out") from None
    return paths


def render_html(result: Mapping[str, Any]) -> str:
    """The page, with its style and plots inside."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = show
    template = (files("forewarn.training.evaluation") / "report.html.j2").read_text(encoding="utf-8")
    plots = {
        "ROC, false alarms on a logarithmic scale": _roc(result),
        "Reliability of the scam probability": _reliability(result),
        "Recall of scams at 1 % false alarms, by language": _recall_bars(result),
    }
    return environment.from_string(template).render(result=result, plots=plots)


def show(estimate: Mapping[str, float | None] | float | None, with_interval: bool = True) -> str:
    """A figure as text: "0.912 (0.890 to 0.931)", and a dash where there is none."""
    if estimate is None or isinstance(estimate, float | int):
        return NONE if estimate is None else f"{estimate:.3f}"
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    if value is None:
        return NONE
    if not with_interval or low is None or high is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def language_table(result: Mapping[str, Any]) -> str:
    """A language a row: rows, AUROC and recall at 1 % false alarms, clean and obfuscated, model beside baseline."""
    columns = [(condition, system) for condition in result["conditions"] for system in result["systems"]]
    head = ["language", "scam", "not scam"]
    for condition, system in columns:
        mark = system if condition == "clean" else f"{system}, obf."
        head += [f"AUROC {mark}", f"R@1% {mark}"]
    slices = {
        (condition, system): report["by_language"] | {"all": report["overall"]}
        for condition, systems in result["conditions"].items()
        for system, report in systems.items()
    }
    lines = [head]
    for language, figures in slices["clean", "model"].items():
        line = [language, str(figures["scam"]["positives"]), str(figures["scam"]["negatives"])]
        for column in columns:
            scam = slices[column][language]["scam"]
            line += [show(scam["auroc"], False), show(scam["recall_at_fpr"]["0.01"], False)]
        lines.append(line)
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def headline(result: Mapping[str, Any]) -> str:
    """Average precision over all rows, unwanted against ham, of each system: the one figure to compare models by."""
    figures = [
        f"{system} {show(report['overall']['unwanted']['average_precision'])}"
        for system, report in result["conditions"]["clean"].items()
    ]
    return f"average precision over all rows, unwanted against ham: {', '.join(figures)}"


def _roc(result: Mapping[str, Any]) -> str:
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    for condition, systems in result["conditions"].items():
        for system, report in systems.items():
            if report["roc"]["fpr"]:
                style = "-" if condition == "clean" else "--"
                label = f"{system}, {condition}"
                axes.plot(report["roc"]["fpr"], report["roc"]["recall"], style, color=COLOURS[system], label=label)
    for fpr in (0.001, 0.01):
        axes.axvline(fpr, color="#bbb", linewidth=0.8)
    axes.set(xscale="log", xlabel="false alarm rate", ylabel="recall of scams", ylim=(0, 1.02))
    return _png(figure)


def _reliability(result: Mapping[str, Any]) -> str:
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#bbb", linewidth=0.8)
    for system, report in result["conditions"]["clean"].items():
        x = [b["probability"] for b in report["reliability"]]
        y = [b["positives"] for b in report["reliability"]]
        if x:
            axes.plot(x, y, "o-", color=COLOURS[system], label=system)
    axes.set(xlabel="mean scam probability in the bin", ylabel="share of scams in the bin")
    return _png(figure)


def _recall_bars(result: Mapping[str, Any]) -> str:
    clean = result["conditions"]["clean"]
    found = {
        system: {
            language: figures["scam"]["recall_at_fpr"]["0.01"]
            for language, figures in report["by_language"].items()
            if figures["scam"]["recall_at_fpr"]["0.01"] is not None
        }
        for system, report in clean.items()
    }
    languages = list(found["model"])[::-1]
    figure = Figure(figsize=(7, 1.4 + 0.34 * max(len(languages), 1)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(found)
    for number, (system, estimates) in enumerate(found.items()):
        for place, language in enumerate(languages):
            e = estimates[language]
            y = place + 0.4 - height * (number + 0.5)
            axes.barh(y, e["value"], height, color=COLOURS[system], label=system if place == 0 else None)
            if e["low"] is not None:
                axes.plot([e["low"], e["high"]], [y, y], color="#222", linewidth=1)
    axes.set(xlim=(0, 1), ylim=(-0.6, max(len(languages), 1) - 0.4), xlabel="recall, with 95 % interval")
    axes.set_yticks(range(len(languages)), languages)
    return _png(figure)


def _png(figure: Figure) -> str:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper center", ncols=2, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
