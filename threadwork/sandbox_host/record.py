"""What is kept of a sandbox between lives of the host, in `<data>/<id>/sandbox.json`. Next: `sandboxes.py`."""

import json
import re
import secrets
import string
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

ID: Final = re.compile(r"[a-z0-9]{20}\Z")
_LETTERS: Final = string.ascii_lowercase + string.digits
_NAME: Final = "sandbox.json"
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Record:
    """One sandbox. Times are seconds since the epoch; `uid` is its user outside, where sandboxes have their own."""

    id: str
    template: str
    metadata: dict[str, str]
    envs: dict[str, str]
    started_at: float
    end_at: float
    uid: int | None = None
    is_running: bool = True
    pauses_at_end: bool = False
    resumes_on_use: bool = False
    idempotency: str | None = None
    token: str = field(default_factory=lambda: secrets.token_hex(20))

    def write(self, folder: Path) -> None:
        """Put it on disk, whole or not at all."""
        part = folder / f"{_NAME}.part"
        part.touch(mode=0o600)
        part.write_text(json.dumps(asdict(self)))
        part.replace(folder / _NAME)

    def described(self, limits: dict[str, int]) -> dict[str, Any]:
        """As the control plane tells it (SandboxDetail, ListedSandbox and Sandbox of E2B's API in one)."""
        return {
            "templateID": self.template,
            "alias": self.template,
            "sandboxID": self.id,
            "clientID": "local",
            "envdVersion": "0.6.13",
            "envdAccessToken": self.token,
            "startedAt": iso(self.started_at),
            "endAt": iso(self.end_at),
            "state": "running" if self.is_running else "paused",
            "metadata": self.metadata,
            "lifecycle": {"onTimeout": "pause" if self.pauses_at_end else "kill", "autoResume": self.resumes_on_use},
            **limits,
        }


def new_id() -> str:
    """An id in the form of E2B's, not to be guessed."""
    return "i" + "".join(secrets.choice(_LETTERS) for _ in range(19))


def read_all(data_dir: Path) -> Iterator[Record]:
    """Every record on disk. What cannot be read is named in the log and left alone."""
    known = {one.name for one in fields(Record)}
    for path in sorted(data_dir.glob(f"*/{_NAME}")):
        try:
            kept = json.loads(path.read_text())
            record = Record(**{name: value for name, value in kept.items() if name in known})
        except (ValueError, TypeError, AttributeError, OSError) as error:
            log.warning("sandbox_record_unreadable", path=str(path), why=str(error))
            continue
        if ID.match(record.id) and path.parent.name == record.id:
            yield record


def iso(at: float) -> str:
    """A time as E2B writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
