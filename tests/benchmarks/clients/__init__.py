"""What each client costs on one machine, bundle by bundle; `run.py` measures it."""
