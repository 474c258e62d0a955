"""`threadwork chat`: a console chat on a running stack, or on one started for it."""

import os
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from bots.console.app import ConsoleChat, open_console
from bots.console.play import Approve, Player, always
from bots.console.stopping import ctrl_c_stops
from bots.console.typed import TypedLines
from core.domain.chat import ChatSettings, Mode
from core.errors import BadInput
from core.observing.program import observed
from core.ports import Traces
from core.settings import Settings
from threadwork.offline_model import MODEL as OFFLINE_MODEL
from threadwork.stack import borrowed_stack

Choice = TypeVar("Choice", Approve, Mode)


async def run_chat_command(
    settings: Settings,
    *,
    name: str,
    prompts: Sequence[str],
    approve: str,
    mode: str | None,
    as_json: bool,
    is_plain: bool,
) -> int:
    """Play the prompts, or talk until the person leaves. The exit code is described in `bots/console/play.py`."""
    how = _one_of(Approve, approve, "--approve")
    chosen = _one_of(Mode, mode, "--mode") if mode else None
    _check_name(name)
    if as_json and not prompts and sys.stdin.isatty():
        raise BadInput("--json needs something to play: --prompt TEXT, or lines on stdin.")
    with observed("chat", settings.observing, level="warning", style=settings.threadwork_log_format) as traces:
        return await _run(settings, name, prompts, how, chosen, as_json=as_json, is_plain=is_plain, traces=traces)


async def _run(
    settings: Settings,
    name: str,
    prompts: Sequence[str],
    how: Approve,
    chosen: Mode | None,
    *,
    as_json: bool,
    is_plain: bool,
    traces: Traces | None,
) -> int:
    async with (
        borrowed_stack(settings.threadwork_data_dir, is_unsafe=settings.threadwork_unsafe_no_isolation) as stack,
        open_console(
            settings.database_url or stack.database_url, settings.redis_url or stack.redis_url, name, traces
        ) as chat,
    ):
        model = settings.threadwork_model or (OFFLINE_MODEL if stack.is_offline else None)
        wanted = ChatSettings(mode=chosen or await _mode_of(chat, settings), model=model)
        if prompts or as_json:
            # On stderr: stdout is for what may be read by a program.
            with ctrl_c_stops(chat, lambda words: print(words, file=sys.stderr, flush=True)):
                return await Player(chat, wanted, always(how), as_json=as_json).play(_given(prompts))
        from bots.console.terminal import talk

        can_draw = sys.stdin.isatty() and sys.stdout.isatty() and not is_plain
        colour = can_draw and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        banner = _banner(name, wanted.mode, is_offline=stack.is_offline, is_isolated=stack.is_isolated, colour=colour)
        return await talk(chat, wanted, can_draw=can_draw, banner=banner, colour=colour)


async def _mode_of(chat: ConsoleChat, settings: Settings) -> Mode:
    """The mode of a chat that nobody gave one now: its own; that of a new one is careful, unless it is set."""
    before = await chat.find()
    if before is not None:
        return before.settings.mode
    return settings.threadwork_mode if "threadwork_mode" in settings.model_fields_set else Mode.ASK


async def _given(prompts: Sequence[str]) -> AsyncIterator[str]:
    """The prompts, or where there are none the lines that come in."""
    for prompt in prompts:
        yield prompt
    typed = TypedLines(sys.stdin.fileno())
    while not prompts and (line := await typed.next()) is not None:
        if line.strip():
            yield line


def _banner(name: str, mode: Mode, *, is_offline: bool, is_isolated: bool, colour: bool) -> str:
    """What is said first: which chat this is, who answers, and what is dangerous about it."""
    bold, red, end = ("\x1b[1m", "\x1b[1;31m", "\x1b[0m") if colour else ("", "", "")
    lines = [f"{bold}Threadwork{end} · chat {name} · mode {mode}"]
    if is_offline:
        lines.append("No credential is set, so a scripted model answers, not Claude. Try: write fizzbuzz.py and run it")
    if not is_isolated:
        lines.append(f"{red}No isolation: the agent runs as plain processes of yours.{end}")
    return "\n".join(lines)


def _one_of(kind: type[Choice], value: str, option: str) -> Choice:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(kind)
        raise BadInput(f"{option} {value} is not known; it may be: {names}") from None


def _check_name(name: str) -> None:
    if not name or len(name) > 100 or not all(char.isalnum() or char in "-_." for char in name):
        raise BadInput("--name may have letters, digits, '-', '_' and '.', at most 100. Example: --name website")
