"""Data cards: one Hugging Face dataset folder a source."""
