"""What runs inside a sandbox, with the standard library only. Start at `supervisor.py`."""
