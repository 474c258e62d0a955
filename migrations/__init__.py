"""How the database came to look as it does, one revision after the other. Start at `run.py`."""
