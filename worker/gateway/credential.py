"""The real credential of the model API: where it is found, and how it is put into a request.

The names and their order are the CLI's own (https://code.claude.com/docs/en/authentication): a bearer token,
then an API key, then a subscription's OAuth token, which needs a beta header of its own. Next: `proxy.py`.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Literal

from core.errors import Misconfigured

OAUTH_BETA = "oauth-2025-04-20"
Kind = Literal["api_key", "auth_token", "oauth_token"]
VARIABLES: Mapping[str, Kind] = {
    "ANTHROPIC_AUTH_TOKEN": "auth_token",
    "ANTHROPIC_API_KEY": "api_key",
    "CLAUDE_CODE_OAUTH_TOKEN": "oauth_token",
}


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret and the way it is sent; its repr does not show it."""

    kind: Kind
    secret: str = field(repr=False)

    def put_into(self, headers: MutableMapping[str, str]) -> None:
        """Sets the authentication headers of a request to the model API, in place."""
        match self.kind:
            case "api_key":
                headers["x-api-key"] = self.secret
            case "auth_token":
                headers["Authorization"] = f"Bearer {self.secret}"
            case "oauth_token":
                headers["Authorization"] = f"Bearer {self.secret}"
                betas = [b for b in headers.get("anthropic-beta", "").split(",") if b]
                if OAUTH_BETA not in betas:
                    headers["anthropic-beta"] = ",".join([*betas, OAUTH_BETA])


def find_credential(environment: Mapping[str, str]) -> Credential | None:
    """The first credential that is set, or None. Misconfigured when it could not be sent in a header."""
    for name, kind in VARIABLES.items():
        secret = environment.get(name, "").strip()
        if not secret:
            continue
        if not secret.isascii() or not secret.isprintable():
            raise Misconfigured(f"{name} holds characters that no key has; copy it again, for example sk-ant-api03-…")
        return Credential(kind, secret)
    return None
