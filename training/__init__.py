"""Labelled data to a trained and measured model (the `train` extra)."""
