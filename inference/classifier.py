"""From texts to verdicts with a bundle's int8 ONNX model, on the CPU, without torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from forewarn.inference import sender as sender_hint
from forewarn.inference.bundle import Bundle
from forewarn.inference.errors import BundleError, ForewarnError
from forewarn.inference.explain import Evidence, clean, explain_scam, forewarning_for
from forewarn.inference.labels import Taxonomy
from forewarn.inference.windows import frame, window_starts
from tokenizers import Encoding, Tokenizer

# A batch holds at most this many ids, padding included. Measured: with 8192, a text of a large batch took twice the CPU
# time, for padding and for values that no longer fit into the processor's caches; with 256, a little more again.
BATCH_TOKENS = 512
BATCH_TEXTS = 128
# Texts tokenised at a time; sorting by length happens among these. A few long ones are as many.
CHUNK = 2048
_CHUNK_CHARACTERS = 1 << 20


@dataclass(frozen=True)
class Verdict:
    """What the model says of one message.

    `risk` is the calibrated probability of scam, `type` the most probable leaf within the verdict and `type_score` its
    probability. `evidence` and `forewarning` are None unless an explanation was asked for (and `forewarning` stays None
    for a message that there is nothing to warn of).
    """

    verdict: str
    risk: float
    action: str
    type: str
    type_score: float
    levers: tuple[str, ...]
    model: str
    evidence: list[Evidence] | None = None
    forewarning: str | None = None

    def to_dict(self, id: str | int | None = None) -> dict[str, Any]:
        """The JSON object that the command line and the HTTP service answer with.

        Args:
            id: the message's id; left out of the object when None.
        """
        result: dict[str, Any] = {} if id is None else {"id": id}
        result |= {
            "verdict": self.verdict,
            "risk": round(self.risk, 6),
            "action": self.action,
            "type": self.type,
            "type_score": round(self.type_score, 6),
            "levers": list(self.levers),
            "model": self.model,
        }
        if self.evidence is not None:
            result["evidence"] = [dict(span) for span in self.evidence]
            result["forewarning"] = self.forewarning
        return result


@dataclass(frozen=True)
class _Read:
    """Of each text the logits (n, labels), whether it has nothing to read, and which of its windows decided."""

    logits: np.ndarray
    blank: list[bool]
    window: list[int]


class ScamClassifier:
    """A loaded bundle. Safe to share between threads; open one a process.

    Texts may be any Python strings: lone surrogates count as U+FFFD, NUL is dropped, and of a text longer than 4000
    characters the first 3000 and last 1000 are read. What has more than `max_length` ids is read in windows, of which
    the one with the highest risk decides. A text with nothing to read (empty, only spaces or invisible characters) is
    legitimate with risk 0.0, whatever the model.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        """Build the tokenizer and the ONNX session of a checked bundle; see `load` for the usual way in."""
        self.manifest: dict[str, Any] = bundle.manifest
        self.taxonomy: Taxonomy = bundle.taxonomy
        self.version: str = bundle.manifest["version"]
        self.max_length: int = bundle.manifest["max_length"]
        self._pad_id: int = bundle.manifest["pad_id"]
        self._temperature = float(bundle.manifest["calibration"]["temperature"])
        self._warn = float(bundle.manifest["operating_points"]["warn"]["threshold"])
        self._block = float(bundle.manifest["operating_points"]["block"]["threshold"])
        self._members = {verdict: self.taxonomy.indices(verdict) for verdict in self.taxonomy.verdicts}
        self._bias = np.zeros(len(self.taxonomy.leaves))
        self._bias[self._members["scam"]] = float(bundle.manifest["calibration"]["scam_bias"])
        self._forewarnings = _read_forewarnings(bundle)
        self._tokenizer = _read_tokenizer(bundle)
        self._before, self._after = frame(self._tokenizer)
        self._room = self.max_length - len(self._before) - len(self._after)
        self._special_tokens = [token.content for token in self._tokenizer.get_added_tokens_decoder().values()]
        self._session = _open_session(bundle, threads)

    @classmethod
    def load(
        cls, path: str | Path | None = None, threads: int | None = None, public_key: str | None = None
    ) -> ScamClassifier:
        """Open a bundle and make it ready to score.

        Args:
            path: a bundle folder or .zip; None is the bundle that ships with the package.
            threads: cores that one batch may use; None leaves it to ONNX Runtime.
            public_key: the Ed25519 key, in base64, that must have signed the bundle; None asks for no signature.

        Raises:
            BundleError: no bundle there, or a damaged or foreign one.
        """
        if threads is not None and threads < 1:
            raise ForewarnError(f"threads must be at least 1, not {threads}")
        return cls(Bundle.open(path, public_key), threads)

    def score(
        self,
        texts: Sequence[str],
        explain: bool = False,
        locale: str | None = None,
        senders: Sequence[str | None] | None = None,
    ) -> list[Verdict]:
        """One verdict a text, in order.

        Args:
            texts: the messages.
            explain: also give `evidence` (which costs up to 48 more passes a text) and `forewarning`.
            locale: BCP 47 tag of the forewarning's language; unknown ones fall back to a parent, then to English. Its
                region decides which senders are from abroad.
            senders: who sent each text, None where unknown; see `with_sender` for what that changes.

        Raises:
            ForewarnError: `texts` is one string, or holds something that is not a string; or `senders` is of another
                length.
        """
        if not isinstance(texts, (str, bytes)):
            texts = list(texts)
        cleaned = _clean_all(texts)
        if senders is not None and len(senders) != len(texts):
            raise ForewarnError(f"{len(senders)} senders for {len(texts)} texts; give one a text, None where unknown")
        read = self._read(cleaned)
        verdicts = []
        for i, text in enumerate(texts):
            row = read.logits[i]
            verdict = self._blank_verdict() if read.blank[i] else self._decide(self.probabilities(row[None])[0])
            if senders is not None:
                verdict = self.with_sender(verdict, senders[i], locale)
            if explain:
                evidence = [] if read.blank[i] else self._evidence(text, row, read.window[i])
                verdict = self._explained(verdict, evidence, row, locale)
            verdicts.append(verdict)
        return verdicts

    def with_sender(self, verdict: Verdict, sender: str | None, locale: str | None = None) -> Verdict:
        """The verdict on a text, once its sender is known: a higher `risk` where the sender does not fit.

        Never lower, and one step of `action` at most: a text that is allowed for itself is not blocked for its sender.
        `verdict`, `type` and `type_score` stay the text's own.
        """
        added = sender_hint.log_odds(sender, verdict.type, locale)
        if not added:
            return verdict
        risk = sender_hint.moved(verdict.risk, added)
        action = self.action(risk)
        if verdict.action == "allow" and action == "block":
            action = "warn"
        return replace(verdict, risk=risk, action=action)

    def score_stream(
        self, texts: Iterable[str], batch: int = 256, explain: bool = False, locale: str | None = None
    ) -> Iterator[Verdict]:
        """Score any number of texts lazily: takes `batch` texts, yields their verdicts, holds no more than that."""
        if batch < 1:
            raise ForewarnError(f"batch must be at least 1, not {batch}")
        source = iter(texts)
        while chunk := list(islice(source, batch)):
            yield from self.score(chunk, explain=explain, locale=locale)

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """The model's raw logits, float32 (n, labels), in the order of `taxonomy.names`; not calibrated.

        Of a text that is read in windows, those of the window that decides.
        """
        return self._read(_clean_all(texts)).logits

    def ids(self, text: str) -> list[int]:
        """The ids that the model reads of a text, at most `max_length`: of a longer one the first window."""
        pieces = self._tokenizer.encode(clean(text), add_special_tokens=False).ids
        return [*self._before, *pieces[: self._room], *self._after]

    def canonical(self, text: str) -> str:
        """What decides the verdict on a text: two texts with the same canonical form read alike to the model.

        That is the tokenizer's own normalisation, but for texts that spell out a special token such as [SEP], which the
        tokenizer takes out before it normalises.
        """
        cleaned = clean(text)
        if not cleaned.strip():
            return ""
        if any(token in cleaned for token in self._special_tokens):
            # NUL keeps it apart from every normalised text: cleaned ones have none.
            return "\0" + cleaned
        normaliser = self._tokenizer.normalizer
        return normaliser.normalize_str(cleaned) if normaliser else cleaned

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated leaf probabilities (n, labels) of raw logits (n, labels)."""
        scaled = (logits.astype(np.float64) + self._bias) / self._temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        exp = np.exp(scaled)
        return exp / exp.sum(axis=1, keepdims=True)

    def action(self, risk: float) -> str:
        """`block`, `warn` or `allow`, by the bundle's operating points."""
        if risk >= self._block:
            return "block"
        return "warn" if risk >= self._warn else "allow"

    def _read(self, cleaned: list[str]) -> _Read:
        read = _Read(np.empty((len(cleaned), len(self.taxonomy.leaves)), dtype=np.float32), [], [])
        for start, stop in _chunks([len(text) for text in cleaned]):
            encodings = self._tokenizer.encode_batch(cleaned[start:stop], add_special_tokens=False)
            read.blank.extend(map(_is_blank, cleaned[start:stop], encodings))
            rows: list[list[int]] = []
            first: list[int] = []  # the first row of each text
            for encoding in encodings:
                ids = encoding.ids
                first.append(len(rows))
                for at in window_starts(len(ids), self._room):
                    rows.append([*self._before, *ids[at : at + self._room], *self._after])
            logits = np.empty((len(rows), read.logits.shape[1]), dtype=np.float32)
            for batch in _buckets([len(row) for row in rows]):
                logits[batch] = self._forward([rows[i] for i in batch])
            riskiest = self._riskiest(logits, first)
            read.logits[start:stop] = logits[riskiest]
            read.window.extend(row - own for row, own in zip(riskiest, first, strict=True))
        return read

    def _riskiest(self, logits: np.ndarray, first: list[int]) -> list[int]:
        """Of the rows of each text the one with the highest risk."""
        if len(first) == len(logits):
            return first
        log_odds = self._log_odds(logits)
        return [at + int(log_odds[at:end].argmax()) for at, end in pairwise([*first, len(logits)])]

    def _forward(self, rows: list[list[int]]) -> np.ndarray:
        width = max(1, *map(len, rows))
        input_ids = np.full((len(rows), width), self._pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for i, row in enumerate(rows):
            input_ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        output = self._session.run(["logits"], {"input_ids": input_ids, "attention_mask": mask})[0]
        if not np.isfinite(output).all():
            raise BundleError("the bundle's model gives logits that are not numbers; use another bundle")
        return output

    def _decide(self, p: np.ndarray) -> Verdict:
        totals = {verdict: float(p[members].sum()) for verdict, members in self._members.items()}
        verdict = max(totals, key=totals.__getitem__)
        leaf = max(self._members[verdict], key=lambda i: p[i])
        # Sums of rounded floats may pass 1 by a hair; a probability may not.
        risk = min(1.0, totals["scam"])
        return self._verdict(verdict, risk, leaf, float(p[leaf]))

    def _blank_verdict(self) -> Verdict:
        return self._verdict("legitimate", 0.0, self._members["legitimate"][0], 0.0, action="allow")

    def _verdict(self, verdict: str, risk: float, leaf: int, score: float, action: str | None = None) -> Verdict:
        chosen = self.taxonomy.leaves[leaf]
        return Verdict(verdict, risk, action or self.action(risk), chosen.name, score, chosen.levers, self.version)

    def _evidence(self, text: str, row: np.ndarray, window: int) -> list[Evidence]:
        """What made the window that decided look like a scam; `row` (labels,) are its logits."""
        cleaned = clean(text)
        pieces = self._tokenizer.encode(cleaned, add_special_tokens=False).offsets
        starts = window_starts(len(pieces), self._room)
        seen = pieces[starts[window] : starts[window] + self._room]
        if len(starts) == 1:
            return explain_scam(text, seen, None, self._scam_log_odds, float(self._log_odds(row[None])[0]))
        part = min(a for a, _ in seen), max(b for _, b in seen)
        whole = self._scam_log_odds([cleaned[slice(*part)]])
        return explain_scam(text, seen, part, self._scam_log_odds, float(whole[0]))

    def _explained(self, verdict: Verdict, evidence: list[Evidence], row: np.ndarray, locale: str | None) -> Verdict:
        forewarning = None
        if verdict.verdict == "scam" or verdict.action != "allow":
            # A message that is warned of although its verdict is another one is warned of as its likeliest scam.
            leaf = max(self._members["scam"], key=lambda i: row[i])
            forewarning = forewarning_for(self._forewarnings.get(self.taxonomy.names[leaf], {}), locale)
        return replace(verdict, evidence=evidence, forewarning=forewarning)

    def _scam_log_odds(self, cleaned: list[str]) -> np.ndarray:
        return self._log_odds(self._read(cleaned).logits)

    def _log_odds(self, logits: np.ndarray) -> np.ndarray:
        scam = self.probabilities(logits)[:, self._members["scam"]].sum(axis=1).clip(1e-9, 1 - 1e-9)
        return np.log(scam) - np.log1p(-scam)


def _clean_all(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, (str, bytes)):
        raise ForewarnError("score takes a list of texts, not one text; write score([text])")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise ForewarnError(f"text {i} is a {type(text).__name__}, not a string")
    return [clean(text) for text in texts]


def _is_blank(text: str, encoding: Encoding) -> bool:
    return not encoding.ids or not text.strip()


def _chunks(lengths: list[int]) -> Iterator[tuple[int, int]]:
    """Ranges of texts that are tokenised together, by the characters of each text."""
    start = characters = 0
    for i, length in enumerate(lengths):
        if i > start and (i - start == CHUNK or characters + length > _CHUNK_CHARACTERS):
            yield start, i
            start, characters = i, 0
        characters += length
    if start < len(lengths):
        yield start, len(lengths)


def _buckets(lengths: list[int]) -> Iterator[list[int]]:
    """Positions in batches of texts of like length, so that little is spent on padding."""
    batch: list[int] = []
    # Longest first: the first batch then takes the most memory, and no later one makes the process grow.
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if batch and (len(batch) >= BATCH_TEXTS or (len(batch) + 1) * lengths[batch[0]] > BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _read_tokenizer(bundle: Bundle) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_buffer(bundle.read("tokenizer.json"))
    except Exception:
        # The tokenizers library raises bare Exception for a file that it cannot read.
        raise BundleError(f"bundle {bundle.path}: tokenizer.json is not a tokenizer; export it again") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _read_forewarnings(bundle: Bundle) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(bundle.read("forewarnings.json"))
        return {
            leaf: {tag.lower(): str(text) for tag, text in by_locale.items()} for leaf, by_locale in content.items()
        }
    except (ValueError, AttributeError):
        raise BundleError(
            f"bundle {bundle.path}: forewarnings.json is not {{leaf: {{locale: text}}}}; export it again"
        ) from None


def _open_session(bundle: Bundle, threads: int | None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    try:
        session = ort.InferenceSession(bundle.read("model.onnx"), options, providers=["CPUExecutionProvider"])
    except Exception:
        # ONNX Runtime's exceptions share no base class of their own.
        raise BundleError(
            f"bundle {bundle.path}: model.onnx cannot be run; export it again or upgrade onnxruntime"
        ) from None
    inputs = {x.name for x in session.get_inputs()}
    outputs = {x.name: x.shape for x in session.get_outputs()}
    if inputs != {"input_ids", "attention_mask"} or "logits" not in outputs:
        raise BundleError(f"bundle {bundle.path}: model.onnx has other inputs or outputs than a forewarn model")
    width = outputs["logits"][-1] if outputs["logits"] else None
    if isinstance(width, int) and width != len(bundle.taxonomy.leaves):
        raise BundleError(
            f"bundle {bundle.path}: model.onnx gives {width} logits for {len(bundle.taxonomy.leaves)} labels"
        )
    return session
