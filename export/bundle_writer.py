"""From a checkpoint and validation rows to the finished bundle: folder and zip."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from forewarn.export import gate
from forewarn.export.calibrate import Calibration, allowed_leaves, coarse_loss, fit_calibration, operating_points
from forewarn.export.held_out import held_out, on_public_text
from forewarn.export.model_card import before_and_after, data_sources, render_model_card
from forewarn.export.onnx_model import (
    OPSET,
    Checkpoint,
    encode,
    export_onnx,
    milliseconds_per_message,
    open_session,
    predict,
    require_standard_operators,
)
from forewarn.export.quantize import Candidate, candidates
from forewarn.export.vectors import write_vectors
from forewarn.inference.bundle import FORMAT, MANIFEST, Bundle
from forewarn.inference.errors import ForewarnError, GateError
from forewarn.training.data.rows import Row
from forewarn.training.ngrams import WithNgrams

_CALIBRATION_ROWS = 200  # for the static candidate's activation ranges
_BATCH_SHIFT_ROWS = 200
# Candidates this close to the smallest count as equally small: verdicts that are the same alone, in a batch, in a cache
# and on every client are worth a megabyte.
_EQUAL_SIZE = 1.1


@dataclass(frozen=True)
class Tried:
    """What one quantisation candidate measured."""

    candidate: Candidate
    path: Path
    logits: np.ndarray
    report: gate.GateReport
    megabytes: float
    milliseconds: float
    batch_shift: float

    @property
    def rank(self) -> tuple[bool, float]:
        """Among equal sizes, first one whose logits do not depend on the batch, then the faster."""
        return self.batch_shift > 1e-3, self.milliseconds

    def to_dict(self) -> dict[str, Any]:
        """The row of the model card's table."""
        return {
            "name": self.candidate.name,
            "megabytes": self.megabytes,
            "auroc": self.report.auroc_after,
            "auroc_move": self.report.auroc_move,
            "recall_move": self.report.worst_recall_move,
            "overall_recall_move": self.report.overall.move,
            "milliseconds": self.milliseconds,
            "batch_shift": self.batch_shift,
            "gate": "fails" if self.report.failures else "passes",
        }


def export_bundle(
    checkpoint: Path,
    out: Path,
    validation: list[Row],
    version: str,
    test: Sequence[Row] = (),
    evaluation: dict[str, Any] | None = None,
    before: dict[str, Any] | None = None,
    public: Sequence[Row] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Export a checkpoint as an int8 bundle at `out`, and the same as `out`.zip.

    Args:
        checkpoint: folder that `forewarn train` wrote.
        out: the bundle's folder; an existing bundle there is replaced once the new one is complete, unless it holds
            another model under the same version.
        validation: rows to choose, calibrate and gate on.
        version: the model's version, as in "2026.11.0".
        test: rows that nothing is chosen on, for the card's figures of the finished model; none leaves them out.
        evaluation: `forewarn evaluate`'s report, for the model card.
        before: the report of the previous version on the same rows, for the card's before-and-after table.
        public: held-out `public_rows`, for the card's figures of it; none leaves them out.
        progress: called with a line for each step.

    Returns:
        {"manifest": ..., "chosen": name, "tried": [measures of each candidate], "vectors": how many}.

    Raises:
        ForewarnError: the checkpoint, the rows or the place to write are unusable.
        GateError: no int8 candidate stays close enough to the float model.
    """
    if not validation:
        raise ForewarnError("no validation rows; run `forewarn data build` first")
    if out.exists() and not (out / "manifest.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ForewarnError(f"{out}: exists and is not a bundle; choose another --out")
    source = Checkpoint.load(checkpoint)
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        tried, best = _choose(source, validation, work, progress)
        _refuse_another(out, version, best.path)
        staged = work / "bundle"
        staged.mkdir()
        manifest, vectors = _fill(staged, source, validation, test, public, version, evaluation, before, tried, best)
        Bundle.open(staged)
        write_zip(staged, work / "bundle.zip")
        if out.exists():
            out.rename(work / "replaced")
        staged.rename(out)
        (work / "bundle.zip").replace(out.with_name(f"{out.name}.zip"))
    finally:
        if (work / "replaced").exists() and not out.exists():
            (work / "replaced").rename(out)
        shutil.rmtree(work, ignore_errors=True)
    return {
        "manifest": manifest,
        "chosen": best.candidate.name,
        "tried": [x.to_dict() for x in tried],
        "vectors": vectors,
    }


def free_version(today: date, out: Path, shipped: Path) -> str:
    """Year, month and the first number after those that the bundles at `out` and `shipped` have of this month.

    Beside the shipped bundle `out` counts alone: the bundles of one release have one number.
    """
    folders = [out] if out.resolve().parent == shipped.resolve().parent else [out, shipped]
    month = f"{today.year}.{today.month}"
    versions = [str(manifest["version"]) for manifest in map(_manifest, folders) if manifest]
    used = [int(found[1]) for found in (re.fullmatch(rf"{re.escape(month)}\.(\d+)", v) for v in versions) if found]
    return f"{month}.{max(used, default=-1) + 1}"


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # no bundle, or a damaged one, which may be replaced
    return manifest if isinstance(manifest, dict) and "version" in manifest else None


def _refuse_another(out: Path, version: str, model: Path) -> None:
    """Refuse to put another model in a bundle's place under its version: whoever has that version must be able to tell.

    Raises:
        ForewarnError: `out` holds this version with another model.
    """
    there = _manifest(out)
    if there is None or there["version"] != version:
        return
    known = there.get("files", {}).get("model.onnx", {}).get("sha256")
    if known != hashlib.sha256(model.read_bytes()).hexdigest():
        raise ForewarnError(f"{out} holds another model as version {version}; give --version, or another --out")


def _choose(
    source: Checkpoint, rows: Sequence[Row], work: Path, progress: Callable[[str], None]
) -> tuple[list[Tried], Tried]:
    """Write and measure the float model and every candidate; returns all of them and the one to ship."""
    float_path = work / "float.onnx"
    export_onnx(source, float_path)
    ids = encode(source, [row.text for row in rows])
    progress(f"float model written and equal to torch; measuring int8 candidates on {len(rows)} rows")
    reference = predict(open_session(float_path), ids, source.pad_id)
    before = Calibration().risk(reference, source.taxonomy)
    order = np.random.default_rng(0).permutation(len(ids))

    def measure(candidate: Candidate, path: Path) -> Tried:
        session = open_session(path)
        logits = reference if path == float_path else predict(session, ids, source.pad_id)
        report = gate.compare(rows, before, Calibration().risk(logits, source.taxonomy), source.taxonomy)
        some = order[:_BATCH_SHIFT_ROWS]
        alone = predict(session, [ids[i] for i in some], source.pad_id, batch=1)
        result = Tried(
            candidate,
            path,
            logits,
            report,
            path.stat().st_size / 1e6,
            milliseconds_per_message(path, ids, source.pad_id),
            float(np.abs(alone - logits[some]).max()),
        )
        progress(
            f"{candidate.name}: {result.megabytes:.2f} MB, AUROC {report.auroc_move:+.4f}, "
            f"recall {100 * report.overall.move:+.1f} points ({100 * report.worst_recall_move:+.1f} in the language "
            f"that moves most), {result.milliseconds:.2f} ms"
        )
        return result

    tried = [measure(Candidate("float", False, lambda *_: None), float_path)]
    for number, candidate in enumerate(candidates([ids[i] for i in order[:_CALIBRATION_ROWS]], source.pad_id)):
        path = work / f"candidate{number}.onnx"
        candidate.write(float_path, path)
        require_standard_operators(onnx.load(path))
        tried.append(measure(candidate, path))
    eligible = [x for x in tried if x.candidate.int8_embeddings]
    passing = [x for x in eligible if not x.report.failures]
    if not passing:
        # Name what the least bad one breaks; the others break more.
        nearest = min(eligible, key=lambda x: (len(x.report.failures), abs(x.report.auroc_move)))
        raise GateError(f"no int8 candidate passes; {_reason(nearest)}")
    limit = _EQUAL_SIZE * min(x.megabytes for x in passing)
    best = min((x for x in passing if x.megabytes <= limit), key=lambda x: x.rank)
    for change in best.report.languages:
        note = "" if change.gated else f" (not gated: {change.positives} scams, {change.negatives} others)"
        progress(f"  {change.language}: recall around 1 % {change.before:.3f} -> {change.after:.3f}{note}")
    return tried, best


def _reason(tried: Tried) -> str:
    return f"the nearest, {tried.candidate.name}: {'; '.join(tried.report.failures)}"


def _fill(
    folder: Path,
    source: Checkpoint,
    rows: Sequence[Row],
    test: Sequence[Row],
    public: Sequence[Row],
    version: str,
    evaluation: dict[str, Any] | None,
    before: dict[str, Any] | None,
    tried: Sequence[Tried],
    best: Tried,
) -> tuple[dict[str, Any], int]:
    """Write every file of the bundle; returns the manifest and how many golden vectors there are."""
    labels = [row.label for row in rows]
    allowed = allowed_leaves(labels, source.taxonomy)
    calibration = fit_calibration(best.logits, labels, source.taxonomy)
    points = operating_points(calibration.risk(best.logits, source.taxonomy), rows, source.taxonomy)

    def probabilities(messages: Sequence[Row]) -> np.ndarray:
        ids = encode(source, [row.text for row in messages])
        logits = predict(open_session(best.path), ids, source.pad_id)
        return np.exp(calibration.log_probabilities(logits, source.taxonomy))

    named = source.info.get("sources")
    sources = data_sources(set(named) if named else None)

    shutil.copyfile(best.path, folder / "model.onnx")
    source.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    forewarnings = (files("forewarn.inference") / "forewarnings.json").read_bytes()
    (folder / "forewarnings.json").write_bytes(forewarnings)
    card = render_model_card(
        version=version,
        taxonomy=source.taxonomy,
        max_length=source.max_length,
        opset=OPSET,
        architecture=describe(source),
        languages=sorted({row.language.split("-")[0] for row in rows} - {"und", "mul"}),
        sources=sources,
        sources_assumed=not named,
        pretraining=source.info.get("pretraining"),
        taught=source.info.get("taught", False),
        tried=[x.to_dict() for x in tried],
        chosen=best.candidate.name,
        gate=best.report,
        sample=len(rows),
        limits={
            "auroc": gate.MAX_AUROC_MOVE,
            "recall": gate.MAX_RECALL_MOVE,
            "overall_recall": gate.MAX_OVERALL_RECALL_MOVE,
            "positives": gate.MIN_POSITIVES,
            "negatives": gate.MIN_NEGATIVES,
        },
        rows=len(rows),
        calibration=calibration,
        loss_before=coarse_loss(Calibration().log_probabilities(best.logits, source.taxonomy), allowed),
        loss_after=coarse_loss(calibration.log_probabilities(best.logits, source.taxonomy), allowed),
        operating_points=points,
        held_out=held_out(probabilities(test), test, points, source.taxonomy) if test else None,
        public_text=on_public_text(probabilities(public), public, points, source.taxonomy) if public else None,
        public_text_rows=source.info.get("public_text_rows", 0),
        evaluation=evaluation,
        comparison=before_and_after(before, evaluation) if before and evaluation else "",
    )
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8", newline="\n")
    manifest = {
        "format": FORMAT,
        "version": version,
        "labels": source.taxonomy.to_dict(),
        "max_length": source.max_length,
        "pad_id": source.pad_id,
        "calibration": calibration.to_dict(),
        "operating_points": points,
        "sources": [{"name": x["name"], "licence": x.get("licence", "")} for x in sources],
        "licence": "Apache-2.0",
        "quantisation": best.candidate.name,
    }
    # The vectors come from the bundle itself, so it is first completed without them.
    write_manifest(folder, manifest)
    count = write_vectors(folder, folder / "vectors.jsonl")
    return write_manifest(folder, manifest), count


def describe(source: Checkpoint) -> str:
    """The encoder in a few words, with its number of weights."""
    config = source.model.config
    weights = sum(x.numel() for x in source.model.parameters())
    branch = " with a linear branch on pieces and pairs of pieces" if isinstance(source.model, WithNgrams) else ""
    return (
        f"{config.model_type}, {config.num_hidden_layers} layers of {config.hidden_size}, "
        f"{config.vocab_size} pieces{branch}, {weights / 1e6:.1f} million weights"
    )


def write_manifest(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write `manifest.json` with size and sha256 of every other file of the folder; returns its content."""
    contents = {x.name: x.read_bytes() for x in sorted(folder.iterdir()) if x.name != "manifest.json"}
    listed = {name: {"sha256": hashlib.sha256(x).hexdigest(), "bytes": len(x)} for name, x in contents.items()}
    complete = manifest | {"files": listed}
    text = json.dumps(complete, ensure_ascii=False, indent=1) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8", newline="\n")
    return complete


def write_zip(folder: Path, target: Path) -> None:
    """Zip a bundle folder; the same files always give the same bytes (order, dates and rights are fixed)."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            info = zipfile.ZipInfo(path.name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, path.read_bytes())
