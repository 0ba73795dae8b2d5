"""The pretraining loop: masked tokens and translation pairs in one step, with a log a language and an exact resume."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from forewarn.training.finetune import has_fast_bf16
from forewarn.training.pretrain.batches import CLS, IGNORE, SEP, Batch, BatchMaker
from forewarn.training.pretrain.config import PretrainConfig
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm
from transformers import ElectraForMaskedLM

_ROWS_AT_ONCE = 64  # sentences of like length
_PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
_HELD_OUT_BLOCKS = 16  # a language, at each evaluation


def masked_loss(
    model: ElectraForMaskedLM, ids: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy over the hidden pieces only, and whether each was guessed right.

    The vocabulary is wide and few pieces are hidden, so logits are computed for those alone.
    """
    hidden = model.electra(input_ids=ids, attention_mask=(ids != 0).long()).last_hidden_state
    asked = labels != IGNORE
    logits = model.generator_lm_head(model.generator_predictions(hidden[asked])).float()
    return F.cross_entropy(logits, labels[asked]), logits.argmax(-1) == labels[asked]


def _first_vectors(model: ElectraForMaskedLM, ids: torch.Tensor) -> torch.Tensor:
    """The first token's vector of each row, (rows, hidden); rows of like length go together, since most are short."""
    lengths = (ids != 0).sum(dim=1)
    order = lengths.argsort()
    parts = []
    for chosen in order.split(_ROWS_AT_ONCE):
        part = ids[chosen, : int(lengths[chosen].max())]
        parts.append(model.electra(input_ids=part, attention_mask=(part != 0).long()).last_hidden_state[:, 0])
    return torch.cat(parts)[order.argsort()]


def contrastive_loss(model: ElectraForMaskedLM, pairs: torch.Tensor, temperature: float) -> torch.Tensor:
    """InfoNCE over translations (van den Oord et al. 2018; LaBSE, Feng et al. 2022): a sentence, by its first token's
    vector, must find its translation among all of the batch, in both directions.

    Args:
        model: the encoder.
        pairs: (2n, length) ids; rows 2i and 2i+1 say the same.
        temperature: divides the cosines.
    """
    vectors = F.normalize(_first_vectors(model, pairs).float(), dim=-1)
    scores = vectors[0::2] @ vectors[1::2].T / temperature
    targets = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, targets) + F.cross_entropy(scores.T, targets)) / 2


def schedule(step: int, config: PretrainConfig) -> float:
    """Share of the learning rate at a step: linear warm-up, then a cosine down to a twentieth."""
    warmup = max(1, int(config.warmup_share * config.steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, config.steps - warmup)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def held_out_figures(model: ElectraForMaskedLM, maker: BatchMaker, device: torch.device) -> dict[str, dict[str, float]]:
    """Loss over hidden pieces and the share guessed right, a language, on the end of its stream (never trained on)."""
    loss, accuracy = {}, {}
    model.eval()
    for name in maker.usable:
        stream = maker.shards.held_out(name)
        size = maker.block - 2
        blocks = [stream[i : i + size] for i in range(0, len(stream) - size + 1, size)][:_HELD_OUT_BLOCKS]
        if not blocks:
            continue
        ids = np.array([[CLS, *block.tolist(), SEP] for block in blocks], dtype=np.int64)
        changed, labels = maker.mask(ids, np.random.default_rng(0))
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16()):
            mean, right = masked_loss(model, torch.from_numpy(changed).to(device), torch.from_numpy(labels).to(device))
        loss[name], accuracy[name] = round(float(mean), 4), round(float(right.float().mean()), 4)
    model.train()
    return {"held_out_loss": loss, "masked_accuracy": accuracy}


class _Steps(Dataset[list[Batch]]):
    """The batches of each step from one on; a DataLoader's workers make them ahead of a GPU."""

    def __init__(self, maker: BatchMaker, config: PretrainConfig, first: int) -> None:
        self.maker, self.config, self.first = maker, config, first

    def __len__(self) -> int:
        return self.config.steps - self.first

    def __getitem__(self, index: int) -> list[Batch]:
        start = (self.first + index) * self.config.accumulate
        return [self.maker.make(number) for number in range(start, start + self.config.accumulate)]


def pretrain(
    model: ElectraForMaskedLM, maker: BatchMaker, config: PretrainConfig, log: Callable[[str], None]
) -> dict[str, Any]:
    """Train `model` in place; goes on from `config.out/state.pt` when it is there. Returns the metrics.

    A line an evaluation goes to `config.out/log.jsonl`: losses, and held-out loss and masked-token accuracy a language.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        eps=1e-6,
        weight_decay=config.weight_decay,
        fused=True,
    )
    saved = config.out / "state.pt"
    step, tokens, hidden, seconds = 0, 0, 0, 0.0
    if saved.is_file():
        state = torch.load(saved, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, tokens, hidden, seconds = (state[name] for name in ("step", "tokens", "hidden", "seconds"))
        log(f"going on from step {step:,}")
    _keep_log(config.out / "log.jsonl", step)
    started = time.monotonic() - seconds
    sums = np.zeros(3)
    figures: dict[str, dict[str, float]] = {}
    workers = 4 if device.type == "cuda" else 0
    loader = DataLoader(_Steps(maker, config, step), batch_size=None, num_workers=workers)
    with tqdm(total=config.steps, initial=step, desc="pretraining", unit="step", disable=None) as bar:
        for batches in loader:
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * schedule(step, config)
            torch.manual_seed(config.seed * 1_000_003 + step)  # dropout, after a resume too
            for batch in batches:
                ids, labels, pairs = (x.to(device) for x in (batch.input_ids, batch.labels, batch.pairs))
                with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16()):
                    masked, right = masked_loss(model, ids, labels)
                (masked / config.accumulate).backward()
                contrast = torch.zeros(())
                if len(pairs):
                    with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16()):
                        contrast = contrastive_loss(model, pairs, config.temperature)
                    (config.contrastive_weight * contrast / config.accumulate).backward()
                tokens += int((batch.input_ids != 0).sum() + (batch.pairs != 0).sum())
                hidden += len(right)
                sums += (masked.item(), contrast.item(), 1)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            bar.update()
            bar.set_postfix(masked=f"{sums[0] / sums[2]:.3f}", contrastive=f"{sums[1] / sums[2]:.3f}")
            if step % config.evaluate_every == 0 or step == config.steps:
                seconds = time.monotonic() - started
                figures = held_out_figures(model, maker, device)
                record = {
                    "step": step,
                    "tokens": tokens,
                    "seconds": round(seconds, 1),
                    "masked_loss": round(sums[0] / sums[2], 4),
                    "contrastive_loss": round(sums[1] / sums[2], 4),
                }
                _append(config.out / "log.jsonl", record | figures)
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
                state |= {"tokens": tokens, "hidden": hidden, "seconds": seconds}
                part = saved.with_suffix(".part")
                torch.save(state, part)
                os.replace(part, saved)
                mean = float(np.mean(list(figures["masked_accuracy"].values()) or [0.0]))
                log(
                    f"step {step:,}: masked loss {record['masked_loss']}, contrastive {record['contrastive_loss']}, "
                    f"masked-token accuracy {mean:.3f}, {tokens / seconds:,.0f} tokens/s"
                )
                sums[:] = 0
    figures = figures or held_out_figures(model, maker, device)  # the last step has measured them
    model.eval().cpu()
    return figures | {
        "steps": step,
        "tokens": tokens,
        "seconds": round(seconds, 1),
        "tokens_per_second": tokens / max(seconds, 1e-9),
        "share_of_peak": share_of_peak(model, tokens, hidden, seconds),
    }


def share_of_peak(model: ElectraForMaskedLM, tokens: int, hidden: int, seconds: float) -> float | None:
    """Floating-point operations a second over the GPU's peak (dense bf16, NVIDIA's data sheets); None elsewhere.

    Six operations a weight and token (Kaplan et al. 2020), the embedding's table counted for hidden tokens alone.
    """
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((value for chip, value in _PEAK.items() if chip in name), None)
    if peak is None or not seconds:
        return None
    table = model.electra.embeddings.word_embeddings.weight.numel()
    layers = sum(parameter.numel() for parameter in model.electra.parameters()) - table
    return 6 * (layers * tokens + table * hidden) / seconds / peak


def _keep_log(path: Path, step: int) -> None:
    """Drop the lines after a step: their weights were lost with the kill, and they will be written again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    # A kill may have cut the last line short.
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    path.write_text("".join(kept), encoding="utf-8")


def _append(path: Path, record: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(record) + "\n")
