"""A stack in one process, for tests that watch a run from the inside: real Postgres, Valkey, sandboxes and CLI.

`Stage` composes it, `ScriptedChat` is a chat with verbs so that tests read like sentences, `RecordingSurface` keeps
what was shown and fails when told to. `lines.py` has the words of a scripted model, `fixtures.py` the fixtures.
"""

from tests.stage.chat import ScriptedChat
from tests.stage.lines import asks_person, at_gate, bash, calls, says
from tests.stage.sandboxes import Provider
from tests.stage.stage import KEY, Stage, open_stage
from tests.stage.surface import Hang, LoseAnswer, RecordingSurface, Refuse

__all__ = [
    "KEY",
    "Hang",
    "LoseAnswer",
    "Provider",
    "RecordingSurface",
    "Refuse",
    "ScriptedChat",
    "Stage",
    "asks_person",
    "at_gate",
    "bash",
    "calls",
    "open_stage",
    "says",
]
