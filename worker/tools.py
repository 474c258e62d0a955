"""What a run works with; `worker/app.py` fills it. Here it costs nothing to import, unlike `run_chat.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.bus.counters import LocalCounters
from core.domain.chat import Platform
from core.ports import ControlChannel, Counters, EditBudget, EventBus, FileSource, SandboxProvider, Stores, Surface
from worker.limits import Limits
from worker.sandbox.seating import Seats


@dataclass(frozen=True, slots=True)
class Tools:
    """The implementations and limits of one worker, named `worker`."""

    stores: Stores
    bus: EventBus
    control: ControlChannel
    budget: EditBudget
    surfaces: Mapping[Platform, Surface]
    provider: SandboxProvider
    seating: Seats
    limits: Limits
    worker: str
    files: Mapping[Platform, FileSource] = field(default_factory=dict)
    counters: Counters = field(default_factory=LocalCounters)
