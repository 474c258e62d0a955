"""A server that speaks Anthropic's API, as a program beside ours: what it saw, and holding its answers back."""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.acceptance.program import PATIENCE_S, ROOT, speaking, until


@dataclass(frozen=True, slots=True)
class Model:
    """The server at `url`, which lets only `key` in."""

    url: str
    key: str

    @property
    def settings(self) -> dict[str, str]:
        """What makes the program use it."""
        return {"ANTHROPIC_BASE_URL": self.url, "ANTHROPIC_API_KEY": self.key}

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The requests for an answer, without those by which the CLI names a session."""
        seen: list[dict[str, Any]] = self._ask("_requests")
        return [one for one in seen if one["path"] == "/v1/messages" and not one["is_naming"]]

    @property
    def credentials(self) -> set[str]:
        """What the requests brought as their key."""
        return {header(one, "x-api-key") or header(one, "authorization") for one in self._ask("_requests")}

    @property
    def violations(self) -> list[str]:
        """The breaches of the API's rules."""
        found: list[str] = self._ask("_violations")
        return found

    def wait_at(self, gate: str) -> None:
        """Return once an answer is held at a gate."""

        def is_held() -> bool:
            try:
                return bool(self._ask(f"_gate/{gate}"))
            except urllib.error.HTTPError:
                return False  # it waited for as long as it does

        until(is_held)

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=PATIENCE_S) as answer:
            return json.load(answer)


def header(request: dict[str, Any], name: str) -> str:
    return str(request["headers"].get(name, ""))


@contextmanager
def a_model() -> Iterator[Model]:
    """One that runs while the context is open; it must have had nothing to complain of."""
    key = f"sk-ant-api03-{os.urandom(16).hex()}"
    line = [sys.executable, "-m", "tests.doubles.anthropic", "--credential", key]
    with speaking(line, ROOT, os.environ) as (_, said):
        model = Model(said.removeprefix("anthropic-double "), key)
        yield model
        assert model.violations == []
