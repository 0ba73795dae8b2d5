"""The pretraining loop: blocks of text and translation pairs in one step, a log a language, and an exact resume."""

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
from forewarn.training.finetune import has_fast_bf16
from forewarn.training.pretrain.batches import CLS, SEP, Batch, BatchMaker
from forewarn.training.pretrain.config import PretrainConfig
from forewarn.training.pretrain.objectives import (
    MaskedTokens,
    ReplacedTokens,
    contrastive_loss,
    guess_hidden,
    token_objective,
)
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm
from transformers import ElectraForMaskedLM

_PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
_HELD_OUT_BLOCKS = 16  # a language, at each evaluation


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
            guess = guess_hidden(model, torch.from_numpy(changed).to(device), torch.from_numpy(labels).to(device))
        loss[name], accuracy[name] = round(float(guess.loss), 4), round(float(guess.right.float().mean()), 4)
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
    objective = token_objective(model, config.replaced_weight)
    objective.to(device).train()
    optimizer = torch.optim.AdamW(
        objective.parameters(),
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
        objective.load_state_dict(state["model"])
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
                    loss, guess = objective(ids, labels)
                (loss / config.accumulate).backward()
                contrast = torch.zeros(())
                if len(pairs):
                    with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16()):
                        contrast = contrastive_loss(model, pairs, config.temperature)
                    (config.contrastive_weight * contrast / config.accumulate).backward()
                tokens += int((batch.input_ids != 0).sum() + (batch.pairs != 0).sum())
                hidden += len(guess.right)
                sums += (guess.loss.item(), contrast.item(), 1)
            torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            bar.update()
            bar.set_postfix(masked=f"{sums[0] / sums[2]:.3f}", contrastive=f"{sums[1] / sums[2]:.3f}")
            if step % config.evaluate_every == 0 or step == config.steps:
                seconds = time.monotonic() - started
                figures = held_out_figures(objective.guesser, maker, device)
                record = {
                    "step": step,
                    "tokens": tokens,
                    "seconds": round(seconds, 1),
                    "masked_loss": round(sums[0] / sums[2], 4),
                    "contrastive_loss": round(sums[1] / sums[2], 4),
                }
                _append(config.out / "log.jsonl", record | figures)
                state = {"model": objective.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
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
    figures = figures or held_out_figures(objective.guesser, maker, device)  # the last step has measured them
    model.eval().cpu()
    return figures | {
        "steps": step,
        "tokens": tokens,
        "seconds": round(seconds, 1),
        "tokens_per_second": tokens / max(seconds, 1e-9),
        "share_of_peak": share_of_peak(objective, tokens, hidden, seconds),
    }


def share_of_peak(objective: MaskedTokens | ReplacedTokens, tokens: int, hidden: int, seconds: float) -> float | None:
    """Floating-point operations a second over the GPU's peak (dense bf16, NVIDIA's data sheets); None elsewhere.

    Six operations a weight and token (Kaplan et al. 2020), the embedding's table counted for hidden tokens alone.
    """
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((value for chip, value in _PEAK.items() if chip in name), None)
    if peak is None or not seconds:
        return None
    table = objective.encoder.electra.embeddings.word_embeddings.weight.numel()
    layers = sum(parameter.numel() for parameter in objective.parameters()) - table
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
