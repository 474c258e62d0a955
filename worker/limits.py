"""The limits a worker keeps to, all in one value; `core/settings.py` fills it from the environment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, sizes in bytes.

    `lease_s`: how long a silent run keeps its chat. `linger_s`: how long a run stays with an idle agent.
    `look_every_s`: how often a run looks in the database without being woken. `park_after_s`: how long a turn may wait
    for a person before its sandbox is paused. `turn_s`: how long a turn may work. `turn_bytes`: how much journal a turn
    may write. `rotate_bytes`: the journal size past which it is emptied between turns. `patience_s`: how long a
    sandbox server may be away before the turn fails. `restarts`: how often a turn survives its agent's death.
    `quiet_s`: after how long without a word from a working agent its disk is looked at.
    `share_files`, `share_bytes`, `share_s`: how many files, how large each, one answer brings into the thread, and how
    long that may take.
    """

    lease_s: float = 8.0
    linger_s: float = 20.0
    look_every_s: float = 5.0
    park_after_s: float = 600.0
    turn_s: float = 3600.0
    turn_bytes: int = 64 << 20
    rotate_bytes: int = 8 << 20
    interrupt_s: float = 15.0
    settle_s: float = 30.0
    patience_s: float = 120.0
    restarts: int = 3
    quiet_s: float = 20.0
    share_files: int = 10
    share_bytes: int = 25 << 20
    share_s: float = 120.0
