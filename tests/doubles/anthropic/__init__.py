"""An Anthropic Messages API that says what a test tells it to, and complains when it is called wrongly.

A test scripts it in the prompt (`script_prompt`), or queues `Reply` and `Refusal` values; it records every
request, and every breach of the API's rules. `script.py` has the values and the prompt's form, `rules.py` what
a request must obey, `stream.py` the bytes, `server.py` the server, `fixtures.py` a fixture to import,
`__main__.py` the same as a program for tests that drive whole processes.
"""

from tests.doubles.anthropic.script import (
    Cut,
    Garbage,
    Gate,
    Hang,
    Refusal,
    Reply,
    Text,
    Thinking,
    ToolUse,
    Wait,
    script_prompt,
    text_reply,
    tool_reply,
)
from tests.doubles.anthropic.server import AnthropicDouble, Seen

__all__ = [
    "AnthropicDouble",
    "Cut",
    "Garbage",
    "Gate",
    "Hang",
    "Refusal",
    "Reply",
    "Seen",
    "Text",
    "Thinking",
    "ToolUse",
    "Wait",
    "script_prompt",
    "text_reply",
    "tool_reply",
]
