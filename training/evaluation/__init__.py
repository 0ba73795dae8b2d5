"""Evaluation: recall at a false-alarm rate, calibration, the linear baseline and the report."""
