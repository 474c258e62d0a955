"""`docker-compose.yml` as Docker would read it, for tests on machines without an engine.

Anchors and merges are YAML's, `${NAME:-default}` and `${NAME:?why}` are filled in here from a given `.env`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?::([-?])([^}]*))?\}")
ENTRY_POINT = ["threadwork"]


def text() -> str:
    return (ROOT / "docker-compose.yml").read_text()


def read(env: Mapping[str, str]) -> dict[str, Any]:
    """The file with its variables filled in. Raises `KeyError` for one that must be set and is not."""

    def fill(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if env.get(name):
            return env[name]
        if kind == "-":
            return str(rest)
        raise KeyError(name)

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [filled(inner) for inner in value]
        return VARIABLE.sub(fill, value) if isinstance(value, str) else value

    whole: dict[str, Any] = filled(yaml.safe_load(text()))
    return whole


def ours(compose: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The services that run this program, in an order in which each comes after what it waits for."""
    services = {name: one for name, one in compose["services"].items() if "build" in one}
    return dict(sorted(services.items(), key=lambda item: len(item[1].get("depends_on", {}))))


def command(service: Mapping[str, Any]) -> list[str]:
    """What the container starts."""
    return [*service.get("entrypoint", ENTRY_POINT), *service["command"]]
