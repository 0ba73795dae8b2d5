"""Fine-tuning with the Hugging Face Trainer: the coarse-label loss, balanced batches, early stopping, resume."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from forewarn.inference.labels import Taxonomy
from forewarn.training.batches import BalancedBatchSampler, MessageDataset, collate
from forewarn.training.config import TrainConfig
from forewarn.training.evaluation.metrics import auroc, certain, recall_at_fpr, recall_near_1pct
from forewarn.training.model import disagreement, distilled_loss
from safetensors.torch import load_file
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, EvalPrediction, PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

_BEST_BY = "eval_recall_near_1pct"


def has_fast_bf16() -> bool:
    """Whether this machine multiplies bf16 matrices faster than float32 ones (2.4 times a step, measured on AVX512)."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def scam_probability(logits: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """Logits (rows, leaves) to the summed probability of the scam leaves, (rows,)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted[:, taxonomy.indices("scam")].sum(axis=1) / shifted.sum(axis=1))


def validation_metrics(logits: np.ndarray, allowed: np.ndarray, taxonomy: Taxonomy) -> dict[str, float]:
    """AUROC and recall at 1 % false alarms over rows that are certainly scam or certainly not.

    Checkpoints are chosen by `recall_near_1pct`, which jumps less than the recall at 1 %.
    """
    positive, known = certain(allowed, taxonomy.indices("scam"))
    scores = scam_probability(logits[known], taxonomy)
    truth = positive[known]
    if truth.all() or not truth.any():
        return {"auroc": 0.0, "recall_at_1pct": 0.0, "recall_near_1pct": 0.0}
    return {
        "auroc": float(auroc(scores, truth)),
        "recall_at_1pct": float(recall_at_fpr(scores, truth, 0.01)),
        "recall_near_1pct": recall_near_1pct(scores, truth),
    }


class CoarseTrainer(Trainer):
    """The ecosystem's Trainer with our loss and our batches."""

    def __init__(
        self,
        *args: Any,
        smoothing: float,
        teacher_share: float,
        rdrop: float,
        train_sampler: BalancedBatchSampler,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.smoothing, self.teacher_share, self.rdrop = smoothing, teacher_share, rdrop
        self.train_sampler = train_sampler

    def compute_loss(
        self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The coarse-label loss of one batch, the teacher's where there is one, and R-Drop's where it is asked for."""
        twice = self.rdrop > 0 and model.training
        if twice:
            inputs = {name: torch.cat([tensor, tensor]) for name, tensor in inputs.items()}
        labels, teacher = inputs.pop("labels"), inputs.pop("teacher", None)
        outputs = model(**inputs)
        smoothing = self.smoothing if model.training else 0.0
        loss = distilled_loss(outputs.logits, labels, smoothing, teacher, self.teacher_share)
        if twice:
            loss = loss + self.rdrop * disagreement(*outputs.logits.chunk(2))
        return (loss, outputs) if return_outputs else loss

    def get_train_dataloader(self) -> Any:
        """Balanced batches; the accelerator passes the epoch on to the sampler."""
        loader: DataLoader[Any] = DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_sampler=self.train_sampler,
            collate_fn=self.data_collator,
        )
        return self.accelerator.prepare(loader)


def average_checkpoints(trainer: Trainer, folder: Path) -> bool:
    """Give the model the mean weights of the kept checkpoints (the best and the last), if that is better than the best.

    Weights of one run lie in one valley, and their mean in a flatter part of it (Izmailov et al. 2018,
    https://arxiv.org/abs/1803.05407). Returns whether the mean was taken.
    """
    kept = sorted(folder.glob("checkpoint-*/model.safetensors"))
    if len(kept) < 2:
        return False
    model: Any = trainer.model
    best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    score = trainer.evaluate()[_BEST_BY]
    parts = [load_file(path) for path in kept]
    mean = {name: torch.stack([part[name].float() for part in parts]).mean(dim=0) for name in parts[0]}
    model.load_state_dict(mean, strict=False)
    if trainer.evaluate()[_BEST_BY] > score:
        return True
    model.load_state_dict(best)
    return False


def finetune(
    model: PreTrainedModel,
    train: MessageDataset,
    weights: torch.Tensor,
    validation: MessageDataset,
    config: TrainConfig,
    taxonomy: Taxonomy,
) -> dict[str, Any]:
    """Train until the epochs are done or validation recall stops rising; the model ends as its best checkpoint.

    `weights` (rows,) are those with which training rows are drawn.
    Goes on from the last checkpoint in `config.out/checkpoints` when there is one. Returns the metrics and the log.
    """
    checkpoints = Path(config.out) / "checkpoints"
    cuda = torch.cuda.is_available()
    steps_per_epoch = max(1, (len(train) + config.batch - 1) // config.batch)
    interval = max(1, steps_per_epoch // config.evaluations_per_epoch)
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch,
        per_device_eval_batch_size=128,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        # The usual 0.999 forgets too slowly for an encoder trained from scratch: gradients grew to 50 and it diverged.
        adam_beta2=0.98,
        warmup_steps=int(config.warmup_share * steps_per_epoch * config.epochs),
        lr_scheduler_type="cosine",
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=2,
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,  # the patience that is left
        metric_for_best_model=_BEST_BY,
        greater_is_better=True,
        logging_steps=max(1, interval // 4),
        seed=config.seed,
        bf16=has_fast_bf16(),
        use_cpu=not cuda,
        remove_unused_columns=False,
        label_names=["labels"],
        report_to=[],
    )

    def metrics(prediction: EvalPrediction) -> dict[str, float]:
        return validation_metrics(np.asarray(prediction.predictions), np.asarray(prediction.label_ids), taxonomy)

    trainer = CoarseTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=functools.partial(collate, pad_id=model.config.pad_token_id or 0),
        compute_metrics=metrics,
        callbacks=[EarlyStoppingCallback(config.patience)],
        smoothing=config.label_smoothing,
        teacher_share=config.teacher_share,
        rdrop=config.rdrop,
        train_sampler=BalancedBatchSampler(train, weights, config.batch, config.seed),
    )
    last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
    result = trainer.train(resume_from_checkpoint=last)
    averaged = average_checkpoints(trainer, checkpoints)
    return {
        "averaged_checkpoints": averaged,
        "train_seconds": result.metrics["train_runtime"],
        "steps": result.global_step,
        "resumed_from": Path(last).name if last else None,
        "validation": trainer.evaluate(),
        "log": trainer.state.log_history,
    }
