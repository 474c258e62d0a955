"""The template of sandboxes in E2B's cloud: an image that holds the agent's program already.

Without it every new sandbox gets the program uploaded (`bootstrap.py`). The program is copied from the SDK's wheel, so
that both stay one version; it is a binary for Linux on x86-64, as E2B's machines are, and needs nothing installed.
Template SDK: https://e2b.dev/docs/template. Next: `bootstrap.py`.
"""

import asyncio
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.errors import Misconfigured, SandboxError, Unavailable
from worker.agent.options import WORKSPACE
from worker.sandbox.provider import SandboxServer

if TYPE_CHECKING:
    from e2b.template.main import TemplateBuilder

IMAGE: Final = "debian:bookworm-slim"
PACKAGES: Final = (
    *("build-essential", "ca-certificates", "curl", "git", "jq", "openssh-client", "procps"),
    *("python3", "python3-pip", "python3-venv", "ripgrep", "unzip"),
)
CLI: Final = "/opt/claude/claude"
CPUS: Final = 2
MEMORY_MB: Final = 2048
BUILD_S: Final = 3600.0
_USER: Final = "user"


def check_platform(system: str = sys.platform, machine: str | None = None) -> None:
    """Raises `Misconfigured` where the SDK's wheel holds a program that E2B's machines cannot run."""
    machine = machine or platform.machine()
    if system != "linux" or machine not in {"x86_64", "AMD64"}:
        raise Misconfigured(
            f"The template needs the agent's program for Linux on x86-64, and this is {system} on {machine}. "
            "Build it there, for example in a container: docker run --platform linux/amd64 …"
        )


def template(cli: Path) -> "TemplateBuilder":
    """What the image is made of; `cli` is the agent's program here."""
    from e2b import AsyncTemplate

    return (
        AsyncTemplate(file_context_path=cli.parent)
        .from_image(IMAGE)
        .set_user("root")
        .apt_install(list(PACKAGES), no_install_recommends=True)
        # The program comes after what seldom changes, so that a new version rebuilds little.
        .copy(cli.name, CLI, user="root", mode=0o755)
        .run_cmd(f"{CLI} --version")
        .run_cmd(
            f"id -u {_USER} >/dev/null 2>&1 || useradd --create-home --shell /bin/bash {_USER}; "
            f"install -d -o {_USER} -g {_USER} {WORKSPACE}"
        )
        .set_user(_USER)
        .set_workdir(WORKSPACE)
        .run_cmd("git config --global init.defaultBranch main")
    )


async def build(name: str, cli: Path, server: SandboxServer, say: Callable[[str], None]) -> str:
    """Build the template `name` in the account of the server's key, and return its id; `say` gets the build's log.

    Raises `Misconfigured` for a key that is refused, `SandboxError` for a build that fails, `Unavailable`.
    """
    import e2b
    import httpx

    chosen = {"api_key": server.api_key, "api_url": server.api_url}
    options: dict[str, Any] = {key: value for key, value in chosen.items() if value}
    try:
        async with asyncio.timeout(BUILD_S):
            built = await e2b.AsyncTemplate.build(
                template(cli),
                name,
                cpu_count=CPUS,
                memory_mb=MEMORY_MB,
                on_build_logs=lambda entry: say(entry.message),
                **options,
            )
    except TimeoutError as error:
        raise Unavailable("E2B", f"the build is not over after {BUILD_S / 60:.0f} minutes") from error
    except e2b.AuthenticationException as error:
        raise Misconfigured("E2B refused E2B_API_KEY; copy a valid one from https://e2b.dev/dashboard.") from error
    except e2b.RateLimitException as error:
        raise Unavailable("E2B", str(error)[:200]) from error
    except (e2b.BuildException, e2b.TemplateException, e2b.SandboxException) as error:
        raise SandboxError(f"The template could not be built: {str(error)[:500]}") from error
    except (httpx.HTTPError, OSError) as error:
        raise Unavailable("E2B", f"{type(error).__name__}: {error}"[:200]) from error
    return str(built.template_id)
