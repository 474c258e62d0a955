"""The model proxy between sandboxes and the model API: the key stays on our side of it.

`tokens.py` makes what a sandbox holds instead of a key, `credential.py` knows what the model API wants, `proxy.py`
carries one request across, `meter.py` reads off what it used, and `app.py` puts them together and listens.
"""
