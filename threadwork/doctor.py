"""`threadwork doctor`: every setting and dependency, looked at once; what is wrong, and the mend.

One line each: `✓` is good, `!` is worth knowing, `✗` will not work. Exit code 1 when anything will not. No secret is
shown, nothing is spent, and nothing is changed. The checks are in `threadwork/checks`; next: `checks/machine.py`.
"""

import asyncio
import difflib
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from dotenv.parser import parse_stream

from core.errors import Misconfigured
from core.settings import ENV_FILE, Settings, load, read
from threadwork.checks import accounts, machine, servers
from threadwork.checks.finding import Finding, Level, bad, good, note
from threadwork.checks.model_live import model_live
from threadwork.stack import Stack, gateway_socket, read_stack

_MARKS: Final = {Level.GOOD: "✓", Level.NOTE: "!", Level.BAD: "✗"}
_PLAIN_MARKS: Final = {Level.GOOD: "ok", Level.NOTE: "! ", Level.BAD: "XX"}
_CHECK_S: Final = 90.0

Check = Callable[[], Finding | Awaitable[Finding]]


async def run_doctor(data_dir: Path | None, platform: str | None = None) -> int:
    """Print what was found, one line each, and return the exit code: 1 when anything will not work.

    With a `platform`, that is asked in place of looking at everything here.
    """
    findings = await (examine(data_dir) if platform is None else ask(platform))
    marks = _MARKS if _can_say("".join(_MARKS.values())) else _PLAIN_MARKS
    for finding in findings:
        line = f"{marks[finding.level]} {finding.what}: {finding.said}"
        print(f"{line.rstrip('.')}. {finding.mend}" if finding.mend else line)
    failed = sum(finding.level is Level.BAD for finding in findings)
    print(f"\n{failed} to mend." if failed else "\nAll that is needed is there.")
    return 1 if failed else 0


def _can_say(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


async def examine(data_dir: Path | None) -> Sequence[Finding]:
    """Everything that was found, in the order in which to mend it."""
    settings, wrong = read(threadwork_data_dir=data_dir) if data_dir else read()
    findings = [await _one("Python", machine.python)]
    findings += [bad("Settings", words) for words in wrong]
    findings += [note("Settings", *words) for words in unknown_settings()]
    if settings is None:
        return [*findings, note("Everything else", "not looked at", "Mend the settings first, then ask again.")]
    if not wrong:
        findings.append(good("Settings", f"right; {_source()}"))
    # Those that only look go first; those that wait for others wait together.
    return [*findings, *await asyncio.gather(*(_one(what, check) for what, check in _checks(settings)))]


async def ask(platform: str) -> Sequence[Finding]:
    """What a platform itself says. Raises `Misconfigured` for one that cannot be asked."""
    match platform:
        case "slack":
            from threadwork.checks.slack_live import slack_live

            return [finding async for finding in slack_live(load())]
        case "discord":
            from threadwork.checks.discord_live import discord_live

            return [finding async for finding in discord_live(load())]
        case _:
            raise Misconfigured(f"The doctor cannot ask {platform}. Example: threadwork doctor slack")


def _checks(settings: Settings) -> Iterable[tuple[str, Check]]:
    stack, refused = _stack(settings.threadwork_data_dir)
    yield "Data folder", lambda: refused or machine.data_folder(settings)
    yield "Secret key", lambda: machine.secret(settings)
    yield "Database", lambda: servers.database(settings, stack)
    yield "Redis", lambda: servers.redis(settings, stack)
    yield "Sandboxes here", lambda: asyncio.to_thread(machine.walls, settings)
    yield "Sandbox server", lambda: servers.sandbox_server(settings)
    yield "File watches", lambda: machine.watches(settings)
    yield "Agent's program", lambda: machine.agent_program(settings)
    yield "Model", lambda: model_live(settings)
    yield "Way to the model", lambda: accounts.gateway(settings)
    yield "Slack", lambda: accounts.slack(settings)
    yield "Discord", lambda: accounts.discord(settings)


def _stack(data_dir: Path) -> tuple[Stack | None, Finding | None]:
    """The running stack, or what is wrong with the folder that one would run on."""
    try:
        gateway_socket(data_dir)
        return read_stack(data_dir), None
    except Misconfigured as error:
        return None, bad("Data folder", error.words)


async def _one(what: str, check: Check) -> Finding:
    """One check's finding; a check that fails itself is a finding, too, and does not keep the others from theirs."""
    try:
        async with asyncio.timeout(_CHECK_S):
            found = check()
            return await found if inspect.isawaitable(found) else found
    except TimeoutError:
        return bad(what, f"no answer within {_CHECK_S:.0f} s")
    except Exception as error:  # noqa: BLE001 - said in the line, and the other checks go on
        return bad(what, f"could not be looked at: {type(error).__name__}: {error}"[:300])


def _source() -> str:
    where = Path(ENV_FILE).absolute()
    return f"from the environment and {where}" if where.is_file() else "from the environment; there is no .env here"


def unknown_settings() -> Iterable[tuple[str, str]]:
    """Names that look like settings of ours and are none, each with what was probably meant."""
    known = {name.upper() for name in Settings.model_fields}
    try:
        with Path(ENV_FILE).open(encoding="utf-8") as file:
            in_file = {one.key for one in parse_stream(file) if one.key is not None}
    except (OSError, UnicodeError):
        in_file = set()
    for name in sorted(set(os.environ) | in_file):
        if name.startswith("THREADWORK_") and name not in known:
            near = difflib.get_close_matches(name, known, 1, cutoff=0.85)
            yield f"{name} is not a setting", f"Did you mean {near[0]}?" if near else "See .env.example."
