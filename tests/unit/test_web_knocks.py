"""The words of one try to sign in, and what is checked of them. Pure."""

import base64
import json
from typing import Any
from uuid import UUID

import pytest

from bots.web.knocks import GOOD_S, name_of, seal, unseal
from core.domain.access import Access, rights_in
from core.domain.chat import Platform, TenantId
from core.errors import NotAllowed
from core.ports import Knock
from core.surfaces.discord.vouching import challenge_of
from core.surfaces.slack.vouching import claims_of

SECRET = bytes(range(32))
KNOCK = Knock("state", "nonce", "verifier")
GOOD = {"iss": "https://slack.com", "aud": "1.2", "exp": 1000.0, "nonce": "n", "sub": "U1"}


def _token(claims: Any) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.sig"


def test_a_knock_comes_back_from_its_cookie_for_ten_minutes() -> None:
    value = seal(SECRET, Platform.SLACK, KNOCK, 100.0)
    assert unseal(SECRET, value, Platform.SLACK, 100.0 + GOOD_S - 1) == KNOCK
    assert unseal(SECRET, value, Platform.SLACK, 100.0 + GOOD_S) is None
    assert "verifier" not in value


def test_a_knock_is_good_for_its_platform_and_under_its_secret_only() -> None:
    value = seal(SECRET, Platform.SLACK, KNOCK, 100.0)
    assert unseal(SECRET, value, Platform.DISCORD, 100.0) is None
    assert unseal(bytes(32), value, Platform.SLACK, 100.0) is None


@pytest.mark.parametrize("value", ["", "x", "ü", "A" * 200, "A" * 2000])
def test_what_we_did_not_seal_is_no_knock(value: str) -> None:
    assert unseal(SECRET, value, Platform.SLACK, 0.0) is None


def test_its_cookie_is_this_hosts_own_on_https() -> None:
    assert name_of(is_secure=True).startswith("__Host-")


def test_an_id_token_that_is_meant_for_us_is_read() -> None:
    for audience in ("1.2", ["1.2"]):
        claims = GOOD | {"aud": audience}
        assert claims_of(_token(claims), "https://slack.com", "1.2", "n", 990.0) == claims


@pytest.mark.parametrize(
    "token",
    [
        "",
        "None",
        "a.b",
        "e30.!!.sig",
        _token([]),
        _token("text"),
        _token({}),
        *(_token({name: value for name, value in GOOD.items() if name != gone}) for gone in GOOD if gone != "sub"),
        _token(GOOD | {"iss": "https://slack.com.evil.example"}),
        _token(GOOD | {"aud": ["1.2", "3.4"]}),
        _token(GOOD | {"aud": []}),
        _token(GOOD | {"exp": 900}),
        _token(GOOD | {"exp": float("nan")}),
        _token(GOOD | {"exp": [1000]}),
        _token(GOOD | {"nonce": None}),
    ],
)
def test_any_other_id_token_is_refused(token: str) -> None:
    with pytest.raises(NotAllowed):
        claims_of(token, "https://slack.com", "1.2", "n", 990.0)


def test_a_challenge_is_that_of_the_standard() -> None:
    # RFC 7636, appendix B.
    assert challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_viewers_get_rights_only_where_they_may_look() -> None:
    here, there = TenantId(UUID(int=1)), TenantId(UUID(int=2))
    known = {here: Access.ADMIN, there: Access.VIEWER}
    assert rights_in(known, viewers=False).tenants == {here: Access.ADMIN}
    assert rights_in(known, viewers=True).tenants == known
