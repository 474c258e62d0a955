import pytest

from core.errors import Misconfigured
from worker.gateway.credential import Credential, find_credential


def put(credential: Credential, **headers: str) -> dict[str, str]:
    credential.put_into(headers)
    return headers


def test_each_kind_of_credential_is_sent_its_own_way() -> None:
    assert put(Credential("api_key", "k")) == {"x-api-key": "k"}
    assert put(Credential("auth_token", "t")) == {"Authorization": "Bearer t"}
    assert put(Credential("oauth_token", "o")) == {"Authorization": "Bearer o", "anthropic-beta": "oauth-2025-04-20"}


def test_an_oauth_token_joins_the_betas_already_asked_for_once() -> None:
    headers = {"anthropic-beta": "one,two"}

    Credential("oauth_token", "o").put_into(headers)
    Credential("oauth_token", "o").put_into(headers)

    assert headers["anthropic-beta"] == "one,two,oauth-2025-04-20"


def test_a_bearer_token_comes_before_a_key_and_a_key_before_a_subscription() -> None:
    everything = {"ANTHROPIC_AUTH_TOKEN": "t", "ANTHROPIC_API_KEY": "k", "CLAUDE_CODE_OAUTH_TOKEN": "o"}

    assert find_credential(everything) == Credential("auth_token", "t")
    assert find_credential({**everything, "ANTHROPIC_AUTH_TOKEN": ""}) == Credential("api_key", "k")
    assert find_credential({"CLAUDE_CODE_OAUTH_TOKEN": " o\n"}) == Credential("oauth_token", "o")
    assert find_credential({"ANTHROPIC_API_KEY": "  "}) is None


def test_a_key_that_cannot_be_sent_is_named_without_being_shown() -> None:
    with pytest.raises(Misconfigured) as failure:
        find_credential({"ANTHROPIC_API_KEY": "sk-ant-\nsecret"})

    assert "ANTHROPIC_API_KEY" in str(failure.value)
    assert "secret" not in str(failure.value)


def test_a_credential_does_not_show_its_secret() -> None:
    assert "hidden" not in repr(Credential("api_key", "hidden"))
