"""`threadwork template build`: the sandbox image for E2B's cloud. What is in it: `worker/sandbox/template.py`."""

import sys

from core.errors import Misconfigured
from core.settings import Settings
from worker.sandbox.bootstrap import bundled_cli
from worker.sandbox.provider import SandboxServer
from worker.sandbox.template import build, check_platform


async def run_build(settings: Settings, name: str) -> int:
    """Build the template `name` in the account of E2B_API_KEY; the build's log goes to stderr.

    Raises `Misconfigured` without a key, or on a machine whose agent's program E2B cannot run.
    """
    if settings.e2b_api_key is None:
        raise Misconfigured(
            "E2B_API_KEY is not set; templates are built in your E2B account. "
            "Example: E2B_API_KEY=e2b_…, from https://e2b.dev/dashboard"
        )
    check_platform()
    cli = bundled_cli()
    server = SandboxServer(settings.e2b_api_key.get_secret_value(), settings.e2b_api_url, settings.e2b_sandbox_url)
    built = await build(name, cli, server, lambda line: print(line, file=sys.stderr, flush=True))
    print(f"built {name} ({built}). Use it with: E2B_TEMPLATE={name}")
    return 0
