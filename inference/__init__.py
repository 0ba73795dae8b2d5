"""Bundle to verdict: the runtime of forewarn. Needs numpy, onnxruntime and tokenizers, and never torch."""
