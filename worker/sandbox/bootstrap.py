"""Bringing the Claude CLI into a sandbox whose image has none.

The CLI and the SDK are one version and travel in one wheel, so the file is copied from here. A template built by
`threadwork template build` holds it already, and our own sandbox host binds it in; this is for any other server.
"""

import asyncio
import importlib.util
from pathlib import Path
from typing import Final

import structlog

from core.errors import AgentError
from core.ports import Sandbox
from worker.agent.ending import WORDS, ending_of

log = structlog.get_logger(__name__)
CLI_IN_SANDBOX: Final = "/home/user/.threadwork/bin/claude"


def bundled_cli() -> Path:
    """The CLI in the SDK's wheel. Finding it does not import the SDK, which takes seconds.

    Raises `AgentError` when the installed wheel has none.
    """
    found = importlib.util.find_spec("claude_agent_sdk")
    if found is not None and found.origin is not None:
        cli = Path(found.origin).parent / "_bundled" / "claude"
        if cli.is_file():
            return cli
    raise AgentError("The installed claude-agent-sdk brings no CLI for this platform; install its wheel for Linux.")


async def bring_cli(sandbox: Sandbox) -> str:
    """Copy the CLI into the sandbox and return where it is. Some 360 MB: once a sandbox."""
    log.info("bringing_cli", sandbox=sandbox.id)
    part = f"{CLI_IN_SANDBOX}.part"
    await sandbox.upload(part, bundled_cli())
    async with asyncio.timeout(60):
        done = await sandbox.run(f"chmod 0755 {part} && mv {part} {CLI_IN_SANDBOX} && {CLI_IN_SANDBOX} --version")
    if done.exit_code != 0:
        why = WORDS[ending_of(done.exit_code, done.stderr).cause]
        raise AgentError(f"The Claude CLI does not run in this sandbox. {why}".strip())
    return CLI_IN_SANDBOX
