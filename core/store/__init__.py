"""The store: Postgres, which is the truth. One repository per aggregate, each a Protocol of `core/ports.py`.

Start at `stores.py`, which opens them all; `tables.py` has the schema, `fence.py` the rule every run obeys.
"""
