"""How the Claude CLI is started: its arguments and its environment.

The arguments are built by the SDK's own builder (private, hence the exact pin), so that they are those the SDK's stock
transport would pass; what a custom transport must add itself is added here. Facts run against SDK 0.2.186: without
`--permission-prompt-tool stdio` the SDK is never asked; `system_prompt=None` would send an empty prompt.
Next: `process.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from core.domain.chat import Mode

if TYPE_CHECKING:
    from claude_agent_sdk import ClaudeAgentOptions

WORKSPACE: Final = "/home/user/work"
RUNS: Final = "/home/user/.threadwork/run"
CONFIG_DIR: Final = "/home/user/.claude"
OUTBOX: Final = "outbox"
GATEWAY_SOCKET: Final = "/run/threadwork/gateway.sock"

_APPEND: Final = f"""You are working for a team in a chat thread, through Threadwork.
What you write is shown there as you write it.
People may add messages while you work; take them into account.
Lines that begin with [Threadwork] are from the program, not from a person.
Your workspace is {WORKSPACE}, in a sandbox of this thread's own; it is kept between requests.
Files that people should get go into {WORKSPACE}/{OUTBOX}/: at the end of your answer they are sent into the thread.
Keep answers short; use Markdown."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What a CLI is started with."""

    mode: Mode
    model: str | None = None
    resume: str | None = None


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """How a CLI in a sandbox reaches the model: never with the real key, unless that was allowed by name.

    `token` is good for this chat only. `base_url` is the gateway's public address, or None for its socket.
    `credential` holds environment variables with the real key where THREADWORK_ALLOW_KEY_IN_SANDBOX is set.
    """

    token: str
    base_url: str | None = None
    credential: Mapping[str, str] | None = None


def cli_mode(mode: Mode) -> str:
    """The CLI's own permission mode. All but planning leave every decision to `can_use_tool`."""
    return "plan" if mode is Mode.PLAN else "default"


def sdk_options(launch: Launch) -> "ClaudeAgentOptions":
    """The SDK's options for this chat, without the callbacks."""
    from claude_agent_sdk import ClaudeAgentOptions

    return ClaudeAgentOptions(
        model=launch.model,
        resume=launch.resume,
        cwd=WORKSPACE,
        permission_mode="plan" if launch.mode is Mode.PLAN else "default",
        system_prompt={"type": "preset", "preset": "claude_code", "append": _APPEND},
        include_partial_messages=True,
        # A repository's own settings could allow tools and run hooks: they are not ours.
        setting_sources=[],
        # In plan mode the CLI would ask its own classifier for Bash, and never us.
        settings='{"useAutoModeDuringPlan": false}',
        extra_args={"replay-user-messages": None},
        verbatim_prompts=True,
    )


def argv(options: "ClaudeAgentOptions", cli: str) -> list[str]:
    """The CLI's command line, as the SDK's stock transport would build it."""
    from claude_agent_sdk._internal.transport.subprocess_cli import SubprocessCLITransport

    asked = replace(options, permission_prompt_tool_name="stdio", cli_path=cli, can_use_tool=None)
    return SubprocessCLITransport(prompt="", options=asked)._build_command()  # noqa: SLF001 - the SDK has no public builder


def environment(access: ModelAccess) -> dict[str, str]:
    """The CLI's environment: what the stock transport would set, and where the model is."""
    from claude_agent_sdk import __version__

    reach = (
        {"ANTHROPIC_BASE_URL": access.base_url, "ANTHROPIC_API_KEY": access.token}
        if access.base_url
        else {
            "ANTHROPIC_BASE_URL": "http://gateway",
            "ANTHROPIC_UNIX_SOCKET": GATEWAY_SOCKET,
            "ANTHROPIC_API_KEY": access.token,
        }
    )
    if access.credential is not None:
        reach = dict(access.credential)
    return {
        **reach,
        "CLAUDE_CONFIG_DIR": CONFIG_DIR,
        "CLAUDE_CODE_ENTRYPOINT": "sdk-py",
        "CLAUDE_AGENT_SDK_VERSION": __version__,
        "CLAUDE_CODE_SDK_READS_SESSION_STATE": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "4",
        # The task list is off by default for newer models; people like to see it.
        "CLAUDE_CODE_ENABLE_TODO_TOOLS": "1",
        # A model that hangs: silence in mid-answer, and no answer at all, end after about two minutes of trying.
        "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": "30000",
        "API_TIMEOUT_MS": "120000",
        "IS_SANDBOX": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
