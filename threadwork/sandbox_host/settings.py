"""What a sandbox host is told when it starts. Next: `app.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sandbox may use. None: no limit. Kept by the kernel where it lets us, and from inside everywhere."""

    memory_mb: int | None = 4096
    disk_mb: int | None = 10_240
    processes: int | None = 1024

    @property
    def memory_bytes(self) -> int | None:
        """In bytes."""
        return None if self.memory_mb is None else self.memory_mb << 20

    @property
    def disk_bytes(self) -> int | None:
        """In bytes."""
        return None if self.disk_mb is None else self.disk_mb << 20


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class HostSettings:
    """`port` 0 takes a free one. `gateway_dir` is bound into every sandbox, read-only, at /run/threadwork.

    `is_isolated` False runs plain processes without any wall. `environment` is added to what each sandbox starts with.
    """

    data_dir: Path
    gateway_dir: Path | None = None
    port: int = 0
    api_key: str | None = field(default=None, repr=False)
    is_isolated: bool = True
    limits: Limits = DEFAULT_LIMITS
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostAddress:
    """Where a host listens: the value of E2B_API_URL and of E2B_SANDBOX_URL."""

    url: str
