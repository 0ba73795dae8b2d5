"""The curves of a pretraining run as a picture: training losses, and held-out loss a language."""

from __future__ import annotations

import json
from pathlib import Path

_LABELLED = 4  # languages named at each end


def draw_curves(log: Path, out: Path) -> None:
    """Draw `log.jsonl` into a PNG: training losses on the left; on the right the held-out masked loss of each language.

    The languages with the highest and lowest loss at the end are named; the others are grey.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    millions = [line["tokens"] / 1e6 for line in lines]
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    left.plot(millions, [line["masked_loss"] for line in lines], marker=".", label="masked tokens")
    left.plot(millions, [line["contrastive_loss"] for line in lines], marker=".", label="translations (contrastive)")
    left.set(title="Training loss", xlabel="tokens seen (millions)", ylabel="loss (nats)", ylim=(0, None))
    left.legend(frameon=False)
    languages = sorted(lines[-1]["held_out_loss"], key=lambda name: float(lines[-1]["held_out_loss"][name]))
    named = {*languages[:_LABELLED], *languages[-_LABELLED:]}
    for language in languages:
        losses = [line["held_out_loss"].get(language, float("nan")) for line in lines]
        style = {"label": f"{language} {losses[-1]:.2f}"} if language in named else {"color": "0.85", "zorder": 1}
        right.plot(millions, losses, **style)
    right.set(title="Held-out masked loss, a language each", xlabel="tokens seen (millions)")
    right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), title="best and worst")
    figure.savefig(out, dpi=110)
    plt.close(figure)
