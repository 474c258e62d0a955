"""A model that needs no account: it plays small scripted coding sessions over Anthropic's Messages API.

With no credential set, the whole main job still runs: the real CLI asks this server, and gets text, tool calls and
reports that follow from what was asked and what the tools answered. It says in its first answer that it is a script.
`conversation.py` reads a request, `plays.py` and `coding.py` decide the answer, `wire.py` is the API's format and
pace, `server.py` listens.
"""

MODEL = "offline-scripted"
