"""The command line. Each command imports what it needs when it runs, so that `threadwork --help` is quick.

A `ThreadworkError` ends the program with its words on stderr and exit code 2; nothing else is caught here, but by
typer, which takes an output that nobody reads any more for an end.
"""

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from core.errors import ThreadworkError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Coding agents in Slack and Discord threads, each in a sandbox of its own.",
)
template = typer.Typer(no_args_is_help=True, help="The sandbox image for E2B's cloud.")
app.add_typer(template, name="template")
admin = typer.Typer(no_args_is_help=True, help="The admin page.")
app.add_typer(admin, name="admin")

DataDir = Annotated[
    Path | None, typer.Option(help="Where data lives. Default: THREADWORK_DATA_DIR, or your data folder.")
]
Unsafe = Annotated[
    bool, typer.Option("--unsafe-no-isolation", help="Run agents as plain processes of yours. Dangerous.")
]

Beat = Annotated[
    Path | None, typer.Option(help="A file to touch while the program is well, for `threadwork alive FILE`.")
]


def main() -> None:
    """The entry point of the `threadwork` command."""
    try:
        app()
    except ThreadworkError as error:
        sys.stderr.write(f"threadwork: {error.words}\n")
        _leave(2)
    except SystemExit as leaving:
        if not isinstance(leaving.code, int):
            raise
        _leave(leaving.code)


def _leave(code: int) -> None:
    """End with this exit code. Everything is closed by now."""
    if "e2b" in sys.modules:
        # Its HTTP core aborts the process now and then when the interpreter is taken down around it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _run(work: Coroutine[Any, Any, int | None]) -> None:
    """Run a coroutine to its end, and leave with its exit code."""
    try:
        code = asyncio.run(work)
    except KeyboardInterrupt:
        code = 130
    except BaseExceptionGroup as group:
        ours = group.subgroup(ThreadworkError) or group.subgroup(BrokenPipeError)
        if ours is None:
            raise
        raise _first(ours) from group
    raise typer.Exit(code or 0)


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


@app.command()
def up(
    data_dir: DataDir = None,
    embedded: Annotated[
        bool, typer.Option(help="Start Postgres and Valkey here where no address of one is set.")
    ] = True,
    unsafe_no_isolation: Unsafe = False,
    while_used: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run everything on this machine, in the foreground; prints `ready` when all of it is."""
    from threadwork.up import run_up

    _run(run_up(_settings(data_dir, is_unsafe=unsafe_no_isolation), use_embedded=embedded, while_used=while_used))


@app.command()
def chat(
    data_dir: DataDir = None,
    name: Annotated[str, typer.Option(help="Which chat; the same name goes on with it.")] = "main",
    prompt: Annotated[
        list[str] | None, typer.Option(help="Play this turn and leave; may be given several times.")
    ] = None,
    approve: Annotated[
        str, typer.Option(help="With --prompt: how questions are answered: ask, allow or deny.")
    ] = "ask",
    mode: Annotated[
        str | None, typer.Option(help="ask, auto, plan or bypass. Default for a new chat: THREADWORK_MODE, or ask.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line for every event.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="No screen control: plain lines.")] = False,
    unsafe_no_isolation: Unsafe = False,
) -> None:
    """Talk with an agent here, on a running stack or on one started for it."""
    from threadwork.chat import run_chat_command

    _run(
        run_chat_command(
            _settings(data_dir, is_unsafe=unsafe_no_isolation),
            name=name,
            prompts=prompt or [],
            approve=approve,
            mode=mode,
            as_json=as_json,
            is_plain=plain,
        )
    )


@app.command()
def files(
    name: Annotated[str, typer.Argument(help="The chat.")],
    path: Annotated[str | None, typer.Argument(help="A file to print; without it, the workspace is listed.")] = None,
    data_dir: DataDir = None,
) -> None:
    """List the files of a chat's sandbox, or print one."""
    from threadwork.files import run_files

    _run(run_files(_settings(data_dir), name, path))


@app.command()
def worker(data_dir: DataDir = None, beat: Beat = None) -> None:
    """Run a worker on DATABASE_URL and REDIS_URL."""
    from threadwork.parts import run_worker

    _run(run_worker(_settings(data_dir), beat))


@app.command()
def alive(file: Annotated[Path, typer.Argument(help="What the program was given as --beat.")]) -> None:
    """Whether a worker or bot is well, for a container's healthcheck: exit code 0, or 1 and why."""
    from threadwork.beat import why_not_alive

    why = why_not_alive(file)
    if why:
        sys.stderr.write(f"{why}\n")
    raise typer.Exit(1 if why else 0)


@app.command()
def slack(
    data_dir: DataDir = None,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="Print the manifest to create the Slack app with.")
    ] = False,
    beat: Beat = None,
) -> None:
    """Run the Slack bot on DATABASE_URL and REDIS_URL."""
    from threadwork.slack import print_manifest, run_slack

    if manifest:
        print_manifest(_settings(data_dir))
    else:
        _run(run_slack(_settings(data_dir), beat))


@app.command()
def discord(
    data_dir: DataDir = None,
    invite: Annotated[
        bool, typer.Option("--invite", help="Print the link by which an admin invites the bot to a server.")
    ] = False,
    beat: Beat = None,
) -> None:
    """Run the Discord bot on DATABASE_URL and REDIS_URL."""
    from threadwork.discord import print_invite, run_discord

    settings = _settings(data_dir)
    _run(print_invite(settings) if invite else run_discord(settings, beat))


@app.command()
def web(data_dir: DataDir = None) -> None:
    """Serve the admin page on DATABASE_URL and REDIS_URL."""
    from threadwork.web import run_web

    _run(run_web(_settings(data_dir)))


@admin.command()
def login(
    data_dir: DataDir = None,
    name: Annotated[str | None, typer.Option(help="Who signs in, as others will read it. Default: you.")] = None,
    tenant: Annotated[
        list[str] | None, typer.Option(help="Only this one, as in slack:T012345; may be given several times.")
    ] = None,
    viewer: Annotated[bool, typer.Option("--viewer", help="To look only, not to stop, write or answer.")] = False,
) -> None:
    """Print a link to the admin page that signs in once, within ten minutes."""
    from threadwork.web import run_login

    _run(run_login(_settings(data_dir), name=name, tenants=tenant or [], is_viewer=viewer))


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database at DATABASE_URL up to date."""
    from threadwork.parts import run_migrate

    _run(run_migrate(_settings(data_dir)))


@app.command("sandbox-host")
def sandbox_host(
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 3010,
    unsafe_no_isolation: Unsafe = False,
) -> None:
    """Run an E2B-compatible sandbox server on this machine."""
    from threadwork.parts import run_sandbox_host

    _run(run_sandbox_host(_settings(data_dir, is_unsafe=unsafe_no_isolation), port=port))


@app.command()
def doctor(
    platform: Annotated[
        str | None, typer.Argument(help="slack or discord: ask it whether tokens and permissions are good.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Check every setting and dependency; say what is wrong and the mend."""
    from threadwork.doctor import run_doctor

    _run(run_doctor(data_dir, platform))


@template.command("build")
def template_build(
    name: Annotated[str, typer.Option(help="The template's name in your E2B account.")] = "threadwork",
) -> None:
    """Build the cloud template, with the CLI that belongs to the installed SDK."""
    from threadwork.template import run_build

    _run(run_build(_settings(None), name))


def _settings(data_dir: Path | None, *, is_unsafe: bool = False) -> Any:
    from core.settings import load

    given: dict[str, object] = {}
    if data_dir is not None:
        given["threadwork_data_dir"] = data_dir.expanduser().absolute()
    if is_unsafe:
        given["threadwork_unsafe_no_isolation"] = True
    return load(**given)
