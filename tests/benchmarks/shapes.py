"""What a shape of the encoder costs: time of a 160-character message beside a 12-layer, 384-wide MiniLM.

    python tests/benchmarks/shapes.py [4x256 6x256 6x384 ...]

Every model has random weights (they do not change the time), our tokenizer, the same export and the same static int8
quantisation. All are timed in turns in one run on one thread, as on a phone; the ratio is what to compare.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from forewarn.export.onnx_model import Checkpoint, encode, export_onnx, open_session, pad
from forewarn.export.quantize import candidates
from forewarn.inference.bundle import Bundle
from forewarn.inference.labels import Taxonomy
from forewarn.training.config import ModelConfig
from forewarn.training.encoders import encoder_folder
from forewarn.training.model import new_model, save_checkpoint
from forewarn.training.ngrams import PieceNgrams, save_ngrams
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification

_CHARACTERS = 160
_ROUNDS = 15
_METHOD = "static QDQ"
_MINILM = "MiniLM 12x384"


def _own(shape: str, tokenizer: Tokenizer, taxonomy: Taxonomy) -> torch.nn.Module:
    layers, hidden = (int(part) for part in shape.split("x"))
    config = ModelConfig(layers=layers, hidden=hidden, heads=hidden // 64, intermediate=4 * hidden)
    return new_model(config, tokenizer.get_vocab_size(), taxonomy)


def _minilm(tokenizer: Tokenizer, taxonomy: Taxonomy) -> torch.nn.Module:
    """Multilingual MiniLM's layers (Wang et al. 2020) over our table of embeddings, whose size costs no time."""
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=384,
            num_hidden_layers=12,
            num_attention_heads=12,
            intermediate_size=1536,
            num_labels=len(taxonomy.names),
            pad_token_id=0,
        )
    )


def quantised(name: str, folder: Path, tokenizer: Tokenizer, taxonomy: Taxonomy, texts: list[str]) -> Path:
    """Export a model of a shape with random weights; gives the int8 file. Ours have their n-gram branch."""
    torch.manual_seed(7)
    own = name != _MINILM
    model = _own(name, tokenizer, taxonomy) if own else _minilm(tokenizer, taxonomy)
    checkpoint, info = folder / name.replace(" ", "-"), {"fingerprint": "", "sources": []}
    if own:
        save_ngrams(PieceNgrams(tokenizer.get_vocab_size(), 75_000, len(taxonomy.names)), checkpoint)
    save_checkpoint(model, tokenizer, checkpoint, taxonomy, 128, info, {"ngrams": own})
    loaded = Checkpoint.load(checkpoint)
    export_onnx(loaded, checkpoint / "float.onnx")
    ids = encode(loaded, texts)
    method = next(x for x in candidates(ids, loaded.pad_id) if x.name.startswith(_METHOD))
    method.write(checkpoint / "float.onnx", checkpoint / "model.onnx")
    return checkpoint / "model.onnx"


def sms_texts(bundle: Bundle) -> list[str]:
    """Messages of exactly 160 characters in all languages: golden vectors strung together."""
    golden = [
        json.loads(line)["text"].strip() for line in bundle.read("vectors.jsonl").decode("utf-8").strip().split("\n")
    ]
    short = [text for text in golden if 20 <= len(text) < _CHARACTERS]
    return [" ".join(short[at:] + short[:at])[:_CHARACTERS] for at in range(0, len(short), 2)]


def main() -> None:
    """Print a table: parameters' bytes, milliseconds, ratio to MiniLM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shapes", nargs="*", default=["2x256", "4x256", "6x256", "6x384"], help="LAYERSxHIDDEN")
    shapes = [*parser.parse_args().shapes, _MINILM]
    taxonomy = Taxonomy.load()
    tokenizer = Tokenizer.from_file(str(encoder_folder("default") / "tokenizer.json"))
    texts = sms_texts(Bundle.open())
    with tempfile.TemporaryDirectory() as name:
        paths = {shape: quantised(shape, Path(name), tokenizer, taxonomy, texts) for shape in shapes}
        sessions = {shape: open_session(path, threads=1) for shape, path in paths.items()}
        sizes = {shape: path.stat().st_size for shape, path in paths.items()}
        tokenizer.enable_truncation(128)
        inputs = [pad([encoding.ids], 0) for encoding in tokenizer.encode_batch(texts)]
        times: dict[str, list[float]] = {shape: [] for shape in shapes}
        for _ in range(_ROUNDS):
            for shape, session in sessions.items():  # in turns, so that a busy moment hits all alike
                start = time.perf_counter()
                for each in inputs:
                    session.run(["logits"], each)
                times[shape].append(1000 * (time.perf_counter() - start) / len(inputs))
    tokens = statistics.mean(each["input_ids"].shape[1] for each in inputs)
    print(f"{len(inputs)} messages of {_CHARACTERS} characters ({tokens:.0f} tokens on average), one thread\n")
    print("| shape | int8 file | time a message | share of MiniLM's |\n|---|---|---|---|")
    base = min(times[_MINILM])
    for shape in shapes:
        mine = min(times[shape])  # other work on the machine only ever adds
        print(f"| {shape} | {sizes[shape] / 1e6:.1f} MB | {mine:.2f} ms | {mine / base:.2f} |")


if __name__ == "__main__":
    main()
