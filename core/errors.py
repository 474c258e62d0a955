"""Every error Threadwork raises on purpose, in one tree.

An error knows its `code` (stable, for logs and metrics), whether a retry may help, and the `words`
a person may be shown. Adapters translate vendor errors into these at their boundary; use cases branch
on the types. Next: `core/ports.py`, whose promises name them.
"""

from typing import ClassVar


class ThreadworkError(Exception):
    """The root: everything that is expected to go wrong."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    @property
    def words(self) -> str:
        """One sentence for a person; what is private stays in `args`."""
        return str(self) or self.code


class Misconfigured(ThreadworkError):
    """A setting is missing or wrong; the message names it and the mend."""

    code = "misconfigured"


class BadInput(ThreadworkError):
    """What a person sent cannot be used; the message says what can."""

    code = "bad_input"


class NotAllowed(ThreadworkError):
    """This person may not do that here."""

    code = "not_allowed"


class AlreadyDecided(ThreadworkError):
    """The question was settled before this click came."""

    code = "already_decided"


class NotFound(ThreadworkError):
    """There is no such chat, turn, message or question."""

    code = "not_found"


class IllegalStep(ThreadworkError):
    """A state was asked to change in a way the table of states does not know."""

    code = "illegal_step"


class Fenced(ThreadworkError):
    """This run's epoch is over: another run has the chat. Stop, and touch nothing more."""

    code = "fenced"


class Unavailable(ThreadworkError):
    """Something we need does not answer now: database, Redis, sandbox server, platform."""

    code = "unavailable"
    retryable = True

    def __init__(self, what: str, why: str = "") -> None:
        super().__init__(f"{what} is not available{': ' + why if why else ''}")
        self.what = what


class SandboxError(ThreadworkError):
    """The sandbox refused or failed an operation."""

    code = "sandbox_error"


class SandboxLost(SandboxError):
    """The sandbox is gone for good, with what was in it."""

    code = "sandbox_lost"


class DiskFull(SandboxError):
    """The sandbox's disk is full: nothing can be written there, by nobody."""

    code = "disk_full"

    def __init__(self) -> None:
        super().__init__("The sandbox's disk is full.")


class SandboxPaused(SandboxError):
    """The sandbox is not running; connecting resumes it."""

    code = "sandbox_paused"
    retryable = True


class ProcessGone(SandboxError):
    """No such process in the sandbox any more."""

    code = "process_gone"


class AgentError(ThreadworkError):
    """The agent's program could not be started or does not answer."""

    code = "agent_error"


class SurfaceError(ThreadworkError):
    """The platform refused a post, an edit or a reaction."""

    code = "surface_error"


class RateLimited(SurfaceError):
    """The platform asks us to wait."""

    code = "rate_limited"
    retryable = True

    def __init__(self, retry_after_s: float, what: str = "") -> None:
        super().__init__(f"rate limited for {retry_after_s:.1f} s{' on ' + what if what else ''}")
        self.retry_after_s = retry_after_s


class Ambiguous(SurfaceError):
    """The call may or may not have been carried out: look before sending again."""

    code = "ambiguous"
    retryable = True


class PostGone(SurfaceError):
    """Our post was deleted, or can no longer be edited."""

    code = "post_gone"


class PlaceGone(SurfaceError):
    """The thread or channel is deleted, archived or closed to us; no post can appear there."""

    code = "place_gone"


class TooLarge(SurfaceError):
    """The platform finds the payload too long, or its blocks invalid."""

    code = "too_large"
