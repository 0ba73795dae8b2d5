"""Servers to compare with, as their own documentation sets them up."""
