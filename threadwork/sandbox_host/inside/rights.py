"""Giving up rights: what a process must do once so that neither it nor its children can get any back.

Next: `supervisor.py`, which does it before anything else.
"""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_KEYCTL = {"x86_64": 250, "aarch64": 219}
_KEYCTL_JOIN_SESSION_KEYRING = 1


def drop_rights(uid: int | None) -> None:
    """Give up every right this process may have been started with; none can come back."""
    libc = ctypes.CDLL(None, use_errno=True)
    keyctl = _KEYCTL.get(os.uname().machine)
    if keyctl is not None:
        libc.syscall(keyctl, _KEYCTL_JOIN_SESSION_KEYRING, 0)  # a session keyring of its own, not the host's
    if uid is not None:
        capability = 0
        while libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
            capability += 1
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    # The inheritable set is the last one left: version 3 of the call, this process, two empty rows.
    libc.capset((ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)())
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Changing the user disarmed it; and no process inside may trace this one or take its socket.
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
