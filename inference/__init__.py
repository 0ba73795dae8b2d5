"""Bundle to verdict: the runtime of forewarn. Needs numpy, onnxruntime and tokenizers, and never torch.

Names are imported when first used, so that `import forewarn.inference` costs nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forewarn.inference.classifier import ScamClassifier, Verdict
    from forewarn.inference.labels import Taxonomy

# Official builds of ONNX Runtime from 1.29 on send usage events to their maker, and leave a file in the temporary
# folder. They look at this once, when onnxruntime is first imported, so it is set before any module of ours does that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["ScamClassifier", "Taxonomy", "Verdict"]

_HOMES = {
    "ScamClassifier": "forewarn.inference.classifier",
    "Verdict": "forewarn.inference.classifier",
    "Taxonomy": "forewarn.inference.labels",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
