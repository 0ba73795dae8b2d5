"""Labelled data: sources, cleaning, masking, de-duplication, splits."""
