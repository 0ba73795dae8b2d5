"""How fast the HTTP service is, beside its own classifier and other servers; `run.py` measures it."""
