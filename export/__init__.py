"""Checkpoint to int8 ONNX bundle (the `export` extra)."""
