"""Run a bundle's model.onnx for the Java tests: JSON lines in and out, until standard input ends.

    python run_model.py model.onnx

A line in is {"ids": rows, "mask": rows}, a line out the rows of logits. It stands in for ONNX Runtime's Java library,
which the package registries that the tests use do not have.
"""

import json
import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np
import onnxruntime as ort

INPUTS = {"input_ids": "ids", "attention_mask": "mask"}


def main() -> None:
    """Answer line by line."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    for line in sys.stdin:
        rows = json.loads(line)
        inputs = {name: np.array(rows[key], dtype=np.int64) for name, key in INPUTS.items()}
        print(json.dumps(session.run(["logits"], inputs)[0].tolist()), flush=True)


if __name__ == "__main__":
    main()
